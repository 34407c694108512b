"""Conversations and interleaved documents on disk, as training and the corpus know them."""
