"""Between the protos and explaind's own types, by name; a field is added here and nowhere else.

`X_from_proto` checks what only the wire can get wrong (unknown enum numbers, tensor shapes, absent messages) and
raises a typed error that names the field as the caller wrote it; ranges are checked where they are used.
"""

from explaind.service.convert.answer_form import AnswerForm, answer_form_from_proto
from explaind.service.convert.latents import (
    compare_request_from_proto,
    compare_result_to_proto,
    traverse_request_from_proto,
    traverse_result_to_proto,
)
from explaind.service.convert.models import list_models_to_proto, model_to_proto
from explaind.service.convert.parameters import (
    anomaly_parameters_from_proto,
    path_mask_parameters_from_proto,
    ranking_parameters_from_proto,
)
from explaind.service.convert.requests import (
    asked_from_proto,
    image_from_proto,
    request_from_proto,
    score_request_from_proto,
    score_size,
)
from explaind.service.convert.results import explanation_to_proto
from explaind.service.convert.scores import score_result_to_proto
from explaind.service.convert.tensors import array_from_proto, tensor_to_proto

__all__ = [
    "AnswerForm",
    "anomaly_parameters_from_proto",
    "answer_form_from_proto",
    "array_from_proto",
    "asked_from_proto",
    "compare_request_from_proto",
    "compare_result_to_proto",
    "explanation_to_proto",
    "image_from_proto",
    "list_models_to_proto",
    "model_to_proto",
    "path_mask_parameters_from_proto",
    "ranking_parameters_from_proto",
    "request_from_proto",
    "score_request_from_proto",
    "score_result_to_proto",
    "score_size",
    "tensor_to_proto",
    "traverse_request_from_proto",
    "traverse_result_to_proto",
]
