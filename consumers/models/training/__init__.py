"""How the shipped models are trained: networks, simulated data, the loop. Needs torch."""

RECIPES = {"columns": ".columns", "movie-denoiser": ".movie_denoiser", "particles": ".particles"}
"""Modules by the model's name; each has ``make(out, minutes, device, tell)``."""
