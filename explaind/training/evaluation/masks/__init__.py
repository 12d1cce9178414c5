"""Path masks of many images: their certificates, the source's solver on the same paths, and what they look like."""
