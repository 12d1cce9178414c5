"""All metrics of DESIGN.md §6, built on a registry that is passed in. Seconds and base units throughout.

Label values come from the catalogue and from fixed sets, never from a caller.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from explaind.batch_metrics import BatchSizes
from explaind.late_histogram import LateHistogram

LATENCY_BUCKETS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
)  # fmt: skip
"""One is exactly at each latency objective: 10 ms, 50 ms, 100 ms, 1 s."""

P_VALUE_BUCKETS = tuple(i / 20 for i in range(1, 21))
GRPC_LABELS = ("grpc_type", "grpc_service", "grpc_method")


class Metrics:
    """One instance a process; hand it down, never reach for a global."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._build_grpc(registry)
        self._build_work(registry)
        self._build_explanations(registry)
        ProcessCollector(registry=registry)  # CPU, memory and open files of this process; Linux only

    def _build_grpc(self, registry: CollectorRegistry) -> None:
        self.grpc_started = Counter("grpc_server_started", "RPCs started.", GRPC_LABELS, registry=registry)
        self.grpc_handled = Counter(
            "grpc_server_handled", "RPCs ended, by code.", (*GRPC_LABELS, "grpc_code"), registry=registry
        )
        self.grpc_seconds = LateHistogram(
            "grpc_server_handling_seconds",
            "Time from the start of an RPC to its end.",
            (*GRPC_LABELS, "grpc_code"),
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )

    def _build_work(self, registry: CollectorRegistry) -> None:
        self.queue_wait_seconds = LateHistogram(
            "explaind_queue_wait_seconds",
            "Time a request waited for a worker.",
            ("cost_class",),
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.queue_depth = Gauge("explaind_queue_depth", "Requests waiting.", ("cost_class",), registry=registry)
        self.inflight_requests = Gauge(
            "explaind_inflight_requests", "Requests being computed.", ("cost_class",), registry=registry
        )
        self.message_images = LateHistogram(
            "explaind_batch_size",
            "Images in one ScoreAnomalies message.",
            ("model",),
            buckets=tuple(2.0**i for i in range(13)),
            registry=registry,
        )
        self.backend_batches = BatchSizes(registry)
        self.awake_seconds = Counter(
            "explaind_event_loop_awake_seconds",
            "Time the event loop looked for the next call instead of sleeping: processor time that no call needed.",
            registry=registry,
        )
        self.rejected = Counter(
            "explaind_rejected", "Requests refused before any work, by reason.", ("reason",), registry=registry
        )
        self.backend_fallback = Counter(
            "explaind_backend_fallback",
            "Requests a backend failed on and the next one served.",
            ("from", "to", "reason"),
            registry=registry,
        )

    def _build_explanations(self, registry: CollectorRegistry) -> None:
        self.explanation_seconds = LateHistogram(
            "explaind_explanation_seconds",
            "Time one explanation of one image took.",
            ("explanation", "model", "backend"),
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.stage_seconds = LateHistogram(
            "explaind_stage_seconds", "Time a stage took.", ("stage",), buckets=LATENCY_BUCKETS, registry=registry
        )
        self.anomaly_p_value = LateHistogram(
            "explaind_anomaly_p_value",
            "Conformal p-values; uniform when nothing drifts.",
            ("model",),
            buckets=P_VALUE_BUCKETS,
            registry=registry,
        )
        self.path_mask_outcome = Counter(
            "explaind_path_mask_outcome", "Path masks, by outcome.", ("model", "outcome"), registry=registry
        )
        self.path_mask_objective = LateHistogram(
            "explaind_path_mask_objective",
            "Objective J reached.",
            ("model",),
            buckets=tuple(i / 10 for i in range(-2, 16)),
            registry=registry,
        )
        self.morph_steps = LateHistogram(
            "explaind_morph_steps",
            "Steps a morph took.",
            ("model",),
            buckets=(1, 2, 4, 8, 12, 16, 24, 32, 64, 128, 256, 512, 1024, 2048, 5000),
            registry=registry,
        )
        self.model_info = Gauge(
            "explaind_model_info",
            "1 for each version that is served.",
            ("model", "version", "digest"),
            registry=registry,
        )
