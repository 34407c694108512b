"""Training: one loop, given batches and a loss; recipes say the rest."""
