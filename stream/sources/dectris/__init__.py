"""DECTRIS SIMPLON streams: v1 (JSON parts) and v2 (CBOR) over ZeroMQ."""
