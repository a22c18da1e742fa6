"""How the shipped models are trained: networks, simulated data, the loop. Needs torch."""

RECIPES = {"movie-denoiser": ".movie_denoiser"}
"""Modules by the model's name; each has ``make(out, minutes, device, tell)``."""
