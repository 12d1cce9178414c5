"""Two images that differ in one known thing: which latent says so ([AN]'s sunglasses case)."""
