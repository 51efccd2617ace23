"""Scoring: the stage from tar to scores beside the model alone, and beside a plain loop of DataLoader and open_clip.

    python infra/bench/score.py            ViT-B/32, B/16 and L/14 with random weights; some 10 minutes on 2 cores
    python infra/bench/score.py --quick    ViT-B/32 alone; under 50 s
    bash infra/bench/score_on_gpu.sh       all of it on a machine with a GPU, from a bare checkout, in 10 minutes

Stage: a part is read, its copies are decoded and scored, its rows are written: all that a worker does but commit. Model
alone: the same batches of images (resized and normalised) and texts (cut to their longest), on the device already. The
two, and the loop, take turns in one process; `ratio` is of the medians of seconds. Where others work on the machine,
read `cpu_ratio`: the model's CPU-seconds over the stage's, decoding threads among them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import machine, peak_mib
from score_material import make_part, texts_of
from score_peer import TarImages, plain_loop

from filters.clip.backend_open_clip import import_open_clip, towers_of
from filters.clip.scorer import Scorer
from filters.clip.settings import ScoreSettings
from filters.clip.torch_towers import TorchTowers, device_of
from pipelines.flow.score_columns import with_scores
from pipelines.flow.stored import StoredCopies
from shards.tables import read_rows, write_table

MODELS = {"ViT-B-32": (48, 24_576), "ViT-B-16": (24, 12_288), "ViT-L-14": (8, 8_192)}
"""Architectures, and the images of a part on a CPU and on a GPU."""

NUM_DISTINCT = {"cpu": 96, "cuda": 1_024}
AIM_RATIO = {"cpu": 0.9, "cuda": 0.85}
AIM_SHARE_OF_PRODUCTS = 0.5

Figures = dict[str, Any]
Work = Callable[[], object]


def main() -> None:
    arguments = _arguments()
    settings = ScoreSettings(
        model="ViT-B-32", pretrained="random", device=arguments.device, cpu_threads=arguments.threads, batch_size=32
    )
    device = device_of(settings)
    kind = device.partition(":")[0]
    precision = arguments.precision or ("fp32" if kind == "cpu" else "bf16")
    batch_size = arguments.batch_size or (8 if kind == "cpu" else 256)
    settings = settings.model_copy(update={"precision": precision, "batch_size": batch_size})
    torch.set_num_threads(settings.cpu_threads)
    products = {name: _products_per_s(device, name) for name in {"fp32", precision}}
    models = ["ViT-B-32"] if arguments.quick else arguments.models
    runs = [_measured(name, settings, device, arguments, products[precision]) for name in models]
    met = all(run["ratio"] >= AIM_RATIO[kind] for run in runs)
    if kind == "cuda":
        met = met and all(
            run["share_of_products"] >= AIM_SHARE_OF_PRODUCTS for run in runs if run["model"] == "ViT-L-14"
        )
    result = {
        "name": "score",
        "machine": machine() if kind == "cpu" else f"{torch.cuda.get_device_name()}, {machine()}",
        "device": device,
        "torch": torch.__version__,
        "load": round(os.getloadavg()[0], 1),
        "settings": {"precision": precision, "batch_size": batch_size, "cpu_threads": settings.cpu_threads},
        "product_tflop_per_s": {name: round(rate / 1e12, 3) for name, rate in sorted(products.items())},
        "ours": {run["model"]: run["stage_images_per_s"] for run in runs},
        "peer": {run["model"]: run["plain_images_per_s"] for run in runs},
        "ratio": {run["model"]: run["ratio"] for run in runs},
        "runs": runs,
        "peak_mib": peak_mib(),
        "aim": {"ratio": AIM_RATIO[kind], "share_of_products": AIM_SHARE_OF_PRODUCTS if kind == "cuda" else None},
        "met": met,
    }
    print(json.dumps(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=["fp32", "fp16", "bf16"])
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--threads", type=int, default=1, help="of the model on a CPU; a worker has one")
    parser.add_argument("--images", type=int, help="of a part")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "curate-bench-score")
    return parser.parse_args()


def _measured(
    name: str, settings: ScoreSettings, device: str, arguments: argparse.Namespace, products: float
) -> Figures:
    kind = device.partition(":")[0]
    num_images = arguments.images or (16 if arguments.quick else MODELS[name][kind == "cuda"])
    rounds = 2 if arguments.quick else arguments.rounds
    rows, tar = make_part(arguments.work, num_images, min(num_images, NUM_DISTINCT[kind]))
    own = settings.model_copy(update={"model": name})
    model, preprocess, tokenize = _random_model(name, own, device)
    towers = towers_of(model, tokenize, own, device)
    scorer = Scorer(towers, own)
    texts = texts_of(rows)
    images = TarImages(tar, texts, num_images, preprocess, tokenize)
    peer_model = model if own.precision == "fp32" else _random_model(name, settings_fp32(own), device)[0]
    peer_workers = max(1, (os.cpu_count() or 1) - 1) if kind == "cuda" else 1
    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[own.precision]
    alone = _model_alone(towers, rows, tar, own.batch_size)
    works: dict[str, Work] = {
        "stage": lambda: _stage(rows, tar, scorer, arguments.work),
        "model": alone,
        "plain": lambda: plain_loop(peer_model, images, own.batch_size, peer_workers, device, dtype),
    }
    timed, busy, peaks = _in_turns(works, rounds, device)
    seconds = {what: statistics.median(wall for wall, _ in some) for what, some in timed.items()}
    cpu_s = {what: statistics.median(cpu for _, cpu in some) for what, some in timed.items()}
    flops = _flops(towers, rows, own.batch_size) * num_images
    _say(f"{name}: {seconds}")
    return {
        "model": name,
        "images": num_images,
        "texts": len(texts),
        "distinct_texts": len(set(texts)),
        "stage_images_per_s": round(num_images / seconds["stage"], 2),
        "model_images_per_s": round(num_images / seconds["model"], 2),
        "plain_images_per_s": round(num_images / seconds["plain"], 2),
        "ratio": round(seconds["model"] / seconds["stage"], 3),
        "cpu_ratio": round(cpu_s["model"] / cpu_s["stage"], 3) if kind == "cpu" else None,
        "times_plain": round(seconds["plain"] / seconds["stage"], 2),
        "share_of_products": round(flops / seconds["model"] / products, 3),
        "gpu_busy": busy,
        "seconds": {what: [round(wall, 2) for wall, _ in some] for what, some in timed.items()},
        "peak_mib_after_each_part": peaks,
    }


def settings_fp32(settings: ScoreSettings) -> ScoreSettings:
    """The peer keeps its weights in fp32 and lets autocast turn them, as clip-retrieval's users do."""
    return settings.model_copy(update={"precision": "fp32"})


def _random_model(name: str, settings: ScoreSettings, device: str) -> tuple[Any, Any, Any]:
    open_clip = import_open_clip()
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, _, preprocess = open_clip.create_model_and_transforms(name, precision=settings.precision, device=device)
    return model.eval(), preprocess, open_clip.get_tokenizer(name)


def _stage(rows: Path, tar: Path, scorer: Scorer, work: Path) -> None:
    table, _ = with_scores(read_rows(rows), tar, scorer)
    assert table["drop_reason"].null_count == table.num_rows
    write_table(work / "scored.parquet", table)


def _model_alone(towers: TorchTowers, rows: Path, tar: Path, batch_size: int) -> Work:
    """Both towers over what the stage gives them, on the device already; a few distinct batches stand for all."""
    table = read_rows(rows)
    device = towers.device
    some = table.slice(0, min(table.num_rows, 4 * batch_size))
    with StoredCopies(some, tar) as copies:
        fitted = np.stack(
            [towers.form.fitted(pixels) for one in copies.undecoded if (pixels := one.decode()) is not None]
        )
    values = torch.from_numpy(fitted).to(device).float().div_(255).permute(0, 3, 1, 2)
    ready = values.sub_(towers._mean).div_(towers._std).to(towers._dtype)
    distinct = sorted(set(texts_of(rows)))
    tokens = towers.tokens(distinct)
    tokens = tokens[np.argsort((tokens != 0).sum(axis=1), kind="stable")]
    token_batches = [
        torch.from_numpy(np.ascontiguousarray(towers._cut(tokens[at : at + batch_size]))).to(device)
        for at in range(0, len(tokens), batch_size)
    ]

    def run() -> None:
        with torch.inference_mode():
            made = [towers._encode_text(batch) for batch in token_batches]
            for at in range(0, table.num_rows, batch_size):
                first = at % len(ready)
                made.append(towers._encode_image(ready[first : first + min(batch_size, table.num_rows - at)]))
            made[-1].float().cpu()

    return run


def _in_turns(
    works: dict[str, Work], rounds: int, device: str
) -> tuple[dict[str, list[tuple[float, float]]], float | None, list[int]]:
    """Seconds and CPU-seconds of each, after one round that does not count; and the GPU's busy share in the stage."""
    timed: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    busy: list[float] = []
    peaks = []
    for number in range(rounds + (device != "cpu")):
        for name, work in works.items():
            with _gpu_use(device) as used:
                began, cpu = time.perf_counter(), time.process_time()
                work()
                if device != "cpu":
                    torch.cuda.synchronize()
                timed[name].append((time.perf_counter() - began, time.process_time() - cpu))
            if name == "stage":
                busy += used
                peaks.append(peak_mib())
        if device != "cpu" and number == 0:
            timed = {name: [] for name in works}
    return timed, round(statistics.mean(busy) / 100, 3) if busy else None, peaks


@contextmanager
def _gpu_use(device: str) -> Iterator[list[float]]:
    """What nvidia-smi says of the GPU's use, in percent, several times a second."""
    told: list[float] = []
    if device == "cpu":
        yield told
        return
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "100"]
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    except OSError:
        yield told
        return

    def read() -> None:
        assert process.stdout is not None
        told.extend(float(line) for line in process.stdout if line.strip().replace(".", "").isdigit())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield told
    finally:
        process.terminate()
        process.wait()
        reader.join(5)


def _flops(towers: TorchTowers, rows: Path, batch_size: int) -> float:
    """Floating-point operations that an image of the part takes, its share of the texts among them."""
    from torch.utils.flop_counter import FlopCounterMode

    distinct = sorted(set(texts_of(rows)))[:batch_size]
    pixels = torch.zeros(1, 3, towers.form.height, towers.form.width, device=towers.device, dtype=towers._dtype)
    tokens = torch.from_numpy(np.ascontiguousarray(towers._cut(towers.tokens(distinct)))).to(towers.device)
    with torch.inference_mode(), FlopCounterMode(display=False) as of_image:
        towers._encode_image(pixels)
    with torch.inference_mode(), FlopCounterMode(display=False) as of_texts:
        towers._encode_text(tokens)
    texts_an_image = len(set(texts_of(rows))) / read_rows(rows, ["uid"]).num_rows
    return float(of_image.get_total_flops() + of_texts.get_total_flops() / len(distinct) * texts_an_image)


def _products_per_s(device: str, precision: str) -> float:
    """Floating-point operations a second of square matrix products, the best of several."""
    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    side = 1024 if device == "cpu" else 8192
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(4):
            made = left @ right
        made[0, 0].item()
        best = min(best, (time.perf_counter() - began) / 4)
    return 2 * side**3 / best


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
