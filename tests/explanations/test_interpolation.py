"""Curves between codes: their ends, norms and degenerate cases."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.explanations.interpolation import interpolate
from explaind.explanations.types import Interpolation

T = np.linspace(0, 1, 101)
KINDS = list(Interpolation)


def _ends(cosine: float = 0.82, norms: tuple[float, float] = (10.0, 10.0)) -> tuple[np.ndarray, np.ndarray]:
    start, end = np.zeros(100), np.zeros(100)
    start[0] = norms[0]
    end[:2] = norms[1] * np.array([cosine, np.sqrt(1 - cosine**2)])
    return start, end


@pytest.mark.parametrize("kind", KINDS)
def test_a_curve_runs_from_start_to_end(kind: Interpolation) -> None:
    start, end = _ends(norms=(8.0, 11.0))
    codes = interpolate(start, end, T, kind)
    assert codes.shape == (101, 100)
    assert codes[0] == pytest.approx(start)
    assert codes[-1] == pytest.approx(end, abs=1e-12)


def test_slerp_keeps_the_norm_and_radial_does_not() -> None:
    """Morph pairs have a cosine of about 0.82: the source's curve swells to √1.82 = 1.35 times the norm."""
    start, end = _ends()
    norms = {kind: np.linalg.norm(interpolate(start, end, T, kind), axis=1) / 10 for kind in KINDS}
    assert norms[Interpolation.SLERP] == pytest.approx(np.ones(101))
    assert norms[Interpolation.RADIAL].max() == pytest.approx(np.sqrt(1.82))
    assert norms[Interpolation.LINEAR].min() < 0.96


def test_slerp_interpolates_the_norm_and_turns_evenly() -> None:
    start, end = _ends(norms=(8.0, 12.0))
    codes = interpolate(start, end, T, Interpolation.SLERP)
    norms = np.linalg.norm(codes, axis=1)
    assert norms == pytest.approx(np.linspace(8, 12, 101))
    directions = codes / norms[:, None]
    turns = np.einsum("nd,nd->n", directions[1:], directions[:-1])
    assert turns == pytest.approx(np.full(100, turns[0]))


def test_radial_is_the_sources_curve_at_finite_speed() -> None:
    start, end = _ends()
    a = np.sin(0.5 * np.pi * T) ** 2
    source = np.sqrt(1 - a)[:, None] * start + np.sqrt(a)[:, None] * end
    codes = interpolate(start, end, T, Interpolation.RADIAL)
    assert codes == pytest.approx(source)
    steps = np.linalg.norm(np.diff(codes, axis=0), axis=1)
    assert steps.max() / steps.min() < 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [0.0, 1.0, 2.0, -1.0, -0.5])
def test_collinear_and_zero_ends_stay_finite(kind: Interpolation, factor: float) -> None:
    start, _ = _ends()
    codes = interpolate(start, factor * start, T, kind)
    assert np.isfinite(codes).all()
    assert codes[0] == pytest.approx(start)
    assert codes[-1] == pytest.approx(factor * start, abs=1e-9)


def test_slerp_between_opposite_ends_goes_around() -> None:
    start, _ = _ends()
    codes = interpolate(start, -start, T, Interpolation.SLERP)
    assert np.linalg.norm(codes, axis=1) == pytest.approx(np.full(101, 10.0))
    assert np.isfinite(interpolate(np.ones(1), -np.ones(1), T, Interpolation.SLERP)).all()
