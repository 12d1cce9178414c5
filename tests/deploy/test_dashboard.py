"""Every dashboard query against a real Prometheus that scrapes a real explaind under traffic."""

from __future__ import annotations

import json
import math
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from explaind.settings import Settings
from explaind_client import Client
from explaind_client.errors import ModelNotFound
from tests.served import serving

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/latency.json").read_text(encoding="utf-8"))
PANELS = [(panel["title"], t["expr"]) for panel in DASHBOARD["panels"] for t in panel.get("targets", [])]
SCRAPE_SECONDS = 1

pytestmark = [
    pytest.mark.prometheus,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="Debian's prometheus is not installed"),
]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its URL, once it has scraped a served bundle several times while requests of every kind came in."""
    settings = Settings(port=0, metrics_port=0, model_store=ROOT / "model_store", lame_duck_seconds=0)
    folder = tmp_path_factory.mktemp("prometheus")
    with serving(settings) as server:
        configuration = _configuration(folder, server.metrics_port)
        port = _free_port()
        command = ["prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'data'}"]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=subprocess.STDOUT
            )
            try:
                _traffic(server.address, f"http://127.0.0.1:{port}")
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()
                process.wait(20)


@pytest.mark.parametrize(("title", "expression"), PANELS)
def test_a_panel_shows_data(prometheus: str, title: str, expression: str) -> None:
    result = _query(prometheus, expression.replace("$__rate_interval", "1m").replace("$model", ".*"))
    assert result, f"{title}: no series"
    assert any(math.isfinite(float(series["value"][1])) for series in result), f"{title}: nothing but NaN"


def test_the_digest_prometheus_shows_is_the_one_in_the_answer(prometheus: str) -> None:
    (info,) = _query(prometheus, 'explaind_model_info{model="mnist"}')
    assert len(info["metric"]["digest"]) == 64


def test_the_scrape_is_up(prometheus: str) -> None:
    assert [series["value"][1] for series in _query(prometheus, 'up{job="explaind"}')] == ["1"]


def _configuration(folder: Path, metrics_port: int) -> Path:
    """The shipped configuration with this server as its target."""
    content = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    content["global"] = {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"}
    (job,) = [job for job in content["scrape_configs"] if job["job_name"] == "explaind"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{metrics_port}"]}]
    content["scrape_configs"] = [job]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def _traffic(address: str, url: str) -> None:
    """Requests of every kind for some scrapes: rates need two samples of a series that exists."""
    with np.load(ROOT / "tests/data/images.npz") as data:
        images = data["mnist"].astype(np.float32)[:, None] / 255
    until = time.monotonic() + 90
    with Client(address) as client:
        for turn in range(10_000):
            _one_of_each(client, images, turn)
            if _scrapes(url) >= 6 or time.monotonic() > until:
                return
            time.sleep(0.3)


def _one_of_each(client: Client, images: np.ndarray[Any, Any], turn: int) -> None:
    image = images[turn % len(images)]
    client.explain(image, model="mnist", latent_ranking=True, anomaly_score=True, path_mask=True)
    client.score_anomalies(images[:8], model="mnist")
    with pytest.raises(ModelNotFound):
        client.explain(image, model="no such model")


def _scrapes(url: str) -> int:
    try:
        series = _query(url, 'count_over_time(up{job="explaind"}[5m])')
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return 0
    return int(float(series[0]["value"][1])) if series else 0


def _query(url: str, expression: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}", timeout=10) as r:
        answer = json.load(r)
    assert answer["status"] == "success", answer
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
