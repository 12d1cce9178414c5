from __future__ import annotations

import subprocess
import sys

import explaind_client

HEAVY = ("torch", "onnxruntime", "PIL", "pyarrow", "pydantic", "typer", "matplotlib", "explaind.engine")


def test_methods_of_both_clients_are_the_same() -> None:
    def methods(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert methods(explaind_client.Client) == methods(explaind_client.AsyncClient)


def test_importing_the_client_imports_nothing_heavy() -> None:
    code = f"import sys, explaind_client; print([m for m in {HEAVY!r} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
