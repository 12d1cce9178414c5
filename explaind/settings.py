"""Frozen settings; the only reader of the environment (prefix EXPLAIND_)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from explaind.cores import cores


class Settings(BaseSettings):
    """What `explaind serve` and the engine are told.

    Each field's description says what happens when it is too small or too large.
    """

    model_config = SettingsConfigDict(env_prefix="EXPLAIND_", frozen=True, extra="ignore", protected_namespaces=())

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 shows the service to the network.")
    port: int = Field(50051, ge=0, le=65535, description="gRPC port; 0 picks a free one and prints it.")
    metrics_port: int = Field(9464, ge=0, le=65535, description="HTTP port of /metrics; 0 picks a free one.")
    model_store: Path = Field(Path("model_store"), description="Folder of bundles, one folder a model.")
    models: tuple[str, ...] = Field(
        (),
        description="Names of the store's models to serve; none: all of them. Too many: each holds its networks in "
        "memory from the start; too few: a caller of another is answered NOT_FOUND. Health says NOT_SERVING until all "
        "that are named are there.",
    )
    backends: tuple[str, ...] = Field(
        ("onnx",), description="Backends in the order they are tried: onnx, torchserve, torch."
    )
    torchserve_address: str = Field("", description="host:port of a running TorchServe's gRPC inference API.")
    torchserve_management: str = Field("", description="http://host:port of its management API, for readiness.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        description="What the onnx and torch backends compute on. auto: CUDA where the driver shows a device, else the "
        "CPU. cpu: leaves the device to others. cuda: a daemon without one serves nothing and says so.",
    )
    threads: int = Field(
        1,
        ge=1,
        description="Threads an ONNX session computes with. Too many: sessions fight for cores and p99 grows; "
        "too few: a single large request is slower.",
    )
    workers: int = Field(
        2,
        ge=1,
        description="Requests of the fast class computed at once. Too many: they share cores and all become late; "
        "too few: cores idle.",
    )
    slow_workers: int | None = Field(
        None,
        ge=1,
        description="Requests of the slow class (path mask, Sobol, many scores) computed at once, by default one more "
        "than cores, on CUDA 4. Too many: each holds its memory and all become late together; too few: a core idles "
        "while a request is between two model calls. Where calls are to share batches, more of them than "
        "compute_slots.",
    )
    reference_workers: int = Field(
        max(1, cores() // 2),
        ge=1,
        description="Requests with the REFERENCE solver computed at once, by default one for two cores. Each takes "
        "about a minute of a core. Too many: they take the cores from all others; too few: they wait for each other.",
    )
    compute_slots: int | None = Field(
        None,
        ge=1,
        description="Model calls of the onnx and torch backends that compute at once, by default two more than cores, "
        "on CUDA 3; the other classes leave one to the fast. Calls beyond them wait, and those that wait for the same "
        "graph share a call. Too many: calls fight for cores, and none shares; too few: a core idles while the next "
        "call wakes (on two cores 3 made 27 path masks a second of 32 callers where 4 made 33), and with 1 millisecond "
        "work waits for path masks.",
    )
    batch_rows: int | None = Field(
        None,
        ge=1,
        description="Rows that waiting calls may have together to share a call of the backend, by default 64, on CUDA "
        "128; a larger one goes by itself, and 1 lets none share. Too small: a row costs up to twice as much; too "
        "large: a call of one row waits for the rows of its company, and on a CPU a row becomes no cheaper from some "
        "64 on.",
    )
    spread_rows: int | None = Field(
        None,
        ge=0,
        description="Least rows of a piece where a large call is spread over idle cores, by default 20; 0, the default "
        "on CUDA: never. Too small: waking a thread costs more than it saves, more so where other processes want the "
        "cores; too large: one request leaves cores idle. On two idle cores a ranking takes 0.7 of the time, a batch "
        "of 256 scores 0.8, a path mask 0.96.",
    )
    queue_size: int = Field(
        64,
        ge=1,
        description="Requests a class lets wait, of streams' items no more than it has workers. Too large: callers "
        "wait past their deadlines; too small: bursts are refused.",
    )
    queue_seconds: float = Field(
        2.0,
        gt=0,
        description="Longest time a request is let wait for a worker, as far as the work before it tells. Too large: "
        "answers come when nobody needs them; too small: bursts are refused.",
    )
    awake_seconds: float = Field(
        0.001 if cores() > 1 else 0.0,
        ge=0,
        le=1,
        description="How long the event loop looks for the next call before it sleeps, where calls come one close upon "
        "another (half of that apart, or less) and nothing longer computes; 0, the default on one core: never. Too "
        "large: processor time that others could use, and that a quota counts; too small: the loop sleeps between "
        "calls, and on a virtual machine some wait for milliseconds until it is woken.",
    )
    transport: Literal["explaind", "grpcio"] = Field(
        "explaind",
        description="Whose server speaks gRPC. explaind: our own, a quarter of a prediction faster. grpcio: gRPC's, to "
        "compare with, and to go back to where a client or proxy should not get along with ours.",
    )
    max_image_bytes: int = Field(16 * 1024 * 1024, ge=1024, description="Larger encoded images are refused, typed.")
    max_message_bytes: int = Field(
        32 * 1024 * 1024, ge=1024, description="Transport limit; above max_image_bytes so that we answer, not gRPC."
    )
    max_image_pixels: int = Field(
        16_777_216, ge=1, description="Width × height an encoded image may have; a bomb guard."
    )
    max_batch_images: int = Field(4096, ge=1, description="Images one ScoreAnomalies message may hold.")
    stream_window: int = Field(16, ge=1, description="Items of one stream in work at once; bounds its memory.")
    grace_seconds: float = Field(10.0, ge=0, description="How long running requests may finish after SIGTERM.")
    lame_duck_seconds: float = Field(
        3.0, ge=0, description="From NOT_SERVING to closing the port. Too short: balancers still send requests."
    )
    reload_seconds: float = Field(
        5.0,
        ge=0,
        description="How often the model store is looked at for new versions; 0: never, though a model that no backend "
        "could serve is still tried again.",
    )
    log_json: bool = Field(False, description="JSON log lines instead of readable ones.")
    log_level: str = Field("info", description="debug, info, warning or error.")
    data: Path = Field(Path("data"), description="Folder of the real data sets, for training and evaluation.")
    training_runs: Path = Field(Path("training_runs"), description="Where training keeps checkpoints.")
