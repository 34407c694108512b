"""Rules that say how good an answer is, each the one that published numbers were made with."""
