"""The recipe's section [classifier] where the classifier is a program that was trained elsewhere."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from explaind.training.recipe_errors import misfit
from explaind.training.recipe_section import Positive, Section

PROGRAM_SUFFIXES = (".pt2", ".onnx")


class ProgramRecipe(Section):
    """program: the file beside the recipe, a torch.export program or an ONNX graph. sha256: of its bytes.

    input_shape: (C, H, W) that it takes; images are resized to it inside the exported graphs. mean, deviation: of
    its normalisation (x − mean)/deviation, pixels in [0, 1]; one number, or one a channel. outputs: what it gives.
    gradients: path masks are wanted, which need a program that has them.
    """

    program: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+\.(pt2|onnx)$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    input_shape: Annotated[tuple[Positive, Positive, Positive], Field(strict=False)]
    mean: Annotated[tuple[float, ...], Field(strict=False)] = (0.0,)
    deviation: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(strict=False)] = (1.0,)
    outputs: Literal["logits", "probabilities"] = "logits"
    gradients: bool = True

    @property
    def architecture(self) -> str:
        """What a description calls it."""
        return self.program

    @model_validator(mode="after")
    def _one_number_a_channel(self) -> Self:
        channels = self.input_shape[0]
        for key in ("mean", "deviation"):
            if len(getattr(self, key)) not in (1, channels):
                raise misfit(key, f"give one number, or one for each of the {channels} channels")
        return self
