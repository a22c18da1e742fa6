"""Frames in and frames kept: wire formats, detectors, the shared-memory ring, ingest, the result bus.

Must not know what is computed from the frames (consumers) or how it is shown (viewer).
"""
