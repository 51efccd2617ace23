"""How good and how dear the stored copies are: scaled decoding against full decoding and Lanczos, on photographs.

    python infra/bench/pictures.py                      photographs that installed packages carry (extra `demo`)
    python infra/bench/pictures.py --photos FOLDER      other photographs too: JPEG or PNG files
    python infra/bench/pictures.py --quick              fewer of them, under 50 s

Every photograph is encoded as the web would (JPEG 4:2:0 and 4:4:4, progressive, PNG, WebP). The reference is Pillow's
full decode and Lanczos. Ours is judged before its last encode ("scaled") and after it ("stored", JPEG quality 95);
beside it stand the reference's own stored copy, and a full decode averaged over areas, as img2dataset does it.
"""

import argparse
import io
import json
import statistics
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from machine import machine
from PIL import Image
from skimage.metrics import structural_similarity

from pipelines.demo.photos import PHOTOS
from shards.image_scaling import jpeg_scale, target_size
from shards.image_settings import ImageSettings
from shards.images import Decoded, encode_stored, read_image

AIM_PSNR_DB, AIM_SSIM = 40.0, 0.985
QUICK_PHOTOS = 5
COPIES = {
    "512 px longer side": ImageSettings(max_side_px=512, quality=95),
    "256 px shorter side": ImageSettings(max_side_px=8192, short_side_px=256, quality=95),
}
_WIRE: dict[str, dict[str, Any]] = {
    "jpeg": {"format": "JPEG", "quality": 88, "subsampling": "4:2:0"},
    "jpeg 4:4:4": {"format": "JPEG", "quality": 88, "subsampling": "4:4:4"},
    "jpeg progressive": {"format": "JPEG", "quality": 88, "subsampling": "4:2:0", "progressive": True},
    "png": {"format": "PNG"},
    "webp": {"format": "WEBP", "quality": 85},
}

_Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Comparison:
    """One stored copy: its class, PSNR in dB and SSIM against the reference, and CPU milliseconds."""

    copy: str
    wire: str
    scale: str
    scaled_psnr: float
    scaled_ssim: float
    stored_psnr: float
    stored_ssim: float
    reference_stored_psnr: float
    reference_stored_ssim: float
    area_psnr: float
    area_ssim: float
    cpu_ms: float
    reference_cpu_ms: float


_MEASURES = tuple(field.name for field in fields(Comparison) if field.type == "float" or field.type is float)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--photos", type=Path)
    arguments = parser.parse_args()
    paths = sorted(_carried_photos())
    if arguments.quick:
        paths = paths[:: max(1, len(paths) // QUICK_PHOTOS)]
    if arguments.photos is not None:
        paths += sorted(path for path in arguments.photos.iterdir() if path.suffix.lower() in (".jpg", ".png"))
    comparisons = [comparison for path in paths for comparison in _compare(path)]
    print(json.dumps(_result(comparisons, len(paths))))


def _carried_photos() -> Iterator[Path]:
    for photo in PHOTOS:
        spec = find_spec(photo.package)
        if spec is not None and spec.origin is not None and not photo.file.endswith(".npz"):
            yield Path(spec.origin).parent / photo.file


def _compare(path: Path) -> Iterator[Comparison]:
    with Image.open(path, formats=("JPEG", "PNG")) as opened:
        photo = opened.convert("RGB")
    photo.info = {}  # a profile would go into the PNG; ours applies it, the reference does not
    for wire, options in _WIRE.items():
        buffer = io.BytesIO()
        photo.save(buffer, **options)
        for copy, settings in COPIES.items():
            target = target_size(*photo.size, settings.max_side_px, settings.short_side_px)
            if target != photo.size:
                yield _compared(buffer.getvalue(), wire, copy, settings, target)


def _compared(data: bytes, wire: str, copy: str, settings: ImageSettings, target: tuple[int, int]) -> Comparison:
    scaled, stored, cpu_ms = _ours(data, settings)
    reference, reference_stored, reference_cpu_ms = _reference(data, settings, target)
    with Image.open(io.BytesIO(data)) as opened:
        scale = f"1/{jpeg_scale(opened.size, target)}" if wire.startswith("jpeg") else "none"
        area = np.asarray(opened.convert("RGB").resize(target, Image.Resampling.BOX))
    images = {
        "scaled": scaled,
        "stored": _pixels(stored),
        "reference_stored": _pixels(reference_stored),
        "area": area,
    }
    psnr = {f"{name}_psnr": _psnr_db(image, reference) for name, image in images.items()}
    ssim = {f"{name}_ssim": _ssim(image, reference) for name, image in images.items()}
    return Comparison(copy, wire, scale, cpu_ms=cpu_ms, reference_cpu_ms=reference_cpu_ms, **psnr, **ssim)


def _ours(data: bytes, settings: ImageSettings) -> tuple[_Pixels, bytes, float]:
    began = time.process_time()
    decoded = read_image(data, settings)
    assert isinstance(decoded, Decoded), decoded
    stored, _ = encode_stored(decoded.image, settings)
    return np.asarray(decoded.image), stored, 1e3 * (time.process_time() - began)


def _reference(data: bytes, settings: ImageSettings, target: tuple[int, int]) -> tuple[_Pixels, bytes, float]:
    began = time.process_time()
    with Image.open(io.BytesIO(data)) as opened:
        reference = opened.convert("RGB").resize(target, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    reference.save(buffer, "JPEG", quality=settings.quality, subsampling="4:2:0")
    return np.asarray(reference), buffer.getvalue(), 1e3 * (time.process_time() - began)


def _pixels(stored: bytes) -> _Pixels:
    with Image.open(io.BytesIO(stored)) as opened:
        return np.asarray(opened.convert("RGB"))


def _psnr_db(image: _Pixels, truth: _Pixels) -> float:
    """99 for the same pixels."""
    error = float(((image.astype(np.float64) - truth) ** 2).mean())
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


def _ssim(image: _Pixels, truth: _Pixels) -> float:
    return float(structural_similarity(image, truth, channel_axis=2, data_range=255))  # type: ignore[no-untyped-call]  # not typed


def _result(comparisons: list[Comparison], num_photos: int) -> dict[str, Any]:
    summary = _summary(comparisons)
    met = summary["scaled_psnr"]["mean"] >= AIM_PSNR_DB and summary["scaled_ssim"]["mean"] >= AIM_SSIM
    classes = {
        f"by_{name}": {value: _summary(found) for value, found in _grouped(comparisons, name).items()}
        for name in ("copy", "wire", "scale")
    }
    return {
        "name": "pictures",
        "machine": f"{machine()}, Pillow {version('pillow')}",
        "ours": {"photographs": num_photos, **_part(summary, ("copies", "scaled_", "stored_", "cpu_")), **classes},
        "peer": {
            "what": "full decode and Lanczos with Pillow (reference), or averaging areas (area, img2dataset's way)",
            **_part(summary, ("reference_", "area_")),
        },
        "ratio": round(summary["reference_cpu_ms"]["mean"] / summary["cpu_ms"]["mean"], 2),
        "aim": f"scaled: {AIM_PSNR_DB:g} dB and SSIM {AIM_SSIM} in the mean (ratio: CPU time, the reference's to ours)",
        "met": met,
    }


def _grouped(comparisons: list[Comparison], name: str) -> dict[str, list[Comparison]]:
    groups: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        groups.setdefault(getattr(comparison, name), []).append(comparison)
    return groups


def _summary(comparisons: list[Comparison]) -> dict[str, Any]:
    return {"copies": len(comparisons)} | {
        name: _spread([getattr(comparison, name) for comparison in comparisons]) for name in _MEASURES
    }


def _part(summary: dict[str, Any], beginnings: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in summary.items() if name.startswith(beginnings)}


def _spread(values: list[float]) -> dict[str, float]:
    found = sorted(values)
    return {
        "mean": round(statistics.fmean(found), 3),
        "p5": round(found[len(found) // 20], 3),
        "min": round(found[0], 3),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    main()
