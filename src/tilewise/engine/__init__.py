"""Running a reader: choosing ids, streaming answers, batches, conversations. Knows no model."""
