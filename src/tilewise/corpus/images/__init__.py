"""Images of documents: fetched, measured, and judged."""
