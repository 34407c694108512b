"""Parts of the benchmarks of training."""
