"""Streams kept: the recorder, the layout of its files, and how to mend one that was left open."""
