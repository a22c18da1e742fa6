"""Telling a detector to take data: blocking conversations with its own control port."""
