"""Semantic morphs of many images: how often they fail, whether others believe them, and the source's solver beside."""
