"""`explaind evaluate`: a bundle measured on the whole test set, written to its evaluation.json."""
