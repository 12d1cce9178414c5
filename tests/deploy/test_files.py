"""The deployment files agree with each other and with the code; no container engine is needed for that."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from explaind.metrics import Metrics
from explaind.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/latency.json").read_text(encoding="utf-8"))
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def _targets() -> list[tuple[str, str]]:
    return [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


@pytest.mark.parametrize(("title", "expression"), _targets())
def test_a_panel_asks_only_for_metrics_that_exist(title: str, expression: str) -> None:
    known = {sample for metric in Metrics(CollectorRegistry()).registry.collect() for sample in _series(metric)}
    asked = set(re.findall(r"\b(?:explaind|grpc_server)_[a-z_]+", expression))
    assert asked, f"{title} asks for none of our metrics"
    assert asked <= known


def _series(metric: Any) -> set[str]:
    endings = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "gauge": [""]}[metric.type]
    return {metric.name + ending for ending in endings}


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_every_panel_says_what_it_shows() -> None:
    assert all(panel["description"] for panel in DASHBOARD["panels"] if panel["type"] != "row")


def test_the_compose_file_mounts_what_is_there() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (DEPLOY / source).exists(), source
        build = service.get("build")
        assert build is None or (DEPLOY / build["context"] / build["dockerfile"]).is_file()


def test_the_compose_file_sets_only_settings_that_exist() -> None:
    environment = COMPOSE["services"]["explaind"]["environment"]
    names = {name.removeprefix("EXPLAIND_").lower() for name in environment}
    assert names <= set(Settings.model_fields)


def test_targets_built_are_stages_of_the_dockerfile() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE))
    targets = {s["build"]["target"] for s in COMPOSE["services"].values() if "build" in s}
    assert targets <= stages


def test_images_run_as_an_unprivileged_user() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    for stage in re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]:
        assert "ENTRYPOINT" not in stage or re.search(r"^USER \d{4,}$", stage, re.MULTILINE)


def test_grafana_is_provisioned_with_the_source_and_folder_the_dashboard_uses() -> None:
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"][0]
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/explaind.yaml").read_text())["providers"][0]
    used = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"] if "datasource" in panel}
    assert used == {source["uid"]}
    mounts = [volume.split(":")[1] for volume in COMPOSE["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounts
