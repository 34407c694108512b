"""The parts of ``benchmarks/default_reader.py``."""
