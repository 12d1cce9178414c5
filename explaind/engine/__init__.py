"""The transport-free core: one request from the catalogue to the answer (DESIGN §1)."""

from explaind.engine.engine import Engine

__all__ = ["Engine"]
