"""Frames and movies with less noise. Knows arrays; no streams, files or windows."""
