"""tilewise-nano, the default reader: it looks things up, trained from nothing."""
