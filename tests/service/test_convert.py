"""The wire's own mistakes, and that nothing is lost on the way there and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explaind.errors import ExplaindError, ImageUndecodable, InvalidRequest, ParameterOutOfRange, ShapeMismatch
from explaind.explanations.types import (
    AnomalyBatch,
    AnomalyScoreParameters,
    Contribution,
    Detector,
    Explanation,
    Factor,
    ImportanceMeasure,
    Interpolation,
    LabelConfidence,
    LatentRanking,
    LatentRankingParameters,
    PathMask,
    PathMaskOutcome,
    PathMaskParameters,
    Prediction,
    RankedLatent,
    RankingMethod,
    RankingScope,
    ReconstructionLosses,
    Solver,
    StageTiming,
)
from explaind.requests import ExplanationRequest, ImageInput, ScoreResult
from explaind.service import convert
from explaind.service.convert import AnswerForm, enums
from explaind.v1 import explanation_pb2, explanation_service_pb2
from tests.service.to_proto import request_to_proto

FLOAT32 = explanation_pb2.DATA_TYPE_FLOAT32
UINT8 = explanation_pb2.DATA_TYPE_UINT8


def tensor(shape, values, dtype=UINT8):
    return explanation_pb2.Tensor(shape=shape, dtype=dtype, values=values)


# ---- enums ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", enums.PROTO_ENUMS, ids=lambda kind: kind.__name__)
def test_an_enum_and_its_proto_have_the_same_members(kind):
    wrapper = enums.PROTO_ENUMS[kind]
    ours = {enums.prefix(wrapper) + member.name for member in kind}
    assert ours | {wrapper.Name(0)} == set(wrapper.keys())
    for member in kind:
        assert enums.enum_from_proto(kind, enums.enum_to_proto(member), default=member, field="x") is member


@pytest.mark.parametrize("number", [99, -1])
def test_an_unknown_enum_number_names_its_field(number):
    message = explanation_pb2.PathMaskParameters(solver=number)
    with pytest.raises(ParameterOutOfRange) as caught:
        convert.path_mask_parameters_from_proto(message)
    assert caught.value.field == "path_mask.solver"
    assert "SOLVER_FAST" in caught.value.message


# ---- parameters -------------------------------------------------------------------------------------------------


def test_unset_is_the_default():
    assert convert.path_mask_parameters_from_proto(explanation_pb2.PathMaskParameters()) == PathMaskParameters()
    assert convert.anomaly_parameters_from_proto(explanation_pb2.AnomalyScoreParameters()) == AnomalyScoreParameters()
    assert convert.ranking_parameters_from_proto(explanation_pb2.LatentRankingParameters()) == LatentRankingParameters()


def test_zero_is_not_unset_where_it_is_optional():
    parameters = convert.path_mask_parameters_from_proto(
        explanation_pb2.PathMaskParameters(self_class=0, other_class=0, step_count=0, sparsity=0.0)
    )
    assert (parameters.self_class, parameters.other_class) == (0, 0)
    assert (parameters.step_count, parameters.sparsity) == (0, 0.0)
    assert convert.anomaly_parameters_from_proto(explanation_pb2.AnomalyScoreParameters(level=0.0)).level == 0.0


int32 = st.integers(-(2**31), 2**31 - 1)
seed = st.integers(0, 2**64 - 1)
number = st.floats(allow_nan=False)

rankings = st.builds(
    LatentRankingParameters,
    method=st.sampled_from(RankingMethod),
    scope=st.sampled_from(RankingScope),
    measure=st.none() | st.sampled_from(ImportanceMeasure),
    latent_space=st.text(st.characters(codec="utf-8"), max_size=5),
    target_class=st.none() | int32,
    top_k=int32,
    include_responses=st.booleans(),
    include_traversals=st.booleans(),
    seed=seed,
)
anomalies = st.builds(
    AnomalyScoreParameters,
    detector=st.sampled_from(Detector),
    level=number,
    include_reconstruction=st.booleans(),
    include_error_map=st.booleans(),
)
masks = st.builds(
    PathMaskParameters,
    self_class=st.none() | int32,
    other_class=st.none() | int32,
    solver=st.sampled_from(Solver),
    interpolation=st.sampled_from(Interpolation),
    step_count=int32,
    sparsity=st.none() | number,
    likelihood_weight=st.none() | number,
    max_steps=st.none() | int32,
    entropy_threshold=number,
    seed=seed,
    include_path=st.booleans(),
)
requests = st.builds(
    ExplanationRequest,
    model=st.text(st.characters(codec="utf-8"), min_size=1, max_size=5),
    version=st.text(st.characters(codec="utf-8"), max_size=3),
    image=st.builds(ImageInput, encoded=st.binary(min_size=1, max_size=8), resize=st.booleans()),
    latent_ranking=st.none() | rankings,
    anomaly_score=st.none() | anomalies,
    path_mask=st.none() | masks,
)


@settings(max_examples=60, deadline=None)
@given(requests)
def test_a_request_survives_the_wire(request_):
    wire = request_to_proto(request_).SerializeToString()
    assert convert.request_from_proto(explanation_service_pb2.ExplainRequest.FromString(wire)) == request_


# ---- tensors and images -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_an_array_survives_the_wire(dtype):
    array = np.arange(24, dtype=dtype).reshape(2, 3, 4)
    for view in (array, array.transpose(2, 0, 1)):
        back = convert.array_from_proto(convert.tensor_to_proto(view), rank=3, field="x")
        assert back.dtype == dtype
        np.testing.assert_array_equal(back, view)


@pytest.mark.parametrize(
    "shape",
    [
        [],
        [16],
        [1, 4, 4, 1],
        [1, 4, 5],
        [-1, -4, 4],
        [0, 4, 4],
        [1 << 62, 1 << 62, 16],
        [1 << 32, 1 << 32, 1],  # the product is 0 in 64 bits
        [(1 << 63) - 1, 2, 1],
    ],
    ids=str,
)
def test_a_shape_that_does_not_fit_names_its_field(shape):
    with pytest.raises(ShapeMismatch) as caught:
        convert.image_from_proto(explanation_pb2.Image(tensor=tensor(shape, b"\x00" * 16)))
    assert caught.value.field == "image.tensor.shape"


def test_a_shape_of_nothing_is_refused():
    with pytest.raises(ShapeMismatch):
        convert.image_from_proto(explanation_pb2.Image(tensor=tensor([0, 0, 0], b"")))


@pytest.mark.parametrize("dtype", [0, 99])
def test_a_data_type_nobody_named_names_its_field(dtype):
    with pytest.raises(ParameterOutOfRange) as caught:
        convert.image_from_proto(explanation_pb2.Image(tensor=tensor([1, 4, 4], b"\x00" * 16, dtype)))
    assert caught.value.field == "image.tensor.dtype"


@pytest.mark.parametrize(
    ("image", "kind", "field"),
    [
        (explanation_pb2.Image(), InvalidRequest, "image"),
        (explanation_pb2.Image(encoded=b""), ImageUndecodable, "image.encoded"),
    ],
)
def test_no_image_names_its_field(image, kind, field):
    with pytest.raises(kind) as caught:
        convert.image_from_proto(image)
    assert caught.value.field == field


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=6), st.binary(max_size=40), st.integers(-3, 9))
def test_any_tensor_is_an_array_or_a_typed_error(shape, values, dtype):
    try:
        image = convert.image_from_proto(explanation_pb2.Image(tensor=tensor(shape, values, dtype)))
    except ExplaindError as error:
        assert error.metadata["field"].startswith("image.tensor.")
    else:
        assert image.array.nbytes == len(values)


# ---- batches ----------------------------------------------------------------------------------------------------


def test_a_batch_becomes_one_image_each():
    values = np.arange(48, dtype=np.uint8)
    message = explanation_service_pb2.ScoreAnomaliesRequest(
        model="m", batch=tensor([3, 1, 4, 4], values.tobytes()), resize=True
    )
    request = convert.score_request_from_proto(message, max_images=3)
    assert [image.field for image in request.images] == ["batch[0]", "batch[1]", "batch[2]"]
    assert all(image.resize for image in request.images)
    np.testing.assert_array_equal(request.images[2].array, values[32:].reshape(1, 4, 4))
    assert request.parameters == AnomalyScoreParameters()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "source"),
        ({"encoded": explanation_service_pb2.EncodedImages()}, "source"),
        ({"batch": tensor([], b"")}, "source"),
        ({"batch": tensor([0, 1, 4, 4], b"")}, "source"),
        ({"batch": tensor([-1, 1, 4, 4], b"")}, "source"),
        ({"batch": tensor([5, 1, 1, 1], b"12345")}, "source"),
        ({"batch": tensor([1 << 62, 1, 4, 4], b"")}, "source"),
        ({"batch": tensor([2, 1, 4, 4], b"12345")}, "batch.shape"),
        ({"encoded": explanation_service_pb2.EncodedImages(images=[b"x"] * 5)}, "source"),
        ({"encoded": explanation_service_pb2.EncodedImages(images=[b"x"]), "model": ""}, "model"),
    ],
    ids=str,
)
def test_a_batch_as_a_whole_names_its_field(fields, field):
    with pytest.raises(InvalidRequest) as caught:
        convert.score_request_from_proto(
            explanation_service_pb2.ScoreAnomaliesRequest(**{"model": "m", **fields}), max_images=4
        )
    assert caught.value.field == field


# ---- results ----------------------------------------------------------------------------------------------------

PREDICTION = Prediction(
    class_index=1, probability=0.7, probabilities=np.array([0.1, 0.7, 0.2]), logits=np.array([-1.0, 1.0, 0.0])
)
IMAGES = np.arange(32, dtype=np.float32).reshape(2, 1, 4, 4) / 32
EACH = np.array([0.25, 0.5])
BATCH = AnomalyBatch(
    detector=Detector.LOGISTIC_REGRESSION,
    scores=EACH,
    p_values=EACH / 2,
    threshold=0.9,
    anomalous=np.array([True, False]),
    probabilities=EACH,
    losses=ReconstructionLosses(**{name: EACH * (i + 1) for i, name in enumerate(convert.results.LOSSES)}),
    kl=EACH,
    mean_norms=EACH,
    contributions=((Contribution(feature="mse", standardized_value=2.0, share=0.8),), ()),
    reconstructions=IMAGES,
    error_maps=IMAGES[:, 0],
)


def test_a_whole_explanation_is_told():
    latent = RankedLatent(
        factor=Factor(dimensions=(3, 4), label="slant", confidence=LabelConfidence.HIGH),
        importance=-0.5,
        direction=-1.0,
        latent_values=np.array([0.5, 1.5], dtype=np.float32),
        response=np.array([0.25, 0.75], dtype=np.float32),
        traversal=IMAGES,
    )
    ranking = LatentRanking(
        method=RankingMethod.RANDOM_FOREST,
        scope=RankingScope.LOCAL,
        measure=ImportanceMeasure.SHAPLEY,
        target_class=1,
        latent_space="ranking",
        latents=(latent,),
        surrogate_fidelity=0.93,
        reconstruction_agrees=True,
    )
    mask = PathMask(
        self_class=1,
        other_class=2,
        mask=IMAGES[0, 0],
        attribution=-IMAGES[0, 0],
        other_image=IMAGES[0],
        reconstruction=IMAGES[1],
        path=None,
        gains=np.array([0.1]),
        entropies=np.array([0.5, 0.25]),
        objective=0.9,
        stationarity_gap=0.001,
        probability_change=0.98,
        completeness_gap=0.005,
        entropy_mean_step=50.5,
        entropy_half_width=3.0,
        outcome=PathMaskOutcome.BEST_SO_FAR,
        reconstruction_agrees=True,
        morph_steps=9,
        latent_distance=2.0,
        other_p_value=0.4,
        reason="The deadline was near.",
    )
    answer = convert.explanation_to_proto(
        Explanation(
            model="m",
            model_version="2",
            prediction=PREDICTION,
            latent_ranking=ranking,
            anomaly=BATCH,
            path_mask=mask,
            class_names=("a", "b", "c"),
            bundle_digest="d",
            image_digest="i",
            seed=7,
            timings=(StageTiming(stage="predict", backend="onnx", seconds=0.5),),
        ),
        form=AnswerForm(top_classes=2),
        request_id="r",
    )
    assert [(s.class_index, s.class_name) for s in answer.prediction.scores] == [(1, "b"), (2, "c")]
    assert answer.latent_ranking.latents[0].label_confidence == explanation_pb2.LABEL_CONFIDENCE_HIGH
    assert answer.latent_ranking.latents[0].traversal.shape == [2, 1, 4, 4]
    assert answer.latent_ranking.surrogate_fidelity == 0.93
    assert answer.anomaly_score.probability == 0.25
    assert answer.anomaly_score.losses.mae == 0.5
    assert not answer.anomaly_score.HasField("reconstruction")
    assert answer.path_mask.outcome == explanation_pb2.PATH_MASK_OUTCOME_BEST_SO_FAR
    assert not answer.path_mask.HasField("path")
    assert answer.path_mask.mask.shape == [4, 4]
    assert (answer.provenance.seed, answer.provenance.request_id) == (7, "r")
    assert answer.provenance.timings[0].backend == "onnx"


def test_images_of_the_anomaly_come_on_request():
    fields = convert.results.anomaly_fields(
        BATCH, AnomalyScoreParameters(include_reconstruction=True, include_error_map=True), np.dtype(np.uint8)
    )
    answer = explanation_pb2.AnomalyScore(**fields)
    assert answer.reconstruction.dtype == explanation_pb2.DATA_TYPE_UINT8
    assert answer.error_map.dtype == explanation_pb2.DATA_TYPE_FLOAT32
    assert answer.reconstruction.shape == [1, 4, 4]
    assert answer.error_map.shape == [4, 4]


def result(indices, batch):
    return ScoreResult(
        model="m",
        model_version="1",
        indices=indices,
        predictions=(PREDICTION,) * len(indices),
        batch=batch,
        errors=(),
        threshold=0.9,
        bundle_digest="d",
    )


def test_scores_stand_at_their_places():
    answer = convert.score_result_to_proto(
        result((0, 2), BATCH), [], parameters=AnomalyScoreParameters(), image_count=3
    )
    assert list(answer.class_indices) == [1, -1, 1]
    assert list(answer.anomalous) == [True, False, False]
    np.testing.assert_array_equal(answer.scores, [0.25, np.nan, 0.5])
    np.testing.assert_array_equal(answer.mae, [0.5, np.nan, 1.0])
    for name in (*convert.results.LOSSES, "p_values", "kl", "mean_norm", "class_probabilities"):
        assert len(getattr(answer, name)) == 3


def test_no_readable_image_is_all_nan():
    answer = convert.score_result_to_proto(result((), None), [], parameters=AnomalyScoreParameters(), image_count=2)
    assert list(answer.class_indices) == [-1, -1]
    assert np.isnan(answer.scores).all()
    assert len(answer.ssim) == 2


@pytest.mark.parametrize("values", [[0.0, 0.5, 1.0], [-0.1, 1.1, 0.0019]])
def test_images_as_bytes_are_rounded_and_stay_in_range(values):
    back = convert.array_from_proto(
        convert.tensors.image_to_proto(np.array(values, np.float32), np.dtype(np.uint8)), rank=1, field="x"
    )
    np.testing.assert_array_equal(back, np.rint(255 * np.clip(values, 0, 1)))
    assert back.dtype == np.uint8


def test_the_form_of_an_answer_is_read_and_checked():
    message = explanation_service_pb2.ExplainRequest
    assert convert.answer_form_from_proto(message()) == AnswerForm()
    asked = message(top_classes=3, image_dtype=explanation_pb2.DATA_TYPE_UINT8)
    assert convert.answer_form_from_proto(asked) == AnswerForm(3, np.dtype(np.uint8))
    for bad, field in ((message(top_classes=-1), "top_classes"), (message(image_dtype=9), "image_dtype")):
        with pytest.raises(ParameterOutOfRange) as caught:
            convert.answer_form_from_proto(bad)
        assert caught.value.metadata["field"] == field
