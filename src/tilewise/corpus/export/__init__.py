"""Finished documents as other forms of data."""
