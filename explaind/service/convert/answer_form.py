"""How the answer is to be written down, apart from what is asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explaind.errors import ParameterOutOfRange
from explaind.service.convert.tensors import DTYPES, ImageDtype
from explaind.v1 import explanation_service_pb2

_FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """top_classes: how many scores, None all. image_dtype: of what lies in [0, 1]; uint8 is rounded to 1/255."""

    top_classes: int | None = None
    image_dtype: ImageDtype = _FLOAT32


def answer_form_from_proto(message: explanation_service_pb2.ExplainRequest) -> AnswerForm:
    """Raises ParameterOutOfRange for a negative number of classes and for a data type that there is not."""
    if message.top_classes < 0:
        raise ParameterOutOfRange(
            f"top_classes is {message.top_classes}; send 0 for all classes or a positive number.", field="top_classes"
        )
    image_dtype = DTYPES.get(message.image_dtype) if message.image_dtype else _FLOAT32
    if image_dtype is None:
        raise ParameterOutOfRange(
            f"image_dtype is {message.image_dtype}; send DATA_TYPE_FLOAT32 or DATA_TYPE_UINT8.", field="image_dtype"
        )
    return AnswerForm(message.top_classes or None, image_dtype)
