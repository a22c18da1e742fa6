"""Models that a user brings: store, manifest, the scan before they are loaded, tiles, and their process.

Only `torch_engine` and `onnx_engine` import what runs a model, in its own process; everything else here does
without.
"""
