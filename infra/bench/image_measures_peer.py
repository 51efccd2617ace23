"""The image-measures bench's peers, run by their own interpreter: data-juicer's filters, or Pillow alone.

python image_measures_peer.py FOLDER data-juicer|pillow     prints seconds of CPU for the images of the folder
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

HEADERS = ("image_shape_filter", "image_aspect_ratio_filter", "image_size_filter")
"""What it measures without a look at the pixels (though it decodes them for the first two)."""

PIXELS = ("image_subplot_filter",)
"""Its one filter of pixels that needs no model."""


def data_juicer(paths: list[str], names: tuple[str, ...]) -> tuple[float, int]:
    """CPU-seconds of its filters over one image a row, and how many rows they kept; dataset and operators are made
    before. Thresholds let all pass, so that every filter sees every image.
    """
    os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    from data_juicer.core.data import NestedDataset
    from data_juicer.ops import load_ops
    from loguru import logger

    logger.remove()
    operators = load_ops([{name: {"num_proc": None}} for name in names])

    def run(some: list[str]) -> int:
        dataset: Any = NestedDataset.from_list([{"text": "", "images": [path]} for path in some])
        for operator in operators:
            dataset = operator.run(dataset)
        return len(dataset)

    run(paths[:2])  # it loads, and may install, what its operators need when they first run
    began = time.process_time()
    num_rows = run(paths)
    return time.process_time() - began, num_rows


def pillow(paths: list[str]) -> tuple[float, int]:
    """CPU-seconds of one decode an image, and of what Pillow itself tells: mean, deviation, entropy, extremes."""
    from PIL import Image, ImageStat

    began = time.process_time()
    for path in paths:
        with Image.open(path) as opened:
            rgb = opened.convert("RGB")
        grey = rgb.convert("L")
        told = ImageStat.Stat(grey)
        assert len((*told.mean, *told.stddev, *told.extrema, grey.entropy())) == 4
    return time.process_time() - began, len(paths)


if __name__ == "__main__":
    folder, what = sys.argv[1:]
    paths = sorted(str(path) for path in Path(folder).glob("*.jpg"))
    sides = {"pillow": ()} if what == "pillow" else {"headers": HEADERS, "all": (*HEADERS, *PIXELS)}
    found = {}
    for side, names in sides.items():
        seconds, rows = data_juicer(paths, names) if names else pillow(paths)
        found[side] = {"cpu_s": seconds, "rows": rows}
    print(json.dumps(found))
