"""karabo-bridge: trains of dictionaries over ZeroMQ."""
