"""Quantum Detectors Merlin: MQ1 texts and pixels over TCP."""
