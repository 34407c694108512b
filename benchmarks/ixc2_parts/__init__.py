"""Parts of the benchmarks of IXC2-4KHD."""
