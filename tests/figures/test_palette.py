from __future__ import annotations

import subprocess
import sys

import numpy as np

from explaind.figures import palette


def test_colours_with_a_meaning_are_not_given_to_classes() -> None:
    meanings = {palette.RED, palette.BLUE, palette.GREEN, palette.OURS, palette.THEIRS}
    assert len(set(palette.SERIES)) == 10 and not meanings & set(palette.SERIES)
    assert palette.series(0) == palette.series(10) != palette.series(1)


def test_rgb_reads_hexadecimal() -> None:
    assert np.allclose(palette.rgb("#ff0080"), (1, 0, 128 / 255))


def test_the_palette_costs_no_matplotlib() -> None:
    code = "import sys, explaind.figures.palette; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
