"""The figure's sentences: what the numbers say, in words that need no manual."""

from __future__ import annotations

from collections.abc import Mapping

from explaind.v1 import explanation_pb2 as pb
from explaind.v1 import explanation_service_pb2 as service_pb

FEATURES: Mapping[str, str] = {
    "mse": "squared error",
    "mae": "absolute error",
    "cosine_distance": "cosine distance",
    "ssim": "lost structure",
    "one_minus_ssim": "lost structure",
    "cross_entropy": "cross entropy",
    "color_cross_entropy": "colour entropy",
    "cross_entropy_excess": "excess entropy",
    "kl": "unusual code",
    "mean_norm": "code length",
    "deviation_norm": "code spread",
}


def title(response: service_pb.ExplainResponse) -> str:
    """«7, not 9»; only the class where nothing was compared."""
    mask = response.path_mask
    if not response.HasField("path_mask"):
        return response.prediction.class_name
    return f"{class_name(response, mask.self_class)}, not {class_name(response, mask.other_class)}"


def subtitle(response: service_pb.ExplainResponse) -> str:
    warning = " An unusual image: trust neither too far." if response.anomaly_score.anomalous else ""
    return reading(response.model, response.prediction) + warning


def reading(model: str, prediction: pb.Prediction) -> str:
    """What the classifier says of an image, and what comes next."""
    scores = prediction.scores
    words = f"{model} reads this image as {prediction.class_name}, {percent(scores, 0)} sure"
    return f"{words}; next comes {scores[1].class_name}, {percent(scores, 1)}." if len(scores) > 1 else f"{words}."


def pair_reading(response: service_pb.CompareLatentsResponse) -> str:
    """What the classifier says of two images."""
    first, second = (
        f"{prediction.class_name}, {percent(prediction.scores, 0)} sure"
        for prediction in (response.prediction_a, response.prediction_b)
    )
    return f"{response.model} reads A as {first}, and B as {second}."


def nearness(same_p_value: float) -> str:
    """«nearer to each other than 97.0 % of random pairs»."""
    if same_p_value <= 0.5:
        return f"nearer to each other than {share(1 - same_p_value)} of random pairs"
    return f"farther apart than {share(same_p_value)} of random pairs"


def percent(scores: object, place: int) -> str:
    """Of the score at `place`."""
    return share(scores[place].probability)  # type: ignore[index]


def share(probability: float) -> str:
    """«97.3 %»; never 0 or 100 by rounding."""
    if 0 < probability < 0.0005:
        return "under 0.1 %"
    if 0.9995 <= probability < 1:
        return "over 99.9 %"
    return f"{100 * probability:.1f} %"


def anomaly(score: pb.AnomalyScore) -> str:
    """«looks like training data (p = 0.42)» or «anomalous (p = 0.0002)»."""
    words = "anomalous" if score.anomalous else "looks like training data"
    return f"{words} (p = {p_value(score.p_value)})"


def anomaly_sentence(score: pb.AnomalyScore) -> str:
    share = f"{100 * score.p_value:.2g} %"
    if score.anomalous:
        return f"Only {share} of images like those it was trained on are as strange as this one."
    return f"{share} of images like those it was trained on are as strange as this one, or stranger."


def p_value(value: float) -> str:
    return f"{value:.2f}" if value >= 0.095 else f"{value:.3f}" if value >= 0.0095 else f"{value:.4f}"


def found_class(response: service_pb.ExplainResponse) -> int:
    """The class of the counterpart: self, where the image itself is of the other class."""
    mask = response.path_mask
    reversed_ = response.prediction.class_index == mask.other_class
    return mask.self_class if reversed_ else mask.other_class


def class_name(response: service_pb.ExplainResponse, index: int) -> str:
    names = {score.class_index: score.class_name for score in response.prediction.scores}
    return names.get(index) or str(index)


def feature(name: str) -> str:
    return FEATURES.get(name, name.replace("_", " "))


def measure(ranking: pb.LatentRanking) -> str:
    return pb.ImportanceMeasure.Name(ranking.measure).removeprefix("IMPORTANCE_MEASURE_").lower().replace("_", " ")
