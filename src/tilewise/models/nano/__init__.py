"""tilewise-nano, the default reader: a look-up reader trained from nothing on synthetic and real pages."""
