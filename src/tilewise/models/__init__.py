"""Models that read pages, one folder a family."""
