"""The report's section: planted causes where the bundle has one, then the checks for every bundle with gradients."""

from __future__ import annotations

from collections.abc import Mapping

from explaind.backends import networks as tables
from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.section import Section
from explaind.training.evaluation.subject import Subject
from explaind.training.evaluation.truth import planted_report, sanity_report
from explaind.training.evaluation.truth.white_box import open_white_box

_INTRODUCTION = """An explanation that looks right need not be true. Measured here: whether it names a cause that is
known by construction (planted bundles only), whether it changes as the classifier loses its layers, whether it stays
under a little noise, and whether the pixels that it marks are those that turn the decision. Beside the path mask stand
seven attributions of others, computed by Captum from the predicted class's logit."""


def _run(subject: Subject, extent: Extent, page: Page) -> Mapping[str, object]:
    page.text(_INTRODUCTION)
    box = open_white_box(subject)
    planted = planted_report.write(subject, box, extent, page)
    return {**planted, **sanity_report.write(subject, box, extent, page)}


def _excuse(subject: Subject) -> str | None:
    roles = [subject.manifest.space_with_role(role) for role in ("morphing", "ranking")]
    if subject.models.classifier_gradient is None or None in roles:
        return "This bundle has no gradients, or no space to morph or to rank in, so there is nothing to compare."
    if not tables.read(subject.folder).classifier:
        return "This bundle's classifier is no table of layers, so its layers cannot be made random one by one."
    return None


SECTION = Section("truth", "Is the explanation true?", _run, _excuse, morphs=True)
