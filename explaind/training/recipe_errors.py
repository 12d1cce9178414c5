"""What is wrong with a recipe, said with its key and line."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from pydantic_core import ErrorDetails, PydanticCustomError

from explaind.errors import RecipeInvalid


def one_of(value: str, known: Collection[str]) -> str:
    """The value, if it is known; pydantic names the key of the ValueError."""
    if value not in known:
        raise ValueError(f"{value!r} is not known; choose one of {', '.join(known)}")
    return value


def misfit(key: str, problem: str) -> PydanticCustomError:
    """Keys that contradict each other: `key`, from its section on, is the one to name."""
    return PydanticCustomError("misfit", "{problem}", {"misfit": key, "problem": problem})


def invalid(path: Path, text: str, error: ErrorDetails) -> RecipeInvalid:
    """path, text: the recipe's file and its content. error: the first of pydantic's."""
    keys = [str(part) for part in error["loc"] if not str(part).startswith("[")]  # [key], and a union's [tags]
    keys += error.get("ctx", {}).get("misfit", "").split(".") if error["type"] == "misfit" else []
    key = ".".join(keys)
    line = line_of(text, keys)
    where = f"{path}, line {line}" if line else str(path)
    if error["type"] == "extra_forbidden":
        problem = f"the key {key} is not known; remove it or correct its spelling"
    elif error["type"] == "missing":
        problem = f"the key {key} is missing; add it"
    else:
        problem = f"{key}: {error['msg'].removeprefix('Value error, ')}" if key else error["msg"]
    return RecipeInvalid(f"{where}: {problem}.", metadata={"path": str(path), "key": key, "line": str(line or "")})


def line_of(text: str, keys: list[str]) -> int | None:
    """The line of the deepest of `keys` that the text has, sections included."""
    section: list[str] = []
    best: tuple[int, int] = (0, 0)
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            section = [part.strip().strip('"') for part in header[1].split(".")]
            found = section
        elif pair := re.match(r"\s*([\w.\"-]+)\s*=", line):
            found = [*section, *(part.strip('"') for part in pair[1].split("."))]
        else:
            continue
        if keys[: len(found)] == found and len(found) > best[0]:
            best = (len(found), number)
    return best[1] or None
