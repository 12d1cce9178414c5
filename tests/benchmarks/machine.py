"""What a run ran on: without it no figure can be compared."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from explaind.backends.devices import cuda_devices

ROOT = Path(__file__).parents[2]
DRIVER = Path("/proc/driver/nvidia/gpus")
PACKAGES = ("onnxruntime-gpu", "torch", "torchserve", "captum", "grpcio", "numpy")


def described() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(os.getloadavg()[0], 2),
        "cuda_devices": cuda_devices(),
        "cuda_name": _cuda_name(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": _commit(),
    }


def sentence(machine: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items() if number)
    name = machine.get("cuda_name") or "CUDA device"
    cuda = f"{machine['cuda_devices']} × {name}" if machine["cuda_devices"] else "no CUDA device"
    return (
        f"{machine['cores']} cores of {machine['processor']}, load {machine['load_before']} before the run; {cuda}; "
        f"Python {machine['python']}, {packages}; commit {machine['commit']}."
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _cuda_name() -> str:
    """Of the first device, as the driver says on Linux."""
    told = next((path.read_text() for path in sorted(DRIVER.glob("*/information"))), "")
    return next((line.partition(":")[2].strip() for line in told.splitlines() if line.startswith("Model:")), "")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    try:
        command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
