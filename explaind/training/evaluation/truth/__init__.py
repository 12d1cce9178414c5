"""Is the explanation true? Planted causes, randomised weights, noise and deletion, beside Captum's attributions."""
