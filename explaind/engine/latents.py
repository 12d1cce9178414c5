"""What is answered of latents alone: two images compared, an image's latents moved."""

from __future__ import annotations

from dataclasses import replace

from explaind.bundles.bundle import Bundle
from explaind.engine import support
from explaind.engine.work import Work
from explaind.explanations import latent_traversal
from explaind.explanations.latent_types import TraversalParameters
from explaind.explanations.models import FloatArray
from explaind.requests import CompareResult, TraverseResult


def compared(work: Work, images: FloatArray, space: str) -> CompareResult:
    """images (2, C, H, W), A then B."""
    first, second = work.predict(images)
    return CompareResult(
        model=work.bundle.name,
        model_version=work.bundle.version,
        latent_space=space,
        predictions=(first, second),
        comparison=work.compare(images, space),
        class_names=work.bundle.manifest.class_names,
        bundle_digest=work.bundle.digest,
    )


def settled(bundle: Bundle, parameters: TraversalParameters) -> TraversalParameters:
    """With the latent space and the latents to move filled in; all that can be refused before the image is seen is.

    Raises ExplanationUnsupported where the bundle has no ranked latents, ParameterOutOfRange naming the field.
    """
    space = support.latent_space(bundle, parameters.latent_space)
    dimensions = latent_traversal.checked_dimensions(
        parameters, bundle.reference.rankings[space], bundle.manifest.image_shape
    )
    return replace(parameters, latent_space=space, dimensions=dimensions)


def traversed(work: Work, image: FloatArray, parameters: TraversalParameters) -> TraverseResult:
    """image (C, H, W); parameters: settled."""
    (prediction,) = work.predict(image[None])
    return TraverseResult(
        model=work.bundle.name,
        model_version=work.bundle.version,
        latent_space=parameters.latent_space,
        prediction=prediction,
        traversals=work.traverse(image, parameters, prediction),
        class_names=work.bundle.manifest.class_names,
        bundle_digest=work.bundle.digest,
    )
