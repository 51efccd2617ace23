"""How many stored copies a second one core measures, beside data-juicer's image filters and one decode by Pillow.

    python infra/bench/image_measures.py [--quick] [--workdir DIR]      4 minutes; --quick under 50 s once DIR is there
    python infra/bench/image_measures.py --costs      ours alone; prints rows for pipelines/measure_costs.tsv

Same files, same run, by turns, in a process each; seconds of CPU, so that a busy machine changes little. `costs_ms` has
what each measure costs an image beside the decode and the grey that most share, models apart. data-juicer runs its
filters that need no model; its environment is made in DIR the first time (some minutes).
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from image_corpus import GOOD_KINDS, make_corpus
from machine import machine
from peer_environment import ensure_environment

AIM = 5.0
PEER = ("py-data-juicer==1.6.1", "opencv-contrib-python-headless==5.0.0.93", "aiohttp")
_PEER_FILE = Path(__file__).with_name("image_measures_peer.py")
_MODEL_IMAGES = 8


def main() -> None:
    arguments = _arguments()
    workdir = arguments.workdir or Path(tempfile.gettempdir()) / "curate-bench-images"
    if arguments.ours is not None:
        print(json.dumps(_ours(arguments.ours)))
        return
    count, rounds = (200, 1) if arguments.quick or arguments.costs else (1000, 3)
    folder = stored_copies(workdir, count)
    if arguments.costs:
        print("\n".join(_cost_rows(_costs(folder))))
        return
    python = ensure_environment(workdir / "data-juicer", PEER)
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for side, seconds in _one_round(folder, python).items():
            found.setdefault(side, []).append(seconds)
    rates = {side: round(count / statistics.median(seconds), 1) for side, seconds in found.items()}
    ratio = round(rates["ours"] / rates["data-juicer, all"], 2)
    print(
        json.dumps(
            {
                "name": "image_measures",
                "machine": machine(),
                "images": count,
                "rounds": rounds,
                "ours": {"images_per_cpu_s": rates["ours"], "measures": _cheap_measures()},
                "costs_ms": _costs(folder),
                "peer": {
                    "data-juicer, shape, aspect, size": rates["data-juicer, headers"],
                    "data-juicer, these and subplot": rates["data-juicer, all"],
                    "Pillow, one decode and its statistics": rates["Pillow"],
                },
                "ratio": ratio,
                "ratio_without_its_filter_of_pixels": round(rates["ours"] / rates["data-juicer, headers"], 2),
                "ours_of_shape_aspect_size": {
                    "images_per_cpu_s": round(_rate_of_originals()),
                    "why": "they were recorded when the image was fetched; nothing is decoded for them",
                },
                "aim": f"at least {AIM:g} times data-juicer's image filters that need no model, in images a CPU-second",
                "met": ratio >= AIM,
            }
        )
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--costs", action="store_true", help="print what each measure costs, a line each")
    parser.add_argument("--workdir", type=Path)
    parser.add_argument("--ours", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def stored_copies(workdir: Path, count: int) -> Path:
    """A folder with stored copies of `count` images of the made-up corpus, as a recipe's defaults make them."""
    from shards.image_settings import ImageSettings
    from shards.images import Decoded, encode_stored, read_image

    folder = workdir / f"stored-{count}"
    if (folder / "complete").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    images = [image for image in make_corpus(workdir / "corpus", count * 5 // 4) if image.kind in GOOD_KINDS]
    for image in images[:count]:
        decoded = read_image((workdir / "corpus" / "www" / image.path).read_bytes(), ImageSettings())
        assert isinstance(decoded, Decoded)
        (folder / f"{image.id:07d}.jpg").write_bytes(encode_stored(decoded.image, ImageSettings())[0])
    (folder / "complete").touch()
    return folder


def _one_round(folder: Path, python: Path) -> dict[str, float]:
    """CPU-seconds of each side, each in a process of its own that has warmed up."""
    ours = _told([sys.executable, __file__, "--ours", str(folder)])
    juicer = _told([str(python), str(_PEER_FILE), str(folder), "data-juicer"])
    alone = _told([sys.executable, str(_PEER_FILE), str(folder), "pillow"])
    return {
        "ours": ours["cpu_s"],
        **{f"data-juicer, {side}": told["cpu_s"] for side, told in juicer.items()},
        "Pillow": alone["pillow"]["cpu_s"],
    }


def _told(command: list[str]) -> Any:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{ended.stderr[-2000:]}")
    return json.loads(ended.stdout.splitlines()[-1])


def _ours(folder: Path) -> dict[str, float]:
    """CPU-seconds of reading, decoding and measuring, once the loops are compiled: what the stage does of an image."""
    from pipelines.flow.measure import measured
    from shards.images import decode_stored

    paths, names = sorted(folder.glob("*.jpg")), _cheap_measures()
    measured(decode_stored(paths[0].read_bytes()), names)
    began = time.process_time()
    for path in paths:
        measured(decode_stored(path.read_bytes()), names)
    return {"cpu_s": time.process_time() - began}


def _rate_of_originals() -> float:
    """Images a CPU-second of what data-juicer's three filters without pixels tell, from what fetch recorded."""
    import numpy as np
    import pyarrow as pa

    from filters.image import fetched_measures

    sides = np.arange(100, 200_100)
    columns = {"original_width": sides.astype(np.int32), "original_height": sides[::-1].astype(np.int32)}
    fetched = pa.table({**columns, "bytes": sides * 100})
    began = time.process_time()
    fetched_measures(fetched, ["min_side", "max_side", "aspect", "bytes_per_pixel"])
    return float(len(sides) / (time.process_time() - began))


def _cheap_measures() -> list[str]:
    """All measures of stored copies that need no model, hashes among them."""
    from filters.measures import MEASURES, measures_of
    from filters.models.files import MODEL_MEASURES

    return [name for name in measures_of(MEASURES, "measure", "image") if name not in MODEL_MEASURES]


def _costs(folder: Path) -> dict[str, float]:
    """Milliseconds of CPU an image: of decoding, of the grey that measures share, and of each measure beside them."""
    from filters.image import Pixels
    from pipelines.flow.measure import measured
    from shards.images import decode_stored

    data = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))[:100]]
    images = [decode_stored(each) for each in data]
    measured(images[0], _cheap_measures())  # loads the compiled loops
    costs = {"decode": _ms(decode_stored, data)}
    costs["grey, turned too, and its histogram"] = _ms(lambda rgb: _warm(Pixels(rgb)), images)
    for name in _cheap_measures():
        both = _ms(partial(_one_measure, name), images)
        costs[name] = round(max(0.0, both - costs["grey, turned too, and its histogram"]), 3)
    return costs | _model_costs(images[:_MODEL_IMAGES])


def _one_measure(name: str, rgb: Any) -> object:
    from filters.image import Pixels
    from pipelines.flow.measure import measured

    return measured(rgb, [name], _warm(Pixels(rgb)))


def _cost_rows(costs: dict[str, float]) -> Iterator[str]:
    """A line a measure, but for what they share."""
    from filters.measures import MEASURES

    for names, ms in costs.items():
        yield from (f"{name}\t{ms:.2g} ms an image" for name in names.split(", ") if name in MEASURES)


def _warm(pixels: Any) -> Any:
    assert pixels.turned_grey is not None
    assert pixels.grey_moments is not None
    return pixels


def _model_costs(images: list[Any]) -> dict[str, float]:
    """Of the models whose packages are installed, by the measures that share one run."""
    from filters.models.feed import load_model, model_problems
    from filters.models.files import MODELS
    from filters.models.settings import ModelSettings

    costs = {}
    for name, kind in MODELS.items():
        if not model_problems(kind.measures, ModelSettings(), loads=False):
            model = load_model(name, ModelSettings())
            model.measured([model.prepared(images[0])])  # warms up
            took = _ms(partial(_one_run, model), images)
            costs[", ".join(kind.measures)] = took
    return costs


def _one_run(model: Any, rgb: Any) -> object:
    return model.measured([model.prepared(rgb)])


def _ms(work: Callable[[Any], object], images: list[Any]) -> float:
    """Nothing that the work gives is kept: memory that is taken anew costs more than some measures."""
    began = time.process_time()
    for image in images:
        work(image)
    return round((time.process_time() - began) / len(images) * 1000, 3)


if __name__ == "__main__":
    main()
