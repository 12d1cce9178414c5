"""One section of an evaluation: what it measures, what it writes, and which bundles it is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.subject import Subject


def always(subject: Subject) -> str | None:
    return None


def without_path_masks(subject: Subject) -> str | None:
    """Of a section that is about morphs or masks."""
    if "path_mask" in subject.manifest.explanations:
        return None
    return "The bundle has no path masks: no morphing space, or a classifier without gradients."


@dataclass(frozen=True, slots=True)
class Section:
    """key: of its figures in evaluation.json. title: its heading in the report.

    run: measures, writes text, tables and figures on the page under the heading that is already there, and returns
    the figures as JSON (numbers, strings, lists, mappings). excuse: why the section is not for this bundle, as a
    sentence for the report; None where it is. morphs: whether FAST morphs are behind the figures, so that another walk
    would give others.
    """

    key: str
    title: str
    run: Callable[[Subject, Extent, Page], Mapping[str, object]]
    excuse: Callable[[Subject], str | None] = always
    morphs: bool = False
