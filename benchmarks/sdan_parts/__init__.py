"""Parts of the benchmark of SDAN's claims."""
