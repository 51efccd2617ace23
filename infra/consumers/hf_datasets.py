"""Reads the exports `hf-webdataset` and `hf-imagefolder`, and the release itself, with Hugging Face's `datasets`.

    python infra/consumers/hf_datasets.py RUN-or-RELEASE [--work FOLDER]

`datasets` is installed into an environment of its own. Each folder is loaded whole and streamed; what comes out is
compared with the manifest: uids, captions, sizes and bytes of images, all measures. The last line is one JSON object.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

from peer_environment import ensure_environment

from pipelines.export import export
from shards.released import open_release

DEFAULT_WORK = Path(tempfile.gettempdir()) / "curate-consumers-hf"
PACKAGES = ("datasets==5.2.0", "pillow==13.0.0")
LAYOUTS = ("hf-webdataset", "hf-imagefolder")

READ = """
import hashlib, json, sys
from datasets import load_dataset, Image
folder, layout, is_streaming, cache = sys.argv[1], sys.argv[2], sys.argv[3] == "stream", sys.argv[4]
found = {}
for split, dataset in load_dataset(folder, streaming=is_streaming, cache_dir=cache).items():
    images = [name for name, feature in dataset.features.items() if isinstance(feature, Image)]
    for name in images:
        dataset = dataset.cast_column(name, Image(decode=False))
    for row in dataset:
        facts = row["json"] if "json" in row else row
        image = next(row[name] for name in images if row[name] is not None)
        data = image["bytes"] if image["bytes"] is not None else open(image["path"], "rb").read()
        phash = facts["phash"]
        found[facts["uid"]] = {
            "split": split, "text": row["txt"] if "txt" in row else row["text"], "clip_score": facts["clip_score"],
            "phash": int(phash, 16) if isinstance(phash, str) else phash, "texts": facts["texts"],
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    decoded = dataset.cast_column(images[0], Image())
    first = next(iter(decoded))
    print(split, type(first[images[0]]).__name__, getattr(first[images[0]], "size", None), file=sys.stderr)
print(json.dumps(found))
"""


def main() -> None:
    arguments = _arguments()
    arguments.work.mkdir(parents=True, exist_ok=True)
    python = ensure_environment(arguments.work / "datasets", PACKAGES)
    expected = _expected(arguments.path)
    result: dict[str, Any] = {"name": "hf_datasets", "packages": PACKAGES, "samples": len(expected), "read": {}}
    with tempfile.TemporaryDirectory(dir=arguments.work) as home:
        folders = {layout: Path(home) / layout for layout in LAYOUTS}
        for layout, folder in folders.items():
            export(arguments.path, layout, str(folder))
        folders["release"] = open_release(arguments.path).folder
        for layout, folder in folders.items():
            for way in ("whole", "stream"):
                found = _read(python, folder, layout, way, Path(home) / f"cache-{layout}-{way}")
                result["read"][f"{layout} {way}"] = _compared(found, expected)
    result["met"] = all(words == "the same" for words in result["read"].values())
    print(json.dumps(result))
    sys.exit(0 if result["met"] else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=lambda given: Path(given).resolve(), help="a run or a release with shards")
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK)
    arguments: argparse.Namespace = parser.parse_args()
    return arguments


def _expected(path: Path) -> dict[str, dict[str, Any]]:
    """What the manifest says of each kept sample."""
    release = open_release(path)
    columns = ["uid", "text", "clip_score", "phash", "texts", "stored_sha256"]
    has_splits = bool(release.split_names())
    rows = (row for b in release.samples([*columns, *(["split"] if has_splits else [])]) for row in b.to_pylist())
    return {
        row["uid"]: {
            "split": row.get("split", "train"),
            **{name: row[name] for name in ("text", "clip_score", "phash", "texts")},
            "sha256": row["stored_sha256"],
        }
        for row in rows
    }


def _read(python: Path, folder: Path, layout: str, way: str, cache: Path) -> dict[str, dict[str, Any]] | str:
    command = [str(python), "-c", READ, str(folder), layout, way, str(cache)]
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(cache), "PATH": "/usr/bin:/bin", "HOME": str(cache)}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    print(f"{layout} {way}: {ended.stderr.strip()[-300:]}", file=sys.stderr, flush=True)
    if ended.returncode:
        return ended.stderr.strip().splitlines()[-1]
    found: dict[str, dict[str, Any]] = json.loads(ended.stdout.splitlines()[-1])
    return found


def _compared(found: dict[str, dict[str, Any]] | str, expected: dict[str, dict[str, Any]]) -> str:
    if isinstance(found, str):
        return found
    if found.keys() != expected.keys():
        return f"{len(found.keys() ^ expected.keys())} samples are in one of the two alone"
    wrong = [
        (uid, name, found[uid].get(name), value)
        for uid, row in expected.items()
        for name, value in row.items()
        if not _is_same(found[uid].get(name), value)
    ]
    return f"{len(wrong)} values differ, such as {wrong[0]}" if wrong else "the same"


def _is_same(found: Any, expected: Any) -> bool:
    """Whether two values are equal; numbers to 1e-12: `datasets` reads JSON by a parser that misses last bits."""
    if isinstance(expected, float) and isinstance(found, float):
        return math.isclose(found, expected, rel_tol=1e-12)
    if isinstance(expected, dict) and isinstance(found, dict):
        return found.keys() == expected.keys() and all(_is_same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list) and isinstance(found, list):
        return len(found) == len(expected) and all(map(_is_same, found, expected))
    return bool(found == expected)


if __name__ == "__main__":
    main()
