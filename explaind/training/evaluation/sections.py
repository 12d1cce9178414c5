"""All sections of an evaluation, in the order of the report."""

from __future__ import annotations

from explaind.training.evaluation import agreement, classification, latents
from explaind.training.evaluation.anomaly import protocol_section as protocol
from explaind.training.evaluation.anomaly import section as anomaly
from explaind.training.evaluation.anomaly import texture_section as texture
from explaind.training.evaluation.comparison import section as comparison
from explaind.training.evaluation.cut_and_paste import section as cut_and_paste
from explaind.training.evaluation.disentanglement import section as disentanglement
from explaind.training.evaluation.masks import section as masks
from explaind.training.evaluation.morphing import section as morphing
from explaind.training.evaluation.paths import section as paths
from explaind.training.evaluation.rankings import section as rankings
from explaind.training.evaluation.section import Section
from explaind.training.evaluation.truth import section as truth

# classification, latents, rankings, anomaly, protocol, texture, comparison, morphing, paths, path_mask, cut_and_paste,
# disentanglement, truth, backends: a section stands where a reader needs what is before it.
SECTIONS: tuple[Section, ...] = (
    classification.SECTION,
    latents.SECTION,
    rankings.SECTION,
    anomaly.SECTION,
    protocol.SECTION,
    texture.SECTION,
    comparison.SECTION,
    morphing.SECTION,
    paths.SECTION,
    masks.SECTION,
    cut_and_paste.SECTION,
    disentanglement.SECTION,
    truth.SECTION,
    agreement.SECTION,
)
