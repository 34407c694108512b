"""Pages with questions and true answers, made from a seed."""
