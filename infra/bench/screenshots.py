"""How well `is_screenshot` tells screenshots from photographs and drawings, on pictures that were never seen together.

    python infra/bench/screenshots.py DATA [--pages 240] [--workdir DIR]     6 minutes; needs chromium

DATA has `sites/` (HTML pages, photographs, the Debian handbook's screenshots and diagrams) and `pairs/` (drawings).
Pages of the sites and of /usr/share/doc are shown by a headless browser in six sizes, one in five in dark colours. A
picture belongs to the half that its name's sha256 says: the weights in `filters/drawn.py` come from `tuned`, and only
`held_out` tells how well they do. The handbook's own pictures took no part; which of them are diagrams is said below.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from image_corpus import gather_photos
from machine import machine

AIM = 0.95
_SIZES = ((1366, 768), (1920, 1080), (500, 1040), (1280, 1600), (1024, 768), (600, 1300))
_LEAST_SIDE_PX = 100
_DIAGRAMS = frozenset(
    (
        "autobuilder",
        "case-study",
        "developers-map",
        "existing-setup-1",
        "existing-setup-2",
        "existing-setup-4",
        "mail-server",
        "package-lifecycle",
        "release-cycle",
        "selinux-context",
        "selinux-transitions",
        "ssh-L",
        "ssh-R",
        "startup-systemd",
        "startup-sysvinit",
        "virtual-package",
    )
)
"""Of the handbook's pictures, those that show no screen."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pages", type=int, default=240)
    parser.add_argument("--workdir", type=Path, default=Path(tempfile.gettempdir()) / "curate-bench-screenshots")
    arguments = parser.parse_args()
    sites = arguments.data / "sites"
    kinds = {
        "pages": _shown(_pages(sites, arguments.pages), arguments.workdir / "pages"),
        "dishes": _files(sites / "howtocook-a", (".jpg", ".jpeg")),
        "wallpapers and textures": gather_photos(arguments.workdir / "photos"),
        "drawings on white": _files(arguments.data / "pairs" / "tuxpaint-stamps", (".png",)),
    }
    verdicts = {kind: dict(_verdicts(paths)) for kind, paths in kinds.items()}
    halves = {half: _figures(verdicts, half) for half in ("tuned", "held_out")}
    handbook = dict(_verdicts(_files(sites / "debian-handbook-zh-CN" / "images", (".png",))))
    met = min(halves["held_out"]["precision"], halves["held_out"]["recall"]) >= AIM
    print(
        json.dumps(
            {
                "name": "screenshots",
                "machine": machine(),
                "ours": {**halves, "screens of the handbook": _apart(handbook)},
                "aim": f"precision and recall of {AIM} on the half that was held out",
                "met": met,
            }
        )
    )


def _figures(verdicts: dict[str, dict[Path, bool]], half: str) -> dict[str, Any]:
    """Precision and recall of one half, and of each kind of picture how many are taken for screenshots."""
    told = {kind: [says for path, says in found.items() if _half(path) == half] for kind, found in verdicts.items()}
    taken = {kind: sum(says) for kind, says in told.items()}
    return {
        "precision": round(taken["pages"] / max(1, sum(taken.values())), 3),
        "recall": round(taken["pages"] / max(1, len(told["pages"])), 3),
        "taken": {kind: f"{taken[kind]} of {len(told[kind])}" for kind in told},
    }


def _half(path: Path) -> str:
    return "tuned" if hashlib.sha256(path.name.encode()).digest()[0] % 2 == 0 else "held_out"


def _apart(handbook: dict[Path, bool]) -> dict[str, str]:
    screens = [says for path, says in handbook.items() if path.stem not in _DIAGRAMS]
    diagrams = [says for path, says in handbook.items() if path.stem in _DIAGRAMS]
    return {
        "screens found": f"{sum(screens)} of {len(screens)}",
        "diagrams taken for screens": f"{sum(diagrams)} of {len(diagrams)}",
    }


def _verdicts(paths: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    """What is said of the stored copy of each picture, but of icons."""
    from filters.drawn import is_screenshot
    from filters.image import Pixels
    from shards.image_settings import ImageSettings
    from shards.images import Decoded, decode_stored, encode_stored, read_image

    for path in paths:
        decoded = read_image(path.read_bytes(), ImageSettings())
        if isinstance(decoded, Decoded) and min(decoded.image.size) >= _LEAST_SIDE_PX:
            rgb = decode_stored(encode_stored(decoded.image, ImageSettings())[0])
            yield path, is_screenshot(Pixels(rgb))


def _files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in endings)


def _pages(sites: Path, number: int) -> list[Path]:
    """Half from the sites, half from the machine's own documents, spread over both."""
    own, docs = _files(sites, (".html",)), _files(Path("/usr/share/doc"), (".html",))
    docs = [path for path in docs if path.stat().st_size > 3000]
    return [*_spread(own, number - number // 2), *_spread(docs, number // 2)]


def _spread(paths: list[Path], number: int) -> list[Path]:
    return [paths[place * len(paths) // number] for place in range(number)] if len(paths) > number else paths


def _shown(pages: list[Path], folder: Path) -> list[Path]:
    """A screenshot of each page; those that are there already are not made again."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("no chromium here: it makes the screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number, page in enumerate(pages):
        width, height = _SIZES[number % len(_SIZES)]
        target = folder / f"{number:03d}-{page.stem[:40]}-{width}.png"
        made.append(target)
        if not target.exists():
            dark = ["--force-dark-mode", "--enable-features=WebContentsForceDark"] if number % 5 == 0 else []
            window = [f"--window-size={width},{height}", f"--screenshot={target}"]
            options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *dark, *window]
            subprocess.run([browser, *options, page.as_uri()], capture_output=True, check=True, timeout=60)
    return made


if __name__ == "__main__":
    main()
