"""A running session: its processes around one source, what it shows, and the series it has finished."""

from .options import SessionOptions
from .session import Session

__all__ = ["Session", "SessionOptions"]
