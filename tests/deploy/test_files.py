"""The deployment files agree with each other and with the code; no container engine is needed for that."""

from __future__ import annotations

import importlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from explaind.backends import torchserve_daemon
from explaind.cli.main import EXAMPLES
from explaind.cli.serve import serve
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


def _stage(name: str) -> str:
    stages = re.split(r"^FROM ", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return next(stage for stage in stages if re.match(rf"\S+ AS {name}\n", stage))


def _command(name: str) -> list[str]:
    """What a container of a stage runs."""
    parts = [json.loads(found) for found in re.findall(r"^(?:ENTRYPOINT|CMD) (.*)$", _stage(name), re.MULTILINE)]
    return [word for part in parts for word in part]


def test_torchserves_container_starts_with_arguments_that_its_module_takes() -> None:
    python, flag, module, *arguments = _command("torchserve")
    assert (python, flag, module) == ("python", "-m", torchserve_daemon.__name__)
    taken = torchserve_daemon._parser().parse_args(arguments)
    assert (taken.host, taken.model_store) == ("0.0.0.0", Path("/model_store"))
    settings = COMPOSE["services"]["explaind"]["environment"]
    assert settings["EXPLAIND_TORCHSERVE_ADDRESS"] == f"torchserve:{taken.grpc_port}"
    assert settings["EXPLAIND_TORCHSERVE_MANAGEMENT"] == f"http://torchserve:{taken.http_port + 1}"
    assert f"torchserve:{taken.http_port + 2}" in (DEPLOY / "prometheus/prometheus.yml").read_text()
    assert f":{taken.http_port}/ping" in _stage("torchserve")


def test_the_daemons_container_starts_with_a_command_that_there_is() -> None:
    program, *arguments = _command("explaind")
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    module, _, function = scripts[program].partition(":")
    assert callable(getattr(importlib.import_module(module), function))
    assert arguments == [serve.__name__] and arguments[0] in {command.__name__ for command in EXAMPLES}
    variables = dict(re.findall(r"\b(EXPLAIND_[A-Z_]+)=(\S+)", _stage("explaind")))
    Settings(**{name.removeprefix("EXPLAIND_").lower(): value for name, value in variables.items()})


def test_the_ports_are_those_of_the_settings() -> None:
    defaults = Settings()
    for port in (defaults.port, defaults.metrics_port):
        assert re.search(rf"^EXPOSE .*\b{port}\b", _stage("explaind"), re.MULTILINE)
    assert f":{defaults.metrics_port}/healthz" in _stage("explaind")
    assert f"explaind:{defaults.metrics_port}" in (DEPLOY / "prometheus/prometheus.yml").read_text()
    assert COMPOSE["services"]["explaind"]["ports"] == [f"127.0.0.1:{defaults.port}:{defaults.port}"]


def test_grafana_is_provisioned_with_the_source_and_folder_the_dashboard_uses() -> None:
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"][0]
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/explaind.yaml").read_text())["providers"][0]
    used = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"] if "datasource" in panel}
    assert used == {source["uid"]}
    mounts = [volume.split(":")[1] for volume in COMPOSE["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounts
