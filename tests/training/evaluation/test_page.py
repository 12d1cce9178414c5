"""A page's Markdown and its pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explaind.errors import ConfigurationError
from explaind.figures.charts import chart
from explaind.training.evaluation.page import Page, cell


def test_tables_escape_what_would_break_them(tmp_path: Path) -> None:
    page = Page(tmp_path, "Title")
    page.table(("a|b", "n"), [("two\nlines", 0.123456), (None, float("nan")), (True, 12)])
    assert page.markdown().splitlines()[2:] == [
        "| a\\|b | n |", "| --- | --- |", "| two lines | 0.1235 |", "| – | – |", "| yes | 12 |"]  # fmt: skip


@pytest.mark.parametrize(("value", "written"), [(1.0, "1"), (0.00002, "2e-05"), (False, "no"), ("x", "x"), (7, "7")])
def test_cells(value: object, written: str) -> None:
    assert cell(value) == written


def test_figures_are_written_as_drawn_and_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        figure, (axes,) = chart(300, 200)
        axes.bar([0, 1], [1, 2], color="#00736b")
        Page(tmp_path, "Figures").figure(name, figure, "Two bars.")
    one, two = (tmp_path / f"{name}.png" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    pixels = np.asarray(Image.open(one))
    assert pixels.shape == (200, 300, 3) and (pixels == (0, 115, 107)).all(axis=-1).mean() > 0.2


def test_the_page_is_whole_or_not_there(tmp_path: Path) -> None:
    page = Page(tmp_path / "deep/er", "Title")
    page.heading("Part", level=2)
    page.text("  words  ")
    assert page.save().read_text(encoding="utf-8") == "# Title\n\n## Part\n\nwords\n"
    assert [path.name for path in (tmp_path / "deep/er").iterdir()] == ["README.md"]


def test_a_folder_that_cannot_be_made_is_named() -> None:
    with pytest.raises(ConfigurationError, match="/proc/results"):
        Page(Path("/proc/results"), "Title")
