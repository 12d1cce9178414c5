"""Every error explaind raises on purpose. No grpc here: `service/status.py` turns them into statuses, once.

ExplaindError
├── InvalidRequest                 the caller's input; `field` names it
│   ├── ImageUndecodable           IMAGE_UNDECODABLE
│   ├── ImageTooLarge              IMAGE_TOO_LARGE
│   ├── MessageTooLarge            MESSAGE_TOO_LARGE
│   ├── ShapeMismatch              SHAPE_MISMATCH
│   ├── PixelOutOfRange            PIXEL_OUT_OF_RANGE
│   └── ParameterOutOfRange        PARAMETER_OUT_OF_RANGE
├── ModelNotFound                  MODEL_NOT_FOUND
├── ExplanationUnsupported         EXPLANATION_UNSUPPORTED
├── Unavailable                    try again after `retry_after` seconds
│   ├── ModelLoading               MODEL_LOADING
│   ├── BackendUnavailable         BACKEND_UNAVAILABLE
│   └── QueueFull                  QUEUE_FULL
├── DeadlineTooShort               DEADLINE_TOO_SHORT
├── Cancelled                      CANCELLED: the caller went away
├── NotAuthenticated               NOT_AUTHENTICATED
├── NotPermitted                   NOT_PERMITTED
└── ConfigurationError             the operator's or builder's input; ends a command with one sentence
    ├── BundleInvalid              BUNDLE_INVALID: a missing, altered or malformed bundle file
    ├── RecipeInvalid              RECIPE_INVALID
    ├── DataSetInvalid             DATA_SET_INVALID
    ├── ClassifierInvalid          CLASSIFIER_INVALID: a foreign classifier's file that a bundle cannot be built around
    ├── ParityFailed               PARITY_FAILED: an exported graph differs from PyTorch
    └── LaunchFailed               LAUNCH_FAILED: a port in use, no Java, a server that does not come up
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class ExplaindError(Exception):
    """Base of all deliberate errors.

    `reason` is a fixed upper-case word for machines; `metadata` holds facts for them; the message is one
    sentence for people that says what to do next.
    """

    reason: ClassVar[str] = "UNEXPECTED"

    def __init__(self, message: str, *, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.metadata: dict[str, str] = dict(metadata or {})


class InvalidRequest(ExplaindError):
    """The caller's input cannot be used. `field` is the path of the field, as in `path_mask.step_count`."""

    reason = "INVALID_REQUEST"

    def __init__(self, message: str, *, field: str, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message, metadata={"field": field, **(metadata or {})})
        self.field = field


class ImageUndecodable(InvalidRequest):
    reason = "IMAGE_UNDECODABLE"


class ImageTooLarge(InvalidRequest):
    reason = "IMAGE_TOO_LARGE"


class MessageTooLarge(InvalidRequest):
    """More bytes at once than the daemon takes."""

    reason = "MESSAGE_TOO_LARGE"


class ShapeMismatch(InvalidRequest):
    reason = "SHAPE_MISMATCH"


class PixelOutOfRange(InvalidRequest):
    """NaN, infinite, or outside [0, 1]."""

    reason = "PIXEL_OUT_OF_RANGE"


class ParameterOutOfRange(InvalidRequest):
    reason = "PARAMETER_OUT_OF_RANGE"


class ModelNotFound(ExplaindError):
    reason = "MODEL_NOT_FOUND"


class ExplanationUnsupported(ExplaindError):
    """The bundle lacks what was asked for: no VAE, no forest, no gradients."""

    reason = "EXPLANATION_UNSUPPORTED"


class Unavailable(ExplaindError):
    """Nothing can serve this now; `retry_after` is in seconds."""

    reason = "UNAVAILABLE"

    def __init__(self, message: str, *, retry_after: float = 1.0, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message, metadata=metadata)
        self.retry_after = retry_after


class ModelLoading(Unavailable):
    reason = "MODEL_LOADING"


class BackendUnavailable(Unavailable):
    reason = "BACKEND_UNAVAILABLE"


class QueueFull(Unavailable):
    reason = "QUEUE_FULL"


class DeadlineTooShort(ExplaindError):
    """The deadline cannot be met, or passed before anything could be returned."""

    reason = "DEADLINE_TOO_SHORT"


class Cancelled(ExplaindError):
    """The caller cancelled; raised between two steps of a computation to end it."""

    reason = "CANCELLED"


class NotAuthenticated(ExplaindError):
    reason = "NOT_AUTHENTICATED"


class NotPermitted(ExplaindError):
    reason = "NOT_PERMITTED"


class ConfigurationError(ExplaindError):
    reason = "CONFIGURATION_INVALID"


class BundleInvalid(ConfigurationError):
    reason = "BUNDLE_INVALID"


class RecipeInvalid(ConfigurationError):
    reason = "RECIPE_INVALID"


class DataSetInvalid(ConfigurationError):
    reason = "DATA_SET_INVALID"


class ClassifierInvalid(ConfigurationError):
    reason = "CLASSIFIER_INVALID"


class ParityFailed(ConfigurationError):
    reason = "PARITY_FAILED"


class LaunchFailed(ConfigurationError):
    reason = "LAUNCH_FAILED"
