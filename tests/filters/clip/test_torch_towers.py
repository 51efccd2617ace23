"""Encoders under torch: texts cut to their longest, images resized on the device, and which device it is."""

from typing import Any

import numpy as np
import pytest

from filters.clip.scorer import load_scorer
from filters.clip.settings import ScoreSettings
from shards.errors import UsageError
from tests.filters.clip.test_scorer import SHIPPED, noise

torch = pytest.importorskip("torch", reason="the clip extra is not installed")

VISION = {"layers": 1, "width": 16, "head_width": 8, "patch_size": 16, "image_size": 32}
TEXT = {"context_length": 24, "vocab_size": 40, "width": 16, "heads": 2, "layers": 2}


def model_of(kind: str, **text: object) -> Any:
    from filters.clip.backend_open_clip import import_open_clip

    open_clip = import_open_clip()
    torch.manual_seed(2)
    return getattr(open_clip, kind)(8, VISION, TEXT | text).eval()


def tokens_of(lengths: list[int]) -> Any:
    """Token ids that end in the greatest, with padding behind."""
    random = np.random.default_rng(1)
    rows = np.zeros((len(lengths), TEXT["context_length"]), np.int64)
    for row, length in zip(rows, lengths, strict=True):
        row[: length - 1], row[length - 1] = random.integers(1, 39, length - 1), 39
    return torch.from_numpy(rows)


@pytest.mark.parametrize("kind", ["CLIP", "CustomTextCLIP"])
@pytest.mark.parametrize("pool", [{}, {"pool_type": "eos", "eos_id": 39}])
def test_text_that_is_cut_before_its_padding_has_the_same_vector(kind: str, pool: dict[str, object]) -> None:
    from filters.clip.backend_open_clip import _text_tower

    model = model_of(kind, **pool)
    encode, padding = _text_tower(model, lambda _: None)
    assert padding == 0
    tokens = tokens_of([1, 4, 8, 3])
    with torch.inference_mode():
        whole = model.encode_text(tokens, normalize=True)
        np.testing.assert_allclose(encode(tokens[:, :8]).numpy(), whole.numpy(), atol=1e-6)
        np.testing.assert_allclose(encode(tokens).numpy(), whole.numpy(), atol=1e-6)


@pytest.mark.parametrize("text", [{"no_causal_mask": True}, {"pool_type": "last"}, {"pool_type": "none"}])
def test_text_is_not_cut_where_padding_counts(text: dict[str, object]) -> None:
    from filters.clip.backend_open_clip import _text_tower

    assert _text_tower(model_of("CustomTextCLIP", **text), lambda _: None)[1] is None


def test_images_resized_by_products_score_as_those_that_pillow_resized() -> None:
    settings = ScoreSettings(model=f"local-dir:{SHIPPED}", pretrained=None, device="cpu")
    images = [noise(1, 80, 120), noise(2, 64, 64), noise(3, 33, 400), noise(4, 1100, 50)]
    texts = [["一只猫", "月球"]] * 4
    by_pillow = np.array(load_scorer(settings).score(images, texts), float)
    scorer = load_scorer(settings)
    towers: Any = scorer._towers
    towers.resizes = True
    by_products = np.array(scorer.score(images, texts), float)
    np.testing.assert_allclose(by_products, by_pillow, atol=2e-3)


@pytest.mark.parametrize(
    ("device", "given", "message"),
    [
        ("cuda", "", "torch sees no CUDA device here; say auto or cpu"),
        ("cuda:1", "0", "torch sees no CUDA device here"),
        ("auto", "0", r"this worker was given GPU 0, but torch .* say score\.device: cpu"),
    ],
)
def test_gpu_that_cannot_be_used_is_told_and_not_replaced(
    monkeypatch: pytest.MonkeyPatch, device: str, given: str, message: str
) -> None:
    from filters.clip.torch_towers import device_of

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    with pytest.raises(UsageError, match=message):
        device_of(ScoreSettings(device=device))


@pytest.mark.parametrize(("device", "given"), [("auto", ""), ("auto", "-1"), ("cpu", "0")])
def test_cpu_is_taken_where_no_gpu_was_given_or_the_recipe_says_so(
    monkeypatch: pytest.MonkeyPatch, device: str, given: str
) -> None:
    from filters.clip.torch_towers import device_of

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert device_of(ScoreSettings(device=device)) == "cpu"
