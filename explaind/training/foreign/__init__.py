"""Classifiers that explaind did not train: `explaind new` opens, checks, wraps and measures them."""
