from __future__ import annotations

import numpy as np
import pytest

from explaind.training.forest import fit_forest
from explaind.training.recipe import ReferenceRecipe


def test_importances_find_the_latent_that_decides() -> None:
    generator = np.random.default_rng(1)
    x = generator.standard_normal((600, 4)).astype(np.float32)
    y = (x[:, 2] > 0).astype(np.int64)
    recipe = ReferenceRecipe(forest_images=400, forest_trees=(3, 6), served_trees=5, served_leaves=10)
    fit = fit_forest(x[:400], y[:400], x[400:], y[400:], 2, recipe, seed=0)
    assert fit.impurity.argmax() == fit.permutation.argmax() == 2
    assert fit.fidelity > 0.95
    assert fit.unbounded_fidelity > 0.95
    assert fit.impurity.sum() == pytest.approx(1.0)
    assert len(fit.forest.offsets) == 6
