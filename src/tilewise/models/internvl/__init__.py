"""InternVL 1.5 and Mini-InternVL, told apart by their config alone."""
