"""Scores of the demo's checkpoint on a GPU beside those on the CPU: how far apart they are, by precision and batch.

    python infra/bench/score_devices.py       on a GPU, a minute; `--device cpu` tries it where there is none

The GPU resizes by matrix products and computes in its own order, so the last digits differ; this says by how much. It
also scores twice, with batches that must be halved and with other sizes, and says whether bits stay.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from filters.clip.scorer import Pixels, Scorer, load_scorer
from filters.clip.settings import ScoreSettings

SCORER_FOLDER = Path(__file__).parents[2] / "pipelines" / "demo" / "scorer"
NUM_IMAGES = 512
TEXTS = ["一只猫的脸部特写", "月球表面的环形山", "木桌上的红色咖啡杯", ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    device = parser.parse_args().device
    pictures = [_picture(number) for number in range(NUM_IMAGES)]
    cpu = _scores(_scorer("cpu", "fp32", 64), pictures)
    found = {}
    for precision in ("fp32", "bf16", "fp16"):
        for batch_size in (1, 64, 256):
            scorer = _scorer(device, precision, batch_size)
            first, second = _scores(scorer, pictures), _scores(scorer, pictures)
            found[f"{precision}, batches of {batch_size}"] = {
                "largest_difference": round(float(np.nanmax(np.abs(first - cpu))), 4),
                "share_within_2e-4": round(float((np.abs(first - cpu) <= 2e-4).mean()), 4),
                "null": int(np.isnan(first).sum()),
                "repeats": bool(np.array_equal(first, second, equal_nan=True)),
            }
    name = device if device == "cpu" else torch.cuda.get_device_name()
    print(json.dumps({"name": "score_devices", "device": name, "of": NUM_IMAGES, "runs": found}))


def _scorer(device: str, precision: str, batch_size: int) -> Scorer:
    told = {"model": f"local-dir:{SCORER_FOLDER}", "pretrained": None, "device": device, "precision": precision}
    return load_scorer(ScoreSettings.model_validate({**told, "batch_size": batch_size}))


def _scores(scorer: Scorer, pictures: list[Pixels]) -> np.ndarray:
    return np.array(scorer.score(pictures, [TEXTS] * len(pictures)), np.float64)


def _picture(number: int) -> Pixels:
    random = np.random.default_rng(number)
    height, width = (int(side) for side in random.integers(40, 513, 2))
    down, across = np.mgrid[0:height, 0:width] / 40.0
    waves = [np.sin(a * down + b * across + c) for a, b, c in random.uniform(0.2, 5, (3, 3))]
    return np.asarray(np.clip(np.stack(waves, axis=2) * 140 + 120, 0, 255), np.uint8)


if __name__ == "__main__":
    main()
