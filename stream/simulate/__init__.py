"""Simulated microscopes, fault injection and the sender: livem as a detector. Product code, not test code."""
