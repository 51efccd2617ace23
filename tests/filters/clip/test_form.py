"""Images in a model's form: as open_clip's own preprocessing leaves them, by Pillow and by matrix products alike."""

from typing import Any

import numpy as np
import pytest

from filters.clip.form import ImageForm, Pixels

pytest.importorskip("torch", reason="the clip extra is not installed")

SIZES = [(224, 224), (300, 200), (37, 411), (512, 341), (1, 1), (3, 700), (225, 223), (100, 100)]


def waves(height: int, width: int) -> Pixels:
    """A picture with smooth parts, edges and saturated areas, so that resampling overshoots and is clipped."""
    rng = np.random.default_rng(height * 1000 + width)
    down, across = np.mgrid[0:height, 0:width] / 9.0
    channels = [127 + 200 * np.sin(down * rng.uniform(0.2, 2) + across * rng.uniform(0.2, 2)) for _ in range(3)]
    return np.asarray(np.clip(np.stack(channels, axis=2), 0, 255), np.uint8)


def by_open_clip(pixels: Pixels, form: ImageForm) -> "np.ndarray[Any, np.dtype[np.float32]]":
    from PIL import Image

    from filters.clip.backend_open_clip import import_open_clip

    open_clip = import_open_clip()
    config = open_clip.transform.PreprocessCfg(
        size=(form.height, form.width),
        mean=form.mean,
        std=form.std,
        interpolation=form.interpolation,
        resize_mode=form.resize,
        fill_color=form.fill,
    )
    ready = open_clip.transform.image_transform_v2(config, is_train=False)(Image.fromarray(pixels))
    return np.asarray(ready.numpy())


FORMS = [
    ImageForm(64, 64),
    ImageForm(64, 64, "squash", "bilinear"),
    ImageForm(48, 64, "squash"),
    ImageForm(64, 64, "longest", fill=7),
    ImageForm(48, 64, "longest"),
    ImageForm(48, 64, "shortest"),
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.resize} {form.width}x{form.height}")
@pytest.mark.parametrize("size", SIZES)
def test_fitted_pixels_are_those_of_open_clip_to_the_bit(form: ImageForm, size: tuple[int, int]) -> None:
    pixels = waves(*size)
    if form.resize == "longest" and size == (3, 700):  # open_clip asks Pillow for an image without height
        assert form.fitted(pixels).shape == (form.height, form.width, 3)
        return
    theirs = by_open_clip(pixels, form)
    shares = form.fitted(pixels).astype(np.float32) / np.float32(255)
    ours = (shares - np.array(form.mean, np.float32)) / np.array(form.std, np.float32)
    np.testing.assert_array_equal(ours.transpose(2, 0, 1), theirs)


@pytest.mark.parametrize("form", [form for form in FORMS if form.resize != "longest"], ids=lambda form: form.words)
def test_matrix_products_resize_as_pillow_does(form: ImageForm) -> None:
    import torch

    from filters.clip.resize import resized

    pictures = [waves(*size) for size in SIZES]
    room = np.full((len(SIZES), 700, 700, 3), 255, np.uint8)  # what lies beside an image must not reach it
    for place, picture in zip(room, pictures, strict=True):
        place[: picture.shape[0], : picture.shape[1]] = picture
    ours = resized(torch.from_numpy(room), tuple(SIZES), form).numpy()
    theirs = np.stack([np.asarray(form.fitted(picture), np.float32) for picture in pictures])
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1
    assert (ours != theirs).mean() < 1e-3


def test_more_images_than_one_product_takes_come_in_their_order() -> None:
    import torch

    from filters.clip.resize import _AT_ONCE, resized

    levels = np.arange(_AT_ONCE + 3) % 256
    room = np.broadcast_to(levels[:, None, None, None], (len(levels), 8, 8, 3)).astype(np.uint8)
    made = resized(torch.from_numpy(np.ascontiguousarray(room)), ((8, 8),) * len(levels), ImageForm(4, 4)).numpy()
    np.testing.assert_array_equal(made[:, 0, 0, 0], levels)
    assert made.shape == (len(levels), 4, 4, 3)
