"""How analyses are run: in worker processes on the ring, over files, and again over what has passed.

Knows the contract of `base.py` and the registry; of the kinds of analysis only the one that shows frames.
"""
