from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from explaind.errors import ClassifierInvalid
from explaind.explanations.models import FloatArray
from explaind.training.foreign.behaviour import examine
from explaind.training.foreign.preparation import Preparation
from explaind.training.foreign.program import Program

SHAPE = (1, 4, 4)
PREPARATION = Preparation(image_shape=SHAPE, input_shape=SHAPE)
NAMES = ("cat", "dog", "hen")


class _Answer(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def forward(self, images: Tensor) -> Tensor:
        logits = images.flatten(1)[:, :3] * 5
        answers = {
            "single": logits[:, :1],
            "four": images.flatten(1)[:, :4],
            "maps": images,
            "nan": logits / 0 - logits / 0,
            "of the batch": logits - logits.mean(dim=0),
            "double": logits.double(),
            "probabilities": torch.softmax(logits, dim=1),
            "good": logits,
        }
        if self._kind == "fails":
            raise RuntimeError("expected 224 pixels")
        return answers[self._kind]


def _images() -> FloatArray:
    return np.random.default_rng(0).random((8, *SHAPE), dtype=np.float32)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("fails", "expected 224 pixels"),
        ("single", "a single output"),
        ("four", "4 outputs, there are 3 classes"),
        ("maps", "not .images, classes."),
        ("nan", "NaN or infinity"),
        ("of the batch", "alone and in a batch"),
        ("double", "not float32"),
    ],
)
def test_a_classifier_that_answers_wrongly_is_refused(kind: str, said: str) -> None:
    program = Program(_Answer(kind), 1, 4, 4, differentiable=False)
    with pytest.raises(ClassifierInvalid, match=said):
        examine(program, PREPARATION, _images(), NAMES)


@pytest.mark.parametrize(("kind", "outputs"), [("good", "logits"), ("probabilities", "probabilities")])
def test_the_kind_of_outputs_is_seen(kind: str, outputs: str) -> None:
    seen = examine(Program(_Answer(kind), 1, 4, 4, differentiable=False), PREPARATION, _images(), NAMES)
    assert seen.preparation.outputs == outputs and seen.seconds > 0
