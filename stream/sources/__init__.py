"""What livem can listen to: one module per kind of stream, each yielding the messages of ``wire.py``."""
