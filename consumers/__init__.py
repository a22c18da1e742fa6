"""Live analyses: small stateful classes that call kernels on blocks of frames."""
