from __future__ import annotations

import io
import re

from explaind.training.progress import BarReporter, LogReporter, figures, reporting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_plain_lines_and_no_steps() -> None:
    stream = io.StringIO()
    with reporting(stream) as reporter:
        assert isinstance(reporter, LogReporter)
        reporter.start("classifier", 10)
        reporter.step()
        reporter.note("epoch 1 of 2, validation 0.5")
    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(r" *\d+\.\d s  classifier: started", first)
    assert second.endswith("classifier: epoch 1 of 2, validation 0.5")


def test_a_terminal_gets_a_bar_and_its_notes_stay() -> None:
    stream = Terminal()
    with reporting(stream) as reporter:
        assert isinstance(reporter, BarReporter)
        reporter.start("classifier", 2)
        reporter.step()
        reporter.start("morphing", 0)
        reporter.step()
        reporter.note("finished [really]")
    assert "morphing: finished [really]" in stream.getvalue()


def test_figures_are_short() -> None:
    assert figures({"accuracy": 0.99333, "epochs": 14}) == "accuracy 0.9933, epochs 14"
