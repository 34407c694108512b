"""InternVL 1.5 (arXiv 2404.16821) and Mini-InternVL (arXiv 2410.16261), by config alone."""
