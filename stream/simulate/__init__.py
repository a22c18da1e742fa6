"""Simulated microscopes, fault injection and the sender: livem as a detector. Product code, not test code.

``open_acquisition("sim:4dstem?scan=64x64")`` gives frames and their ground truth; ``Sender`` puts them on
the wire as livem/1. Nothing here knows a consumer, a kernel or a window.
"""
