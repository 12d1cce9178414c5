"""What the backends in this process may compute on. Imports neither onnxruntime nor torch."""

from __future__ import annotations

import ctypes
import functools
from typing import Literal

Device = Literal["auto", "cpu", "cuda"]
"""auto: CUDA where the driver shows a device, else the CPU."""


@functools.cache
def cuda_devices() -> int:
    """How many CUDA devices the driver shows; 0 without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def wants_cuda(device: Device) -> bool:
    """Whether CUDA is to be used; where `cuda` is asked for, there may still be none."""
    return device == "cuda" or (device == "auto" and cuda_devices() > 0)
