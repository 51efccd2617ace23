"""Tiny dual encoders with random weights, in the formats that users have: Chinese-CLIP's folder, and ONNX graphs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.clip.torch_towers import prepare_torchvision

CHARACTERS = "一只猫的脸部特写月球表面环形山第张照片白色杯咖啡"
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *CHARACTERS, "cat", "photo", "##s", "a", "1", "2", "3"]
SIDE = 32
EMBEDDED = 16
_FORM = {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28], "resample": 3}


def write_vocabulary(folder: Path) -> None:
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in VOCABULARY), encoding="utf-8")


def write_chinese_clip(folder: Path) -> Path:
    """A ChineseCLIPModel of two layers a tower, as its authors' folders are laid out."""
    import torch

    prepare_torchvision()
    from transformers import ChineseCLIPConfig, ChineseCLIPModel

    torch.manual_seed(5)
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = ChineseCLIPConfig(
        text_config={**layers, "vocab_size": len(VOCABULARY), "max_position_embeddings": 32},
        vision_config={**layers, "image_size": SIDE, "patch_size": 16},
        projection_dim=EMBEDDED,
    )
    ChineseCLIPModel(config).save_pretrained(folder)
    processor = {"size": {"height": SIDE, "width": SIDE}, "do_center_crop": False, "crop_size": SIDE, **_FORM}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    write_vocabulary(folder)
    return folder


def onnx_weights() -> dict[str, npt.NDArray[np.float32]]:
    """What the graphs multiply with: of the image its pooled 4 x 4 pixels, of a text the mean of its tokens."""
    rng = np.random.default_rng(3)
    return {
        "image": rng.standard_normal((3 * 16, EMBEDDED), np.float32),
        "table": rng.standard_normal((len(VOCABULARY), EMBEDDED), np.float32),
    }


def write_onnx(folder: Path) -> Path:
    """Two graphs of a few nodes each, with their description and vocabulary."""
    from onnx import TensorProto, helper, numpy_helper, save

    weights = onnx_weights()
    folder.mkdir(parents=True, exist_ok=True)
    pool = SIDE // 4
    _save(
        save,
        folder / "image.onnx",
        helper.make_graph(
            [
                helper.make_node(
                    "AveragePool", ["pixels"], ["pooled"], kernel_shape=[pool, pool], strides=[pool, pool]
                ),
                helper.make_node("Flatten", ["pooled"], ["flat"], axis=1),
                helper.make_node("MatMul", ["flat", "image"], ["image_embeds"]),
            ],
            "image",
            [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
            [helper.make_tensor_value_info("image_embeds", TensorProto.FLOAT, ["n", EMBEDDED])],
            [numpy_helper.from_array(weights["image"], "image")],
        ),
    )
    axis = numpy_helper.from_array(np.array([1], np.int64), "axis")
    last = numpy_helper.from_array(np.array([2], np.int64), "last")
    _save(
        save,
        folder / "text.onnx",
        helper.make_graph(
            [
                helper.make_node("Gather", ["table", "input_ids"], ["pieces"]),
                helper.make_node("Cast", ["attention_mask"], ["told"], to=TensorProto.FLOAT),
                helper.make_node("Unsqueeze", ["told", "last"], ["mask"]),
                helper.make_node("Mul", ["pieces", "mask"], ["masked"]),
                helper.make_node("ReduceSum", ["masked", "axis"], ["text_embeds"], keepdims=0),
            ],
            "text",
            [
                helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "length"])
                for name in ("input_ids", "attention_mask")
            ],
            [helper.make_tensor_value_info("text_embeds", TensorProto.FLOAT, ["n", EMBEDDED])],
            [numpy_helper.from_array(weights["table"], "table"), axis, last],
        ),
    )
    described = {"size": SIDE, "resize": "shortest", "mean": _FORM["image_mean"], "std": _FORM["image_std"]}
    described |= {"context_length": 12, "dynamic_length": True}
    (folder / "curate_onnx.json").write_text(json.dumps(described))
    write_vocabulary(folder)
    return folder


def _save(save: Any, path: Path, graph: Any) -> None:
    from onnx import helper

    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save(model, path)


def reference_pixels(images: Sequence[npt.NDArray[np.uint8]], is_squashed: bool) -> npt.NDArray[np.float32]:
    """[n, 3, SIDE, SIDE] by Pillow alone, one image after the other."""
    from PIL import Image

    ready = []
    for pixels in images:
        image = Image.fromarray(pixels)
        if is_squashed:
            image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        else:
            width, height = image.size
            short = min(width, height)
            image = image.resize((int(SIDE * width / short), int(SIDE * height / short)), Image.Resampling.BICUBIC)
            left, top = round((image.width - SIDE) / 2), round((image.height - SIDE) / 2)
            image = image.crop((left, top, left + SIDE, top + SIDE))
        values = (np.asarray(image, np.float32) / 255 - np.array(_FORM["image_mean"], np.float32)) / np.array(
            _FORM["image_std"], np.float32
        )
        ready.append(values.transpose(2, 0, 1))
    return np.stack(ready).astype(np.float32)


def reference_tokens(texts: Sequence[str]) -> list[list[int]]:
    """Ids by transformers' own tokenizer, [CLS] and [SEP] among them, without padding."""
    from transformers import BertTokenizer

    tokenizer = BertTokenizer(vocab={piece: place for place, piece in enumerate(VOCABULARY)}, do_lower_case=True)
    ids: list[list[int]] = tokenizer(list(texts))["input_ids"]
    return ids


def cosines(images: npt.NDArray[np.float32], texts: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    images = images / np.linalg.norm(images, axis=1, keepdims=True)
    return np.asarray(images @ (texts / np.linalg.norm(texts, axis=1, keepdims=True)).T)
