"""Where work on many items runs: in this process, or on a Ray cluster."""
