"""onnxruntime, silent: whoever needs it imports it from here.

Its telemetry is on unless this says otherwise before it is loaded (1.31 writes a device id at import); a daemon must
not call home.
"""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

__all__ = ["onnxruntime"]
