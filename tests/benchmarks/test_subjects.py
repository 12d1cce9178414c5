"""What is compared is what it is said to be: the same digits, the same work, the peer's own answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from onnxruntime.capi.onnxruntime_pybind11_state import InferenceSession

from explaind.backends import networks, onnx_sessions, torch_operations, torchserve_configuration, weights
from explaind.backends.torchserve_launcher import TorchServe
from explaind.engine import Engine
from explaind.explanations.budget import Budget
from explaind.explanations.smoothed_flow import NEIGHBOURS
from tests.benchmarks.parts.peers import PEER_STEPS
from tests.benchmarks.subjects import asked as what
from tests.benchmarks.subjects import torchserve_explain
from tests.benchmarks.subjects.bare_sessions import recording
from tests.benchmarks.subjects.echo import echoing
from tests.benchmarks.subjects.sources_procedure import STEPS, Procedure, Solved
from tests.demo_store import STORE

BUNDLE = STORE / what.MODEL / "1"


@pytest.fixture(scope="module")
def digit() -> np.ndarray:
    return what.pixels(what.digits(1))[0]


def test_recorded_session_calls_are_the_explanations_own(engine: Engine, digit: np.ndarray) -> None:
    run = InferenceSession.run, onnx_sessions.Session.run
    with recording() as recorded:
        engine.explain(what.engine_request(what.PREDICTION, digit), Budget())
    assert dict(recorded.calls) == {networks.CLASSIFIER_GRAPH: 1} and dict(recorded.rows) == {
        networks.CLASSIFIER_GRAPH: 1
    }
    assert recorded.gradient_rows == 0
    with recording() as recorded:
        mask = engine.explain(what.engine_request(what.MASK, digit), Budget()).path_mask
    assert mask is not None
    batch, of_morph = 1 + NEIGHBOURS, recorded.rows[networks.morph_graph("morphing")]
    assert of_morph >= batch * mask.morph_steps and of_morph % batch == 0
    assert recorded.gradient_rows == of_morph + recorded.rows[networks.GRADIENT_GRAPH]
    assert 20 < recorded.rows[networks.GRADIENT_GRAPH] < mask.gains.size
    assert len(recorded.again) == sum(recorded.calls.values()) and "" not in recorded.calls
    assert all(again() is not None for again in recorded.again)
    assert run == (InferenceSession.run, onnx_sessions.Session.run)


def test_echo_answers_as_many_bytes_as_it_is_told() -> None:
    with echoing({"a": (10, 0), "b": (100_000, 200_000)}) as stage:
        assert [stage.calls[name](0) for name in ("a", "b")] == [1, 1]
        (pid,) = stage.pids()
        assert Path(f"/proc/{pid}").is_dir()
    assert not Path(f"/proc/{pid}").is_dir()


def test_a_shortened_procedure_is_drawn_out_on_a_line(engine: Engine) -> None:
    assert Solved(0, 300, 4.0, 3.0, 2.0, 1.0, 1.0, 1.0).whole_seconds == 31.0
    procedure = Procedure(engine, what.pixels(what.digits(1)))
    with procedure.watching():
        procedure.call(2)(0)
    (solved,) = procedure.solved
    assert solved.steps == 2 and 0 < solved.mask_seconds < solved.seconds
    assert solved.whole_seconds == pytest.approx(solved.seconds + solved.mask_seconds * (STEPS / 2 - 1))
    assert solved.fast_objective >= solved.objective  # two steps of Adam are no solution


@pytest.mark.torchserve
def test_the_peer_answers_captums_integrated_gradients(tmp_path: Path, digit: np.ndarray) -> None:
    torchserve_explain.write_archive(BUNDLE, tmp_path / "captum.mar")
    ports = torchserve_configuration.free_ports()
    with TorchServe.launch([tmp_path], ports=ports):
        connection = torchserve_explain.connect(ports.inference)
        told = torchserve_explain.post(connection, "/explanations/captum", digit.tobytes())
        logits = torchserve_explain.post(connection, "/predictions/captum", digit.tobytes())
        connection.close()
    classifier = torch_operations.open_classifier(networks.read(BUNDLE), weights.read(BUNDLE)).eval()
    image = torch.from_numpy(digit[None])
    target = int(classifier(image).argmax())
    expected = IntegratedGradients(classifier).attribute(image, target=target, n_steps=PEER_STEPS)
    assert int(np.frombuffer(logits, np.float32).argmax()) == target
    np.testing.assert_allclose(
        np.frombuffer(told, np.float32).reshape(1, 28, 28), expected[0].detach().numpy(), rtol=1e-3, atol=1e-5
    )
