"""What a document's text must be like, and what is cut from it."""
