"""Each backend beside a plain loop in fp32: the same scores, whatever the batches; and what is refused, how."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filters.clip.feed import decoded
from filters.clip.scorer import check_scorer, load_scorer
from filters.clip.settings import ScoreSettings
from filters.clip.weights import check_files, score_identity
from shards.errors import UsageError
from tests.filters.clip import tiny_models
from tests.filters.clip.test_scorer import SHIPPED
from tests.filters.clip.tiny_models import cosines, reference_pixels, reference_tokens

pytest.importorskip("torch", reason="the clip extra is not installed")
pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
pytest.importorskip("onnx", reason="the dev extra is not installed")

TEXTS = ["一只猫的脸部特写", "", "月球 表面", "a photo of 2 cats", "第3张照片" * 4, "未知的字符"]
TOLERANCE = 1.01e-4
"""Scores are rounded to 1e-4: one step, where float32 falls on the other side of a half."""


def noise(seed: int, height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    small = np.random.default_rng(seed).integers(0, 256, size=(6, 6, 3), dtype=np.uint8)
    return small.repeat(height // 6 + 1, axis=0).repeat(width // 6 + 1, axis=1)[:height, :width]


IMAGES = [noise(1, 80, 120), noise(2, 64, 64), noise(3, 32, 32), noise(4, 7, 90), noise(5, 200, 33)]


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.write_chinese_clip(tmp_path_factory.mktemp("chinese"))


@pytest.fixture(scope="module")
def onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.write_onnx(tmp_path_factory.mktemp("onnx"))


def settings(backend: str, folder: Path, **others: object) -> ScoreSettings:
    told = {"backend": backend, "model": f"local-dir:{folder}", "pretrained": None, "device": "cpu", **others}
    return ScoreSettings.model_validate(told)


def chinese_reference(folder: Path) -> np.ndarray[Any, Any]:
    import torch
    import transformers

    kind: Any = transformers.ChineseCLIPModel  # untyped in part
    model = kind.from_pretrained(folder).eval()
    with torch.inference_mode():
        images = [
            model.get_image_features(pixel_values=torch.from_numpy(reference_pixels([image], is_squashed=True)))
            for image in IMAGES
        ]
        texts = [
            model.get_text_features(input_ids=torch.tensor([ids[:31] + ids[-1:] if len(ids) > 32 else ids]))
            for ids in reference_tokens(TEXTS)
        ]
    gathered = (torch.cat([one.pooler_output for one in some]).numpy() for some in (images, texts))
    return cosines(*gathered)


def onnx_reference(folder: Path) -> np.ndarray[Any, Any]:
    weights = tiny_models.onnx_weights()
    pixels = reference_pixels(IMAGES, is_squashed=False)
    pooled = pixels.reshape(len(IMAGES), 3, 4, 8, 4, 8).mean(axis=(3, 5)).reshape(len(IMAGES), -1)
    cut = [ids[:11] + ids[-1:] if len(ids) > 12 else ids for ids in reference_tokens(TEXTS)]
    texts = np.stack([weights["table"][ids].sum(axis=0) for ids in cut])
    return cosines(pooled @ weights["image"], texts)


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_chinese_clip_scores_as_a_plain_loop_does(chinese: Path, batch_size: int) -> None:
    ours = load_scorer(settings("chinese-clip", chinese, batch_size=batch_size)).score(IMAGES, [TEXTS] * len(IMAGES))
    np.testing.assert_allclose(np.array(ours, float), chinese_reference(chinese), atol=TOLERANCE)


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_onnx_scores_as_a_plain_loop_does(onnx: Path, batch_size: int) -> None:
    ours = load_scorer(settings("onnx", onnx, batch_size=batch_size)).score(IMAGES, [TEXTS] * len(IMAGES))
    np.testing.assert_allclose(np.array(ours, float), onnx_reference(onnx), atol=TOLERANCE)


@pytest.mark.parametrize("backend", ["open_clip", "chinese-clip", "onnx"])
def test_mirrored_view_is_that_of_the_mirrored_image(request: pytest.FixtureRequest, backend: str) -> None:
    folder = SHIPPED if backend == "open_clip" else request.getfixturevalue(backend.partition("-")[0])
    scorer = load_scorer(settings(backend, folder, batch_size=2))
    side = scorer._towers.form.width
    images = [noise(seed, side, side) for seed in range(3)]
    plain, mirrored = scorer.embed_with_mirrored([decoded(image) for image in images])
    np.testing.assert_array_equal(plain, scorer.embed_images(images))
    np.testing.assert_allclose(mirrored, scorer.embed_images([image[:, ::-1] for image in images]), atol=1e-6)
    assert np.abs(plain - mirrored).max() > 1e-3


def test_mirrored_view_is_of_what_the_device_resized(chinese: Path) -> None:
    scorer = load_scorer(settings("chinese-clip", chinese))
    towers: Any = scorer._towers
    towers.resizes = True
    images = [noise(1, 80, 120), noise(2, 64, 40)]
    _, mirrored = scorer.embed_with_mirrored([decoded(image) for image in images])
    np.testing.assert_allclose(mirrored, scorer.embed_images([image[:, ::-1] for image in images]), atol=1e-3)


def test_chinese_clip_in_half_precision_stays_near(chinese: Path) -> None:
    ours = load_scorer(settings("chinese-clip", chinese, precision="bf16")).score(IMAGES, [TEXTS] * len(IMAGES))
    np.testing.assert_allclose(np.array(ours, float), chinese_reference(chinese), atol=0.05)


def test_onnx_needs_no_torch(onnx: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, numpy as np\n"
        "from filters.clip.scorer import load_scorer\nfrom filters.clip.settings import ScoreSettings\n"
        f"settings = ScoreSettings(backend='onnx', model={f'local-dir:{onnx}'!r}, pretrained=None)\n"
        "print(load_scorer(settings).score([np.zeros((8, 8, 3), np.uint8)], [['猫']])[0][0] is not None)\n"
        "print('torch' in sys.modules, 'transformers' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "False", "False"]


@pytest.mark.parametrize("backend", ["chinese-clip", "onnx"])
def test_identity_holds_name_weights_and_preprocessing_and_no_place(
    request: pytest.FixtureRequest, backend: str, tmp_path: Path
) -> None:
    import shutil

    folder: Path = request.getfixturevalue(backend.partition("-")[0])
    moved = Path(shutil.copytree(folder, tmp_path / "moved"))
    here, there = (load_scorer(settings(backend, place)).identity for place in (folder, moved))
    assert here == there
    assert len(here.weights_sha256) == 64
    assert str(folder) not in str(here)
    assert "32x32, bicubic" in here.preprocessing
    assert score_identity(settings(backend, folder)) == score_identity(settings(backend, moved))
    (moved / "vocab.txt").write_text("[CLS]\n[SEP]\n[PAD]\n[UNK]\n")
    assert score_identity(settings(backend, folder)) != score_identity(settings(backend, moved))


def _without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _with(name: str, content: object) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))

    return write


@pytest.mark.parametrize(
    ("backend", "change", "message"),
    [
        ("chinese-clip", _without("config.json"), r"lacks config\.json.*how to get it"),
        ("chinese-clip", _with("config.json", "{"), "is not JSON"),
        ("chinese-clip", _with("config.json", "[]"), "should hold an object"),
        ("chinese-clip", _with("config.json", {"model_type": "clip"}), "of type 'clip'"),
        ("chinese-clip", _without("model.safetensors"), r"holds no weights; put model\.safetensors"),
        ("chinese-clip", _without("vocab.txt"), r"holds no tokenizer; put tokenizer\.json or vocab\.txt"),
        ("chinese-clip", _without("preprocessor_config.json"), "how images are resized"),
        ("chinese-clip", _with("preprocessor_config.json", {"size": 32}), "nothing that is understood.*image_mean"),
        ("onnx", _without("image.onnx"), r"put image\.onnx there"),
        ("onnx", _without("text.onnx"), r"put text\.onnx there"),
        ("onnx", _without("curate_onnx.json"), r"put curate_onnx\.json there"),
        ("onnx", _without("vocab.txt"), "holds no tokenizer"),
    ],
)
def test_folder_that_lacks_something_is_refused_from_its_files(
    request: pytest.FixtureRequest, tmp_path: Path, backend: str, change: Callable[[Path], None], message: str
) -> None:
    import shutil

    folder = Path(shutil.copytree(request.getfixturevalue(backend.partition("-")[0]), tmp_path / "model"))
    check_scorer(settings(backend, folder))
    change(folder)
    with pytest.raises(UsageError, match=message):
        check_files(settings(backend, folder))


@pytest.mark.parametrize(
    ("backend", "change", "message"),
    [
        ("chinese-clip", _with("model.safetensors", "x" * 100), "could not be loaded"),
        ("chinese-clip", _with("vocab.txt", "a\nb\n"), r"lacks \[CLS\], \[SEP\], \[PAD\], \[UNK\]"),
        ("chinese-clip", _with("tokenizer.json", "{}"), "tokenizer in .* cannot be read"),
        ("onnx", _with("image.onnx", "x" * 100), "cannot be loaded"),
        ("onnx", _with("curate_onnx.json", {"size": 32, "mean": [0, 0, 0], "std": [1, 1]}), "three numbers"),
        ("onnx", _with("curate_onnx.json", {"size": 32, "mean": [0, 0, 0], "std": [1, 1, 1]}), "context_length"),
    ],
)
def test_model_that_cannot_be_read_is_the_users_mistake(
    request: pytest.FixtureRequest, tmp_path: Path, backend: str, change: Callable[[Path], None], message: str
) -> None:
    import shutil

    folder = Path(shutil.copytree(request.getfixturevalue(backend.partition("-")[0]), tmp_path / "model"))
    change(folder)
    with pytest.raises(UsageError, match=message):
        load_scorer(settings(backend, folder))


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"backend": "onnx", "model": "ViT-B-32"}, "is no folder; the onnx backend reads one"),
        ({"backend": "onnx", "model": "local-dir:/no/such"}, "no folder at '/no/such'.*how to get it"),
        ({"backend": "chinese-clip", "model": "ViT-B-16"}, "hf-hub:OWNER/NAME or local-dir:FOLDER"),
        ({"backend": "chinese-clip", "model": "local-dir:/no/such"}, "no folder at '/no/such'.*how to get it"),
    ],
)
def test_wrong_name_is_refused(told: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_scorer(ScoreSettings.model_validate(told))


@pytest.mark.parametrize(("name", "value"), [("precision", "bf16"), ("device", "cuda")])
def test_onnx_refuses_what_it_cannot_do(onnx: Path, name: str, value: str) -> None:
    with pytest.raises(UsageError, match=rf"score\.{name}: the onnx backend"):
        check_files(settings("onnx", onnx, **{name: value}))
