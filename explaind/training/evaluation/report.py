"""What an evaluation leaves behind: evaluation.json beside the recipe, and a page with its figures.

Both are written after every section, so that a run that ends early loses nothing, and both hold the sections of
earlier runs until these are measured again. On the page each section stands between markers that Markdown does not
show.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from explaind.errors import ConfigurationError
from explaind.training.evaluation.bars import judge_all, table_of
from explaind.training.evaluation.lookup import FILE_NAME
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.section import Section

_MARKER = re.compile(r"^<!-- section: (\S+) -->$", re.MULTILINE)


class Report:
    """record: the folder of evaluation.json. folder: of the page and its figures. heading: bundle, version and
    bundle_digest. sections: all there are, in the page's order."""

    def __init__(self, record: Path, folder: Path, heading: Mapping[str, str], sections: Sequence[Section]) -> None:
        self.folder = folder
        self._file, self._page = record / FILE_NAME, folder / "README.md"
        self._heading, self._sections = dict(heading), sections

    def begin(self, *, keep: bool) -> None:
        """keep: sections of an earlier run that this one does not repeat stay as they are.

        Raises ConfigurationError where they are of another build of the bundle, or cannot be read.
        """
        earlier = self._read()
        same = earlier.get("bundle_digest") == self._heading["bundle_digest"]
        if keep and earlier and not same:
            raise ConfigurationError(
                f"{self._file} is of another build of this bundle; evaluate all sections, without --section."
            )
        if earlier and not same:
            self._write({}, {})

    def put(self, key: str, figures: Mapping[str, object], markdown: str) -> None:
        """One section's figures and text, in the place of an earlier run's. The files are read again before: another
        run may have put its own section there meanwhile."""
        evaluation, texts = self._read(), self._texts()
        self._write({**evaluation, key: figures}, {**texts, key: markdown})

    def evaluation(self) -> Mapping[str, Any]:
        return self._read()

    def _read(self) -> dict[str, Any]:
        if not self._file.exists():
            return {}
        try:
            content: Any = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{self._file} cannot be read ({error}); delete it and evaluate again.") from error
        return content if isinstance(content, dict) else {}

    def _texts(self) -> dict[str, str]:
        """Markdown of each section on the page."""
        if not self._page.exists():
            return {}
        parts = _MARKER.split(self._page.read_text(encoding="utf-8"))
        return {key: text.strip() for key, text in zip(parts[1::2], parts[2::2], strict=True)}

    def _write(self, evaluation: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        keys = [section.key for section in self._sections]
        measured = {key: evaluation[key] for key in keys if key in evaluation}
        content: dict[str, Any] = {**self._heading, **_plain(measured)}
        content["bars"] = judge_all(content)
        _replace(self._file, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        blocks = [f"<!-- section: {key} -->\n\n{texts[key]}" for key in measured if key in texts]
        _replace(self._page, "\n\n".join([self._front(content), *blocks]) + "\n")

    def _front(self, content: Mapping[str, Any]) -> str:
        page = Page(self.folder, f"The bundle {self._heading['bundle']}, measured")
        page.text(
            f"Written by `explaind evaluate`, as is `evaluation.json` beside the recipe. Version "
            f"{self._heading['version']}, bundle digest `{self._heading['bundle_digest'][:16]}…`. Unless said "
            "otherwise, images are of the evaluation half of the test set: nothing was fitted, stopped or calibrated "
            "on them."
        )
        header, rows = table_of(content)
        if rows:
            page.heading("What it must reach", level=2)
            page.table(header, rows)
        return page.markdown()


def _replace(path: Path, text: str) -> None:
    temporary = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({error.strerror}); check the folder's rights.") from error


def _plain(value: object) -> Any:
    """JSON: NumPy's scalars and arrays as Python's, and floats to six significant digits: what is measured here is
    not more certain. NaN, which JSON lacks, is null."""
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
