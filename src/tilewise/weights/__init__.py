"""Weights on disk: reading them, checking them, putting them into modules."""
