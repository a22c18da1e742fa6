"""What live denoising is made of: its parameters, its steps of quality, components of diffraction stacks."""
