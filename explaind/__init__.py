"""explaind: explains the decisions of an image classifier over gRPC, in milliseconds."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("explaind")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__"]
