"""Particles in a movie: found and sized in every frame, followed, and what happens to them."""
