"""Documents, addresses and lines that are there more than once."""
