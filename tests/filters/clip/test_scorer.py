"""The scorer on real weights: the demo's tiny dual encoder, through open_clip's own factory."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from filters.clip.backend_open_clip import import_open_clip
from filters.clip.scorer import Scorer, check_scorer, load_scorer
from filters.clip.settings import ScoreSettings
from filters.clip.torch_towers import halving_where_memory_ends
from filters.clip.weights import check_files, score_identity
from shards.errors import UsageError

pytest.importorskip("torch", reason="the clip extra is not installed")

SHIPPED = Path(__file__).parents[3] / "pipelines" / "demo" / "scorer"


def local(folder: Path = SHIPPED, **others: object) -> ScoreSettings:
    return ScoreSettings.model_validate({"model": f"local-dir:{folder}", "pretrained": None, "device": "cpu", **others})


def noise(seed: int, height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, size=(height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return load_scorer(local())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "model"))


def test_scores_are_rounded_cosines_in_the_shape_of_the_texts(scorer: Scorer) -> None:
    texts = [["一只猫", "", "IMG_0001.jpg"], [], ["一只猫"]]
    scores = scorer.score([noise(1, 80, 120), noise(2, 64, 64), noise(3, 1, 1)], texts)
    assert [len(own) for own in scores] == [3, 0, 1]
    for score in (score for own in scores for score in own):
        assert score is not None
        assert -1.0 <= score <= 1.0
        assert score == round(score, 4)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_nothing_to_score_gives_nothing(scorer: Scorer, number: int) -> None:
    assert scorer.score([noise(1, 8, 8)] * number, [[]] * number) == [[]] * number


def test_images_and_texts_must_match_in_number(scorer: Scorer) -> None:
    with pytest.raises(ValueError, match="1 images stand beside 2 lists"):
        scorer.score([noise(1, 8, 8)], [["a"], ["b"]])


def test_scores_do_not_depend_on_threads_left_by_others_nor_on_repetition(scorer: Scorer) -> None:
    import torch

    images, texts = [noise(n, 90, 70) for n in range(40)], [[f"第{n}张", "一只猫"] for n in range(40)]
    first = scorer.score(images, texts)
    torch.set_num_threads(2)
    assert scorer.score(images, texts) == first


def test_batches_of_another_size_change_no_score_beyond_rounding(scorer: Scorer) -> None:
    images, texts = [noise(n, 90, 70) for n in range(7)], [["一只猫", "一杯咖啡"]] * 7
    small = load_scorer(local(batch_size=2)).score(images, texts)
    np.testing.assert_allclose(np.array(small), np.array(scorer.score(images, texts)), atol=2e-4)


def test_named_model_with_a_weights_file_scores_as_the_local_folder_does(scorer: Scorer, tmp_path: Path) -> None:
    import torch
    from PIL import Image

    open_clip = import_open_clip()
    config = json.loads((SHIPPED / "open_clip_config.json").read_text(encoding="utf-8"))["model_cfg"]
    config["text_cfg"]["hf_tokenizer_name"] = str(SHIPPED)
    (tmp_path / "curate-demo.json").write_text(json.dumps(config), encoding="utf-8")
    open_clip.add_model_config(tmp_path)
    weights = str(SHIPPED / "open_clip_model.safetensors")
    model, _, preprocess = open_clip.create_model_and_transforms("curate-demo", pretrained=weights)
    images, texts = [noise(n, 100, 140) for n in range(3)], ["一只猫的脸部特写", "月球表面的环形山"]
    model.eval()
    with torch.inference_mode():
        pixels = torch.stack([preprocess(Image.fromarray(image)) for image in images])
        tokens = open_clip.get_tokenizer("curate-demo")(texts)
        theirs = model.encode_image(pixels, normalize=True) @ model.encode_text(tokens, normalize=True).T
    ours = scorer.score(images, [texts] * 3)
    np.testing.assert_allclose(np.array(ours), theirs.numpy(), atol=1e-4)

    named = load_scorer(ScoreSettings(model="curate-demo", pretrained=weights, device="cpu"))
    assert named.score(images, [texts] * 3) == ours
    assert named.identity.weights_sha256 == scorer.identity.weights_sha256
    assert named.identity.preprocessing == scorer.identity.preprocessing


def test_local_model_loads_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a local model asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    check_scorer(local())
    assert load_scorer(local()).identity.name == "local model"


def test_half_precision_scores_stay_near(scorer: Scorer) -> None:
    images, texts = [noise(1, 90, 70)], [["一只猫", "一杯咖啡"]]
    half = load_scorer(local(precision="bf16")).score(images, texts)
    np.testing.assert_allclose(np.array(half), np.array(scorer.score(images, texts)), atol=0.05)


def _no_config(folder: Path) -> None:
    (folder / "open_clip_config.json").unlink()


def _broken_config(folder: Path) -> None:
    (folder / "open_clip_config.json").write_text("{", encoding="utf-8")


def _foreign_config(folder: Path) -> None:
    (folder / "open_clip_config.json").write_text('{"model_cfg": {"embed_dim": 4}}', encoding="utf-8")


def _no_weights(folder: Path) -> None:
    (folder / "open_clip_model.safetensors").unlink()


def _no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (shutil.rmtree, "no folder at"),
        (_no_config, "lacks open_clip_config.json"),
        (_broken_config, "is not JSON"),
        (_foreign_config, "should hold model_cfg with embed_dim, vision_cfg, text_cfg"),
        (_no_weights, "holds no weights"),
        (_no_tokenizer, "holds no tokenizer"),
    ],
)
def test_folder_that_lacks_something_is_refused_from_its_files(folder: Path, break_it: object, message: str) -> None:
    assert callable(break_it)
    break_it(folder)
    with pytest.raises(UsageError, match=message):
        check_files(local(folder))


@pytest.mark.parametrize(
    ("model", "pretrained", "message"),
    [
        ("ViT-B-32", None, "score.pretrained is missing"),
        ("ViT-B-32", "/no/such/weights.pt", "no weights file at '/no/such/weights.pt'"),
        ("ViT-B-32", "weights.safetensors", "no weights file"),
        ("hf-hub:nobody", "x", "hf-hub:OWNER/NAME"),
        ("ViT-B-23", "openai", "knows no model 'ViT-B-23'; near it: ViT-B-"),
        ("ViT-B-32", "openia", "ViT-B-32 has no weights 'openia'; released: openai"),
    ],
)
def test_model_that_cannot_be_had_is_refused_before_anything_runs(
    model: str, pretrained: str | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        check_scorer(ScoreSettings(model=model, pretrained=pretrained))


def test_missing_folder_is_told_without_importing_torch() -> None:
    code = (
        "import sys\n"
        "from filters.clip.scorer import check_scorer\n"
        "from filters.clip.settings import ScoreSettings\n"
        "try:\n    check_scorer(ScoreSettings(model='local-dir:/no/such/folder', pretrained=None))\n"
        "except Exception as error:\n    print(type(error).__name__)\n"
        "print('torch' in sys.modules, 'PIL' in sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=SHIPPED.parents[2]
    )
    assert run.stdout.split() == ["UsageError", "False", "False"]


@pytest.mark.parametrize("content", [b"", b"\x10\x00\x00\x00\x00\x00\x00\x00nonsense", b"x" * 100])
def test_weights_that_cannot_be_read_are_the_users_mistake(folder: Path, content: bytes) -> None:
    (folder / "open_clip_model.safetensors").write_bytes(content)
    with pytest.raises(UsageError, match="could not be loaded"):
        load_scorer(local(folder))


def test_weights_of_another_shape_are_the_users_mistake(folder: Path) -> None:
    path = folder / "open_clip_config.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"embed_dim": 64', '"embed_dim": 32'), encoding="utf-8")
    with pytest.raises(UsageError, match="could not be loaded"):
        load_scorer(local(folder))


def test_moved_folder_is_the_same_scorer_and_a_changed_byte_is_another(folder: Path) -> None:
    assert score_identity(local(folder)) == score_identity(local())
    path = folder / "tokenizer.json"
    path.write_bytes(path.read_bytes() + b" ")
    assert score_identity(local(folder)) != score_identity(local())
    assert score_identity(local(batch_size=8)) != score_identity(local())


@pytest.mark.parametrize(
    ("size", "limit", "calls"), [(8, 8, [8]), (8, 2, [8, 4, 2, 2, 4, 2, 2]), (3, 1, [3, 1, 2, 1, 1])]
)
def test_batch_is_halved_until_it_fits_the_gpu(size: int, limit: int, calls: list[int]) -> None:
    import torch

    asked = []

    def encode(batch: Sequence[int]) -> torch.Tensor:
        asked.append(len(batch))
        if len(batch) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.tensor(batch)

    assert torch.cat(halving_where_memory_ends(encode, range(size))).tolist() == list(range(size))
    assert asked == calls


def test_batch_of_one_that_does_not_fit_fails() -> None:
    import torch

    def encode(batch: Sequence[int]) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        halving_where_memory_ends(encode, [1, 2])


@pytest.mark.parametrize(
    "wrong",
    [
        {"precision": "fp8"},
        {"batch_size": 0},
        {"batch_size": 2.5},
        {"device": "gpu"},
        {"model": ""},
        {"cpu_threads": 0},
        {"weights": "x"},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ScoreSettings.model_validate(wrong)
