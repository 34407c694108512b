"""The command line: one file a command; each imports its work inside its body."""
