"""How well the demo's scorer tells true captions from swapped ones, on pictures and wordings it has not seen."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from filters.clip.scorer import Scorer, load_scorer
from filters.clip.settings import ScoreSettings
from pipelines.demo.captions import HELD_OUT, JUNK_ALTS, TAUGHT
from pipelines.demo.examples import crop_of, junk_image

_SEED = 7
"""Another seed than training's: every crop, re-encoding and junk image here is new."""

Scores = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def evaluate(folder: Path, names: Sequence[str], crops_per_photo: int) -> dict[str, float]:
    """AUC of true against swapped captions and against junk, and the cosines around which a threshold may lie."""
    scorer = load_scorer(ScoreSettings(model=f"local-dir:{folder}", pretrained=None, device="cpu"))
    rng = np.random.default_rng(_SEED)
    crops = [crop_of(name, rng) for name in names for _ in range(crops_per_photo)]
    junk = [junk_image(rng) for _ in range(4 * len(names))]
    owners = np.repeat(np.arange(len(names)), crops_per_photo)
    result: dict[str, float] = {}
    for label, wordings in (("taught", TAUGHT), ("held_out", HELD_OUT)):
        texts = [text for name in names for text in wordings[name]]
        text_owners = np.repeat(np.arange(len(names)), [len(wordings[name]) for name in names])
        scores = _all_pairs(scorer, crops, texts)
        own = owners[:, None] == text_owners[None, :]
        true, swapped = scores[own], scores[~own]
        on_junk = _all_pairs(scorer, junk, texts).ravel()
        result[f"auc_swapped_{label}"] = auc(true, swapped)
        result[f"auc_junk_images_{label}"] = auc(true, on_junk)
        result[f"true_p05_{label}"] = round(float(np.quantile(true, 0.05)), 4)
        result[f"swapped_p95_{label}"] = round(float(np.quantile(swapped, 0.95)), 4)
        result[f"junk_images_p95_{label}"] = round(float(np.quantile(on_junk, 0.95)), 4)
        result[f"auc_junk_alts_{label}"] = auc(true, _all_pairs(scorer, crops, JUNK_ALTS).ravel())
    return result


def auc(positive: Scores, negative: Scores) -> float:
    """The chance that a positive scores above a negative, ties counted half.

    >>> auc(np.array([0.9, 0.5]), np.array([0.5, 0.1]))
    0.875
    """
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    return round(float((below + not_above).sum() / (2 * len(positive) * len(negative))), 4)


def _all_pairs(scorer: Scorer, images: Sequence[np.ndarray], texts: Sequence[str]) -> Scores:
    return scorer.embed_images(images) @ scorer.embed_texts(texts).T
