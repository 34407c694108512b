"""Sources become pages: images and PDFs, from paths, bytes or memory, without torch."""
