"""What virtual detectors are made of: checked tables, plans for the kernels, images, and what is shown."""
