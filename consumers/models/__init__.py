"""Models that a user brings: store, manifest, the scan before they are loaded, tiles, and their process.

Only `guest` imports torch, in the process that runs a model; everything else here does without.
"""
