"""A page's bytes → its blocks of text and pictures, in their order."""
