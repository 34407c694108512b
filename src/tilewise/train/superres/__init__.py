"""How SDAN networks are trained: made-up and prepared pairs, the objective, what is left behind."""
