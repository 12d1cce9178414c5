"""Paths between codes: where the classifier is in doubt its gradient is large, and how long codes stay on the way."""
