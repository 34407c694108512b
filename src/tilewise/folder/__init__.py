"""Questions about many files: found, loaded ahead of the model, answered, written line by line."""
