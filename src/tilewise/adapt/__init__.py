"""Surgery on a network: adapters, which parts learn, new rows of the vocabulary."""
