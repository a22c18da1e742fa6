"""Thin Qt views, one panel a file."""
