"""`explaind serve --help` ends with every setting, its default and what it does."""

from __future__ import annotations

import json
import shutil
import textwrap
from typing import Any

from typer.core import TyperCommand

from explaind.cli.options import extra, variable

WIDEST = 110


class ServeCommand(TyperCommand):
    def get_help(self, ctx: Any) -> str:
        text: str = super().get_help(ctx)
        return f"{text}{_settings()}"


def _settings() -> str:
    """Paragraphs of a name with its default, and what it does indented below."""
    with extra("server"):
        from explaind.settings import Settings
    width = min(shutil.get_terminal_size().columns, WIDEST) - 2
    lines = [" Settings, as environment variables; an option above goes before its variable:", ""]
    for name, field in Settings.model_fields.items():
        lines.append(f"  {variable(name)}={_written(field.default)}")
        lines += textwrap.wrap(
            field.description or "", width, initial_indent=" " * 6, subsequent_indent=" " * 6, break_on_hyphens=False
        )
    return "\n".join(lines)


def _written(default: object) -> str:
    """As it would stand in the environment; nothing for what is chosen by what the machine has."""
    if default is None:
        return ""
    if isinstance(default, tuple):
        return f"'{json.dumps(default)}'"
    return str(default).lower() if isinstance(default, bool) else str(default)
