"""[LR]'s test of a region: swap it between two images and ask again."""
