"""Parts of neural networks that have no family name."""
