"""labels.toml: names for latents, held to the encoder they were given to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explaind.bundles import labels
from explaind.errors import BundleInvalid
from explaind.explanations.types import Factor, LabelConfidence

NAMED = labels.SpaceLabels(
    "a" * 64,
    (
        Factor(dimensions=(3,), label="slant", confidence=LabelConfidence.HIGH),
        Factor(dimensions=(0, 5), label='a "round" bow', confidence=LabelConfidence.LOW),
    ),
)


def test_what_is_formatted_is_parsed_back(tmp_path: Path) -> None:
    path = tmp_path / "labels.toml"
    path.write_text(labels.format_labels({"ranking": NAMED, "morphing": labels.SpaceLabels("b" * 64, ())}))
    assert labels.parse_labels(path) == {"ranking": NAMED, "morphing": labels.SpaceLabels("b" * 64, ())}


def test_no_file_no_labels(tmp_path: Path) -> None:
    assert labels.parse_labels(tmp_path / "labels.toml") == {}


@pytest.mark.parametrize(
    "text",
    [
        "ranking",
        "ranking = 3",
        "[ranking]",
        '[ranking]\nencoder = "x"\n[[ranking.factors]]\nlabel = "slant"',
        '[ranking]\nencoder = "x"\n[[ranking.factors]]\ndimensions = []\nlabel = "slant"',
        '[ranking]\nencoder = "x"\n[[ranking.factors]]\ndimensions = [-1]\nlabel = "slant"',
        '[ranking]\nencoder = "x"\n[[ranking.factors]]\ndimensions = [1]\nlabel = " "',
        '[ranking]\nencoder = "x"\n[[ranking.factors]]\ndimensions = [1]\nlabel = "s"\nconfidence = "sure"',
        '[ranking]\nencoder = "x"\nfactors = [1]',
        '[ranking]\nencoder = "x"\nfactors = 1',
        '[ranking]\nencoder = "x"\n[[ranking.factors]]\ndimensions = [1, 1]\nlabel = "s"',
    ],
)
def test_malformed_labels_name_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.toml"
    path.write_text(text)
    with pytest.raises(BundleInvalid, match=r"labels\.toml"):
        labels.parse_labels(path)


def test_every_dimension_has_a_factor() -> None:
    factors = labels.factors_of(6, NAMED)
    assert [factor.label for factor in factors] == ['a "round" bow', "z1", "z2", "slant", "z4"]
    assert sorted(d for factor in factors for d in factor.dimensions) == list(range(6))
    assert [factor.label for factor in labels.factors_of(2, None)] == ["z0", "z1"]


def test_labels_of_another_encoder_do_not_fit() -> None:
    assert labels.misfit(NAMED, 6, "a" * 64) == ""
    assert "another encoder" in labels.misfit(NAMED, 6, "b" * 64)
    assert "no latent 5" in labels.misfit(NAMED, 4, "a" * 64)


def test_the_encoder_digest_sees_names_shapes_and_values() -> None:
    base = {"0.weight": np.zeros((2, 3), np.float32)}
    renamed, reshaped = {"1.weight": base["0.weight"]}, {"0.weight": np.zeros((3, 2), np.float32)}
    changed = [renamed, reshaped, {"0.weight": base["0.weight"] + 1}]
    digests = {labels.encoder_digest(parameters) for parameters in [base, *changed]}
    assert len(digests) == 4
    assert labels.encoder_digest({"0.weight": np.asfortranarray(base["0.weight"])}) in digests


def test_weights_without_the_encoder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleInvalid, match=r"weights\.safetensors cannot be read"):
        labels.encoder_digest_in(tmp_path / "weights.safetensors", "ranking")
