"""How much of the test set an evaluation looks at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How many images each section looks at. Fewer are faster and less certain.

    images: explained one by one (morphs, masks, rankings). paths: between pairs of training images. splits: random
    divisions of a protocol that is repeated. reference_morphs, reference_masks: how many of `images` the source's
    solvers, hundreds of times slower, explain too.
    """

    images: int = 500
    paths: int = 1000
    splits: int = 100
    reference_morphs: int = 50
    reference_masks: int = 20
    backend_images: int = 100
    torchserve: bool = True


QUICK = Extent(
    images=60, paths=60, splits=10, reference_morphs=4, reference_masks=1, backend_images=10, torchserve=False
)
