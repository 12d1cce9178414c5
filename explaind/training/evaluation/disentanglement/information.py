"""What latents know of factors, in nats, and the mutual information gap (Chen et al. 2018, "Isolating sources of
disentanglement in VAEs", Eq. 6 there)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.floating]
"""(N, D)."""
Factors = NDArray[np.int64]
"""(N, K): the index of each factor's value."""
Matrix = NDArray[np.float64]
"""(D, K): a row a latent, a column a factor."""

BINS = 20


def discretised(codes: Codes, bins: int = BINS) -> NDArray[np.int64]:
    """Each latent in equally wide bins over its own range, as Locatello et al. 2019: (N, D) in [0, bins)."""
    lowest, highest = codes.min(axis=0), codes.max(axis=0)
    width = np.where(highest > lowest, highest - lowest, 1.0) / bins
    return np.asarray(((codes - lowest) / width).astype(np.int64).clip(0, bins - 1))


def mutual_information(codes: Codes, factors: Factors, bins: int = BINS) -> Matrix:
    """I(z_d; v_k) of the binned codes: (D, K), nats.

    From N samples it lies about (bins − 1)·(values − 1)/2N above the truth, alike for all latents.
    """
    binned = discretised(codes, bins)
    return np.array([[_information(latent, factor) for factor in factors.T] for latent in binned.T])


def entropies(factors: Factors) -> NDArray[np.float64]:
    """H(v_k): (K,), nats."""
    return np.array([_entropy(np.bincount(factor)) for factor in factors.T])


def gaps(information: Matrix, entropy: NDArray[np.float64]) -> NDArray[np.float64]:
    """(I(best latent; v_k) − I(second best; v_k))/H(v_k): (K,) in [0, 1]; their mean is the MIG.

    A factor without entropy has no gap: 0. At least two latents.
    """
    ordered = np.sort(information, axis=0)
    known = entropy > 0
    return np.where(known, (ordered[-1] - ordered[-2]) / np.where(known, entropy, 1.0), 0.0)


def _information(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    columns = int(second.max()) + 1
    joint = np.bincount(first * columns + second, minlength=(int(first.max()) + 1) * columns).reshape(-1, columns)
    return _entropy(joint.sum(axis=1)) + _entropy(joint.sum(axis=0)) - _entropy(joint.ravel())


def _entropy(counts: NDArray[np.int64]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
