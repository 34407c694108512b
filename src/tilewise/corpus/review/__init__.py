"""Documents judged by people, and rules by those judgements."""
