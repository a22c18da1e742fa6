"""Recordings and files of other programs, played as if they were measured now."""
