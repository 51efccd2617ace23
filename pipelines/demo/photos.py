"""Real photographs that installed packages carry, for the demo site and its scorer: names, files and licences.

Left out on purpose: every picture with a recognisable person (astronaut, camera, grace_hopper, lfw_subset, the head
scan s1045), logos, and pictures whose terms are not stated for reuse (the Middlebury motorcycle). The files stay
where the packages put them: nothing is copied into this project, and nothing is downloaded.
"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from shards.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

_MAX_SIDE_PX = 720
"""Photographs are brought to this size once: enough for the site, and cheap to crop from."""


@dataclass(frozen=True)
class Photo:
    """One picture: the package that carries it, the file inside the package, and its terms."""

    name: str
    package: str
    file: str
    license: str


PHOTOS = (
    Photo("brick", "skimage", "data/brick.png", "CC0 1.0 (CC0Textures)"),
    Photo("cat", "skimage", "data/chelsea.png", "CC0 1.0 (Stefan van der Walt)"),
    Photo("cell", "skimage", "data/cell.png", "CC0 1.0 (Müller et al. 2018)"),
    Photo("clock", "skimage", "data/clock_motion.png", "public domain (Stefan van der Walt)"),
    Photo("coffee", "skimage", "data/coffee.png", "CC0 1.0 (Rachel Michetti)"),
    Photo("coins", "skimage", "data/coins.png", "no known copyright restrictions (Brooklyn Museum)"),
    Photo("dahlia", "sklearn", "datasets/images/flower.jpg", "CC BY 2.0 (vultilion)"),
    Photo("galaxies", "skimage", "data/hubble_deep_field.jpg", "public domain (NASA)"),
    Photo("grass", "skimage", "data/grass.png", "CC0 1.0 (linolafett)"),
    Photo("gravel", "skimage", "data/gravel.png", "CC0 1.0 (CC0Textures)"),
    Photo("moon", "skimage", "data/moon.png", "none of its own; BSD-3-Clause with scikit-image"),
    Photo("page", "skimage", "data/page.png", "none of its own; BSD-3-Clause with scikit-image"),
    Photo("retina", "skimage", "data/retina.jpg", "CC0 1.0 (Mikael Häggström)"),
    Photo("rocket", "skimage", "data/rocket.jpg", "public domain (SpaceX)"),
    Photo("temple", "sklearn", "datasets/images/china.jpg", "CC BY 2.0 (danielbuechele)"),
    Photo(
        "terrain",
        "matplotlib",
        "mpl-data/sample_data/jacksboro_fault_dem.npz",
        "US elevation data, public domain; matplotlib states no terms",
    ),
    Photo("tissue", "skimage", "data/ihc.png", "no known copyright restrictions (CMMI)"),
    Photo("writing", "skimage", "data/text.png", "public domain (Wikipedia, Corner.png)"),
)
"""In order of name. `terrain` is elevation data, drawn here as a shaded relief."""

NAMES = tuple(photo.name for photo in PHOTOS)


@cache
def load_photo(name: str) -> "Image.Image":
    """The picture as RGB, longest side at most 720 px. Do not change it in place: it is shared."""
    photo = next(each for each in PHOTOS if each.name == name)
    path = _package_folder(photo) / photo.file
    if not path.is_file():
        raise UsageError(
            f"{photo.package} is installed, but without {photo.file}, a picture the demo needs: "
            "install the tested versions with: pip install 'curate[demo]' -c infra/constraints.txt"
        )
    picture = _shaded_relief(path) if path.suffix == ".npz" else _read_rgb(path)
    picture.thumbnail((_MAX_SIDE_PX, _MAX_SIDE_PX))
    return picture


def check_photos() -> None:
    """Raises UsageError where a package of the `demo` extra is missing; opens no picture and imports no package."""
    for photo in PHOTOS:
        _package_folder(photo)


def _package_folder(photo: Photo) -> Path:
    spec = find_spec(photo.package)
    if spec is None or spec.origin is None:
        raise UsageError(
            f"the demo takes its photographs from the package {photo.package}, which is not installed: "
            "install the demo's packages with: pip install 'curate[clip,demo]'"
        )
    return Path(spec.origin).parent


def _read_rgb(path: Path) -> "Image.Image":
    from PIL import Image

    with Image.open(path, formats=("PNG", "JPEG")) as picture:
        return picture.convert("RGB")


def _shaded_relief(path: Path) -> "Image.Image":
    """The elevations lit from the north-west and tinted by height, as a topographic map is."""
    import numpy as np
    from PIL import Image

    with np.load(path, allow_pickle=False) as data:
        height = data["elevation"].astype(np.float64)
    south, east = np.gradient(height)
    light = 0.5 + 0.5 * (south + east) / np.sqrt(south**2 + east**2 + 400.0)
    share = (height - height.min()) / (height.max() - height.min())
    low, high = np.array([96.0, 150.0, 80.0]), np.array([214.0, 190.0, 140.0])
    tint = low + share[..., None] * (high - low)
    shaded = np.clip(tint * (0.45 + 0.75 * light[..., None]), 0, 255).astype(np.uint8)
    return Image.fromarray(shaded)
