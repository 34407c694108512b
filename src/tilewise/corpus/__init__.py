"""From web crawls to clean interleaved documents: read, extract, filter, deduplicate, write."""
