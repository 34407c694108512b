"""How tilewise-nano, the default reader, is trained: what its stages learn, and from what pages."""
