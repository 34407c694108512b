"""Published data sets of driving, medicine and remote sensing, as conversations to learn from."""
