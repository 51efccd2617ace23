"""Heads: layers read from the shapes of their weights, and every file that is no head told by what is wrong with it."""

import pickle
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from filters.clip.heads import check_width, read_head
from filters.clip.settings import Heads, HeadSettings
from shards.errors import UsageError

save_file = pytest.importorskip("safetensors.numpy", reason="the clip extra is not installed").save_file

Weights = Mapping[str, np.ndarray[Any, Any]]


def weights(*sizes: int, prefix: str = "layers", step: int = 2, seed: int = 1) -> dict[str, np.ndarray[Any, Any]]:
    """Linear layers between these widths, named as torch names what stands between dropouts."""
    rng = np.random.default_rng(seed)
    made = {}
    for place, (before, after) in enumerate(pairwise(sizes)):
        made[f"{prefix}.{step * place}.weight"] = rng.standard_normal((after, before), np.float32)
        made[f"{prefix}.{step * place}.bias"] = rng.standard_normal(after, np.float32)
    return made


def saved(folder: Path, tensors: Weights) -> str:
    path = folder / "head.safetensors"
    save_file({name: np.ascontiguousarray(values) for name, values in tensors.items()}, path)
    return str(path)


def vectors(num: int, width: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    made = np.random.default_rng(7).standard_normal((num, width))
    return np.asarray(made / np.linalg.norm(made, axis=1)[:, None])


def test_layers_follow_each_other_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    tensors = weights(6, 5, 4, 3, 3, 3, 1)  # layers.10 stands behind layers.2
    head = read_head("aesthetic", HeadSettings(path=saved(tmp_path, tensors)))
    expected = vectors(9, 6)
    for place in range(0, 12, 2):
        expected = expected @ tensors[f"layers.{place}.weight"].astype(float).T + tensors[f"layers.{place}.bias"]
    np.testing.assert_array_equal(head(vectors(9, 6)), np.round(expected[:, 0], 4))
    assert head.width == 6


@pytest.mark.parametrize("activation", ["none", "relu", "tanh"])
@pytest.mark.parametrize("output", ["linear", "sigmoid", "softmax"])
def test_head_computes_as_torch_does(tmp_path: Path, activation: str, output: str) -> None:
    torch = pytest.importorskip("torch", reason="the clip extra is not installed")
    tensors = weights(8, 5, 2 if output == "softmax" else 1, prefix="net")
    told = HeadSettings.model_validate({"path": saved(tmp_path, tensors), "activation": activation, "output": output})
    between = {"none": torch.nn.Identity, "relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[activation]()
    net = torch.nn.Sequential(torch.nn.Linear(8, 5), between, torch.nn.Linear(5, 2 if output == "softmax" else 1))
    net.load_state_dict({name.removeprefix("net."): torch.from_numpy(values) for name, values in tensors.items()})
    with torch.inference_mode():
        made = net(torch.from_numpy(vectors(7, 8)).float())
        theirs = {"linear": lambda: made[:, 0], "sigmoid": lambda: made[:, 0].sigmoid()}
        expected = theirs.get(output, lambda: made.softmax(dim=1)[:, 1])()
    np.testing.assert_allclose(read_head("punsafe", told)(vectors(7, 8)), expected.numpy(), atol=1e-4)


def test_one_layer_without_a_name_or_a_bias_is_a_head(tmp_path: Path) -> None:
    head = read_head("aesthetic", HeadSettings(path=saved(tmp_path, {"weight": np.full((1, 4), 0.5, np.float32)})))
    assert head(np.array([[1.0, 0, 0, 0], [0.5, 0.5, 0.5, 0.5]])).tolist() == [0.5, 1.0]


def test_file_that_torch_saved_gives_the_same_head(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the clip extra is not installed")
    tensors = weights(6, 3, 1)
    ours = read_head("aesthetic", HeadSettings(path=saved(tmp_path, tensors)))
    content = {name: torch.from_numpy(values) for name, values in tensors.items()}
    for name, told in (("plain.pth", content), ("nested.pt", {"state_dict": content, "epoch": 3})):
        torch.save(told, tmp_path / name)
        head = read_head("aesthetic", HeadSettings(path=str(tmp_path / name)))
        np.testing.assert_array_equal(head(vectors(5, 6)), ours(vectors(5, 6)))
        assert head.sha256 != ours.sha256


def test_embedding_that_is_no_number_has_no_value_and_no_neighbour_notices(tmp_path: Path) -> None:
    head = read_head("aesthetic", HeadSettings(path=saved(tmp_path, weights(4, 1))))
    some = vectors(3, 4)
    expected = head(some)
    some[1] = np.nan
    found = head(some)
    assert np.isnan(found).tolist() == [False, True, False]
    np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])
    assert len(head(np.zeros((0, 0)))) == 0


def test_probability_of_an_extreme_value_does_not_overflow(tmp_path: Path) -> None:
    path = saved(tmp_path, {"weight": np.array([[1e30]], np.float32)})
    head = read_head("punsafe", HeadSettings(path=path, output="sigmoid"))
    assert head(np.array([[1.0], [-1.0], [0.0]])).tolist() == [1.0, 0.0, 0.5]


def test_identity_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    here, there = (saved(folder, weights(4, 1)) for folder in (tmp_path, tmp_path / "moved"))
    other = saved(tmp_path / "moved", weights(4, 1, seed=2)) if here != there else ""
    assert (
        read_head("aesthetic", HeadSettings(path=here)).identity["sha256"]
        != read_head("aesthetic", HeadSettings(path=other)).identity["sha256"]
    )
    saved(tmp_path / "moved", weights(4, 1))
    identities = [read_head("aesthetic", HeadSettings(path=path)).identity for path in (here, there)]
    assert identities[0] == identities[1]
    assert len(identities[0]["sha256"]) == 64


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"layers.0.running_mean": np.zeros(4)}, "layers.0.running_mean is of no linear layer"),
        ({"bias": np.zeros(1)}, "there is no weight in it"),
        ({"a.weight": np.zeros((1, 4)), "b.bias": np.zeros(1)}, r"there is no b\.weight in it"),
        ({"weight": np.zeros(4)}, r"weight is \[4\].*\[out, in\] of a linear layer"),
        ({"weight": np.zeros((0, 4))}, r"weight is \[0, 4\]"),
        ({"weight": np.zeros((1, 3, 3, 3))}, "of a linear layer"),
        ({"a.weight": np.zeros((1, 4)), "a.bias": np.zeros(2)}, r"a bias of \[2\]"),
        ({"1.weight": np.zeros((5, 4)), "2.weight": np.zeros((1, 6))}, "2 takes 6 numbers, and the layer before .* 5"),
        ({"weight": np.zeros((3, 4))}, "gives 3 numbers an image; output linear takes 1"),
        ({"weight": np.array([[1.0, np.nan]])}, "holds a number that is not finite"),
    ],
)
def test_weights_that_are_no_head_are_refused(tmp_path: Path, tensors: Weights, message: str) -> None:
    with pytest.raises(UsageError, match=rf"^score\.heads\.aesthetic: .*{message}"):
        read_head("aesthetic", HeadSettings(path=saved(tmp_path, tensors)))


class _Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('a head was executed')",))


@pytest.mark.parametrize("name", ["head.safetensors", "head.pth"])
@pytest.mark.parametrize("content", [b"", b"x" * 100, pickle.dumps(_Runs()), pickle.dumps([1, 2])])
def test_file_that_holds_no_weights_is_refused_and_never_run(tmp_path: Path, name: str, content: bytes) -> None:
    pytest.importorskip("torch", reason="the clip extra is not installed")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read as weights"):
        read_head("aesthetic", HeadSettings(path=str(tmp_path / name)))


def test_missing_file_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no file at '/no/such/head\.pth'; expected weights, in safetensors"):
        read_head("punsafe", HeadSettings(path="/no/such/head.pth"))


def test_head_of_another_model_says_both_widths(tmp_path: Path) -> None:
    head = read_head("aesthetic", HeadSettings(path=saved(tmp_path, weights(768, 1))))
    with pytest.raises(UsageError, match=r"takes embeddings of 768 numbers, and the model of `score` makes 512"):
        check_width(head, 512)
    with pytest.raises(UsageError, match="takes embeddings of 768"):
        head(vectors(2, 64))
    check_width(head, 768)


@pytest.mark.parametrize("name", ["pwatermark", "punsafe"])
def test_probability_must_come_of_an_output_that_gives_one(name: str) -> None:
    with pytest.raises(ValidationError, match="sigmoid or softmax"):
        Heads.model_validate({name: {"path": "x.pth"}})
    assert Heads.model_validate({name: {"path": "x.pth", "output": "sigmoid"}, "aesthetic": {"path": "y.pth"}})
