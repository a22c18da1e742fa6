"""Reductions on a CUDA device, the same as `kernels.reduce` on the processor.

Imported where a device is used.

``tables``: regions as lists of pixels (numpy only). ``kernels``: the compiled functions. ``batch``: one batch
of frames through them. Streams, staging memory and what to do when memory ends are the caller's.
"""
