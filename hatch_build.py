"""Generates the gRPC stubs from proto/ whenever the project is built, editable installs included."""

from __future__ import annotations

import shutil
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGES = ("explaind/v1", "explaind/backends/torchserve_stubs", "explaind/backends/onnx_stubs")


class StubBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if self.target_name == "sdist" or not (root / "proto").is_dir():
            return
        generate(root)


def generate(root: Path) -> None:
    """Writes *_pb2.py, *_pb2_grpc.py and their .pyi beside where the package path of each proto says."""
    from grpc_tools import protoc

    includes = [str(root / "proto"), str(files("grpc_tools") / "_proto"), str(_google_protos())]
    for package in PACKAGES:
        protos = sorted(str(p) for p in (root / "proto" / package).glob("*.proto"))
        code = protoc.main(["protoc", *(f"-I{i}" for i in includes), *_outputs(root), *protos])
        if code != 0:
            sys.exit(f"Generating the stubs of proto/{package} failed; the lines above say where.")
        (root / package / "__init__.py").write_text('"""Generated from proto/; do not edit."""\n')


def _outputs(root: Path) -> list[str]:
    outputs = [f"--python_out={root}", f"--grpc_python_out={root}"]
    # The typed stubs come from mypy-protobuf; a build without its scripts on the path still works, untyped.
    scripts = Path(sys.executable).parent
    for plugin in ("mypy", "mypy_grpc"):
        program = shutil.which(f"protoc-gen-{plugin}") or shutil.which(f"protoc-gen-{plugin}", path=str(scripts))
        if program:
            outputs += [f"--plugin=protoc-gen-{plugin}={program}", f"--{plugin}_out=quiet:{root}"]
    return outputs


def _google_protos() -> Path:
    """The folder that holds google/rpc/status.proto (googleapis-common-protos)."""
    return Path(str(files("google.rpc") / "status.proto")).parents[2]


if __name__ == "__main__":
    generate(Path(__file__).parent)
