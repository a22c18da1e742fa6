"""Frames as bitshuffle-LZ4 blobs: to pixels, or to sums straight from their bit planes.

Knows bytes and arrays only; numba code, one call a batch, safe against any bytes. No Python object per frame.
"""
