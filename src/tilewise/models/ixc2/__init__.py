"""InternLM-XComposer2-4KHD (arXiv 2404.06512): the released 7B model and copies of its kind."""
