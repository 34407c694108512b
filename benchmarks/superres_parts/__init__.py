"""Parts of ``benchmarks/superres.py``."""
