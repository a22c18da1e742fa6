"""How the shipped models are trained: networks, simulated data, the loop. Needs torch."""
