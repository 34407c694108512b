"""Super-resolution: misaligned zoom pairs, squared deformable alignment, larger pages."""
