"""Parameters, reference statistics and results of the explanations. Frozen; arrays are read, never written.

Shapes: C×H×W image, K classes, D latents of a space, N images of a path, S spread of a traversal (10 values).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
DoubleArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int32]


class Solver(StrEnum):
    """How a path mask is found: FAST by one linearised pass, REFERENCE by the source's own ascent (DESIGN §3.4)."""

    FAST = "fast"
    REFERENCE = "reference"


class RankingMethod(StrEnum):
    """Who says how much a latent matters (DESIGN §3.1)."""

    GENERATED_IMAGES = "generated_images"
    ORIGINAL_IMAGES = "original_images"
    RANDOM_FOREST = "random_forest"
    SOBOL = "sobol"


class RankingScope(StrEnum):
    """About this image, or about all images like those the classifier was trained on."""

    LOCAL = "local"
    GLOBAL = "global"


class Interpolation(StrEnum):
    """The curve between two codes (DESIGN §3.4)."""

    SLERP = "slerp"
    RADIAL = "radial"
    LINEAR = "linear"


class ImportanceMeasure(StrEnum):
    """The number by which latents are ranked; `latent_ranking.MEASURES` has each method's."""

    LOGIT_DEVIATION = "logit_deviation"
    PROBABILITY_DEVIATION = "probability_deviation"
    PROBABILITY_VARIANCE = "probability_variance"
    IMPURITY = "impurity"
    PERMUTATION = "permutation"
    SHAPLEY = "shapley"
    SOBOL_TOTAL = "sobol_total"


class Detector(StrEnum):
    """What turns reconstruction losses and codes into one score (DESIGN §3.2)."""

    MAHALANOBIS = "mahalanobis"
    LOGISTIC_REGRESSION = "logistic_regression"


class PathMaskOutcome(StrEnum):
    """CONVERGED: certified. BEST_SO_FAR: cut short. NO_MORPH_FOUND, NO_CHANGE: an empty mask, with a reason."""

    CONVERGED = "converged"
    BEST_SO_FAR = "best_so_far"
    NO_MORPH_FOUND = "no_morph_found"
    NO_CHANGE = "no_change"


class LabelConfidence(StrEnum):
    """How sure the person was who named a latent."""

    UNSPECIFIED = "unspecified"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


# ---- parameters: what a caller asks -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentRankingParameters:
    """measure None: the method's first (DESIGN §3.1). latent_space "": the bundle's ranking space.
    target_class None: the predicted class. top_k 0: every used latent."""

    method: RankingMethod = RankingMethod.GENERATED_IMAGES
    scope: RankingScope = RankingScope.LOCAL
    measure: ImportanceMeasure | None = None
    latent_space: str = ""
    target_class: int | None = None
    top_k: int = 0
    include_responses: bool = False
    include_traversals: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyScoreParameters:
    """level: false-alarm rate in [1/(n+1), 1], n the calibration size."""

    detector: Detector = Detector.MAHALANOBIS
    level: float = 0.05
    include_reconstruction: bool = False
    include_error_map: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PathMaskParameters:
    """self_class None: predicted; other_class None: runner-up. step_count 2–1000; sparsity
    ≥ 0, None: the recipe's; likelihood_weight None: the recipe's (REFERENCE only); max_steps None: the solver's own,
    else 1–20,000; entropy_threshold in (0, 1] bit."""

    self_class: int | None = None
    other_class: int | None = None
    solver: Solver = Solver.FAST
    interpolation: Interpolation = Interpolation.SLERP
    step_count: int = 100
    sparsity: float | None = None
    likelihood_weight: float | None = None
    max_steps: int | None = None
    entropy_threshold: float = 0.01
    seed: int = 0
    include_path: bool = False


# ---- reference statistics: what a bundle knows of its training distribution -----------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """One or more latents with one name. label is `z17` where nobody has named it."""

    dimensions: tuple[int, ...]
    label: str
    confidence: LabelConfidence = LabelConfidence.UNSPECIFIED


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestArrays:
    """A random forest of T trees as flat arrays; the nodes of tree t are offsets[t]:offsets[t+1].

    left, right: child node within the tree, −1 at a leaf. feature: column of μ, −2 at a leaf.
    value: (nodes, K) class probabilities at each node; cover: (nodes,) training weight at each node.
    """

    offsets: IntArray
    left: IntArray
    right: IntArray
    feature: IntArray
    threshold: DoubleArray
    value: FloatArray
    cover: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingReference:
    """Statistics of one latent space for the rankings (DESIGN §3.1).

    used (D,): ranked latents. mean_kl, visible_effect (D,). mean, deviation (D,) of μ over the reference set.
    bin_counts (D, 13): images whose μ_d rounds to the bin, bins −3, −2.5 … 3. bin_probability, bin_logit (D, 13, K):
    mean response of the bin's images (0 where empty). mean_probability, mean_logit (K,): over the whole set.
    generated_probability, generated_logit (D, 10, K): responses along the global traversal, others held at 0.
    impurity, permutation (D,): the forest's global importances. sobol_total (K, D): global, under the prior.
    forest None: RANDOM_FOREST is unsupported. forest_fidelity: served forest's held-out agreement.
    """

    used: BoolArray
    mean_kl: DoubleArray
    visible_effect: DoubleArray
    mean: DoubleArray
    deviation: DoubleArray
    bin_counts: IntArray
    bin_probability: FloatArray
    bin_logit: FloatArray
    mean_probability: DoubleArray
    mean_logit: DoubleArray
    generated_probability: FloatArray
    generated_logit: FloatArray
    impurity: DoubleArray
    permutation: DoubleArray
    sobol_total: DoubleArray
    forest: ForestArrays | None
    forest_fidelity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MahalanobisFit:
    """center, scale (F,): mean and deviation of the features; precision (F, F) of the standardised ones;
    calibration: rising scores of held-out images."""

    center: DoubleArray
    scale: DoubleArray
    precision: DoubleArray
    calibration: DoubleArray


@dataclass(frozen=True, slots=True, kw_only=True)
class LogisticFit:
    """center, scale, weights (F,); intercept; the score is the log-odds of being an outlier;
    calibration: rising scores of held-out images."""

    center: DoubleArray
    scale: DoubleArray
    weights: DoubleArray
    intercept: float
    calibration: DoubleArray


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyReference:
    """mahalanobis: default detector. logistic None: no outliers in the recipe. rebuilt: fitted and calibrated on
    reconstructions, for `other_p_value` (DESIGN §3.3)."""

    mahalanobis: MahalanobisFit
    logistic: LogisticFit | None
    rebuilt: MahalanobisFit


@dataclass(frozen=True, slots=True, kw_only=True)
class MorphReference:
    """class_norms (K,): mean norm of sampled codes of each class. likelihood_weight: the source's α, REFERENCE only.
    sparsity: of path masks where the caller names none; None: 1."""

    class_norms: DoubleArray
    likelihood_weight: float
    sparsity: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """All of a bundle's statistics. rankings: by latent space. anomaly, morph: of the morphing space."""

    rankings: dict[str, RankingReference]
    anomaly: AnomalyReference | None
    morph: MorphReference | None


# ---- results ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """class_index and probability of the top class; probabilities (K,); logits (K,)."""

    class_index: int
    probability: float
    probabilities: DoubleArray
    logits: DoubleArray


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedLatent:
    """importance: by the chosen measure, signed where the method is. direction: +1, 0, −1.
    response (S,): probability of the target along the traversal. traversal (S, C, H, W)."""

    factor: Factor
    importance: float
    direction: float
    latent_values: FloatArray
    response: FloatArray | None = None
    traversal: FloatArray | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentRanking:
    """latents: falling magnitude of importance."""

    method: RankingMethod
    scope: RankingScope
    measure: ImportanceMeasure
    target_class: int
    latent_space: str
    latents: tuple[RankedLatent, ...]
    surrogate_fidelity: float | None
    reconstruction_agrees: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconstructionLosses:
    """Means over pixels (DESIGN §3.2); ssim is 1 for identical images. Arrays (B,) in a batch, floats for one."""

    mse: DoubleArray
    mae: DoubleArray
    cosine_distance: DoubleArray
    ssim: DoubleArray
    cross_entropy: DoubleArray
    color_cross_entropy: DoubleArray
    cross_entropy_excess: DoubleArray


class Contribution(NamedTuple):
    """One feature's part in an anomaly score: its deviation from the usual mean, and its signed share."""

    feature: str
    standardized_value: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyBatch:
    """Scores of B images. All arrays (B,); contributions: one tuple an image; reconstructions (B, C, H, W), error_maps
    (B, H, W). These three are empty where numbers alone were asked for, error maps wherever they were not."""

    detector: Detector
    scores: DoubleArray
    p_values: DoubleArray
    threshold: float
    anomalous: BoolArray
    probabilities: DoubleArray | None
    losses: ReconstructionLosses
    kl: DoubleArray
    mean_norms: DoubleArray
    contributions: tuple[tuple[Contribution, ...], ...]
    reconstructions: FloatArray
    error_maps: FloatArray


@dataclass(frozen=True, slots=True)
class DecodedCode:
    """image (1, C, H, W): what a code decodes to; logits (K,): of it."""

    image: FloatArray
    logits: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Morph:
    """z_self, z_other (D,): the path's ends. found: False → NO_MORPH_FOUND with `reason`.
    entropy: two-class, bits, at the end that was walked to. image_is_self: the image's own code is z_self;
    False where the image looks like `other` and the walk went to `self`. flat: the classifier does not change at
    all around the image's code, so there is nowhere to walk and nothing to attribute (NO_CHANGE). decoded: z_other and
    z_self; None where the walk has not decoded its end."""

    self_class: int
    other_class: int
    z_self: DoubleArray
    z_other: DoubleArray
    found: bool
    best_so_far: bool
    steps: int
    entropy: float
    latent_distance: float
    reconstruction_agrees: bool
    image_is_self: bool = True
    flat: bool = False
    decoded: tuple[DecodedCode, DecodedCode] | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathMask:
    """mask (as applied: Gm), attribution (H, W); images C×H×W; path (N, C, H, W) on request; gains (N−1,),
    entropies (N,), both empty without a morph. reconstruction: the path's end at the image; other_image: the end
    that the morph found. other_p_value: nan without a morph or a reference."""

    self_class: int
    other_class: int
    mask: FloatArray
    attribution: FloatArray
    other_image: FloatArray
    reconstruction: FloatArray
    path: FloatArray | None
    gains: DoubleArray
    entropies: DoubleArray
    objective: float
    stationarity_gap: float
    probability_change: float
    completeness_gap: float
    entropy_mean_step: float
    entropy_half_width: float
    outcome: PathMaskOutcome
    reconstruction_agrees: bool
    morph_steps: int
    latent_distance: float
    other_p_value: float
    reason: str = ""


class StageTiming(NamedTuple):
    """backend: empty where none was asked. seconds: of the wall clock."""

    stage: str
    backend: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What the engine returns for one image."""

    model: str
    model_version: str
    prediction: Prediction
    latent_ranking: LatentRanking | None = None
    anomaly: AnomalyBatch | None = None
    path_mask: PathMask | None = None
    class_names: tuple[str, ...] = ()
    bundle_digest: str = ""
    image_digest: str = ""
    seed: int = 0
    timings: tuple[StageTiming, ...] = field(default=())
