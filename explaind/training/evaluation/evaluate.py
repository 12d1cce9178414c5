"""The evaluation of a bundle, section by section."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from explaind.bundles import manifest as manifests
from explaind.errors import ConfigurationError, ExplaindError
from explaind.training.evaluation.extent import QUICK, Extent
from explaind.training.evaluation.lookup import FILE_NAME, RESULTS
from explaind.training.evaluation.morphing.morphs import WALK
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.report import Report
from explaind.training.evaluation.section import Section
from explaind.training.evaluation.sections import SECTIONS
from explaind.training.evaluation.subject import Subject, open_subject

__all__ = ["FILE_NAME", "QUICK", "RESULTS", "Extent", "evaluate"]


def evaluate(
    bundle: Path,
    *,
    data: Path = Path("data"),
    runs: Path = Path("training_runs"),
    results: Path = RESULTS,
    extent: Extent | None = None,
    only: Sequence[str] = (),
    records: Path | None = None,
    sections: Sequence[Section] = SECTIONS,
    report: Callable[[str], None] = lambda line: None,
) -> Mapping[str, Any]:
    """bundle: the folder with recipe.toml. Writes evaluation.json and `results`/NAME/README.md with its figures, and
    returns what evaluation.json holds. A section that fails with a typed error says so in both, and the
    others go on.

    runs: where the judge's network is. only: keys of the sections to measure; the others keep what an earlier run
    found. records: its NAME gets evaluation.json; None: the bundle itself. report: called with a line before and after
    each section. Raises BundleInvalid, RecipeInvalid, DataSetInvalid, ConfigurationError for an unknown section or
    where nothing can be written.
    """
    chosen = _chosen(sections, only)
    subject = open_subject(bundle, data, runs)
    name = subject.manifest.name
    heading = {
        "bundle": name,
        "version": subject.manifest.version,
        "bundle_digest": manifests.digest(subject.folder),
    }
    kept = Report(records / name if records else bundle, results / name, heading, sections)
    kept.begin(keep=bool(only))
    for place, section in enumerate(chosen, start=1):
        report(f"[{place}/{len(chosen)}] {section.key} …")
        start = time.perf_counter()
        outcome = _measure(section, subject, extent or Extent(), kept)
        report(f"[{place}/{len(chosen)}] {section.key}: {outcome} in {time.perf_counter() - start:.0f} s")
    return kept.evaluation()


def _chosen(sections: Sequence[Section], only: Sequence[str]) -> list[Section]:
    known = {section.key: section for section in sections}
    unknown = next((key for key in only if key not in known), None)
    if unknown is not None:
        raise ConfigurationError(f"There is no section {unknown}; choose among {', '.join(known)}.")
    return [section for section in sections if not only or section.key in only]


def _measure(section: Section, subject: Subject, extent: Extent, kept: Report) -> str:
    """Runs one section and keeps what it found; returns how it went."""
    page = Page(kept.folder, section.title, level=2)
    excuse = section.excuse(subject)
    if excuse is not None:
        page.text(excuse)
        kept.put(section.key, {"excuse": excuse}, page.markdown())
        return "not for this bundle"
    try:
        figures = section.run(subject, extent, page)
    except ExplaindError as error:
        # The first line is the sentence; what follows, as a server's log, is of this machine alone.
        sentence = str(error).partition("\n")[0]
        page.text(f"**Failed:** {sentence}")
        kept.put(section.key, {"failed": sentence}, page.markdown())
        return f"failed ({error})"
    walk = {"walk": WALK} if section.morphs else {}
    kept.put(section.key, {**figures, **walk}, page.markdown())
    return "done"
