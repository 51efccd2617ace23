"""ONNX graphs of a few nodes with the real models' inputs and outputs, whose answers can be worked out by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

Shape = Sequence[int | str]


def write_graph(path: Path, nodes: Sequence[Any], given: Shape, made: Sequence[str], constants: Any = ()) -> Path:
    """A graph from `x`, float32 of the shape `given`, to the outputs `made`."""
    from onnx import TensorProto, helper, numpy_helper, save

    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, given)]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in made]
    initializers = [numpy_helper.from_array(value, name) for name, value in dict(constants).items()]
    graph = helper.make_graph(list(nodes), "tiny", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    save(model, path)
    return path


def write_nsfw(path: Path, slope: float = 1 / 512, given: Shape = ("n", 224, 224, 3)) -> Path:
    """The second class is the mean of all channels times `slope`, and the first what is left of 1."""
    from onnx import helper

    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "slope"], ["second"]),
        helper.make_node("Sub", ["one", "second"], ["first"]),
        helper.make_node("Unsqueeze", ["first", "last"], ["first_column"]),
        helper.make_node("Unsqueeze", ["second", "last"], ["second_column"]),
        helper.make_node("Concat", ["first_column", "second_column"], ["outputs"], axis=1),
    ]
    constants = {"slope": np.float32(slope), "one": np.float32(1), "last": np.array([1])}
    return write_graph(path, nodes, given, ["outputs"], constants)


def write_text_detector(path: Path) -> Path:
    """Certain of text where the first channel, which is blue, is at its brightest."""
    from onnx import helper

    nodes = [
        helper.make_node("Slice", ["x", "from", "to", "axis"], ["first"]),
        helper.make_node("Relu", ["first"], ["certainty"]),
    ]
    constants = {"from": np.array([0]), "to": np.array([1]), "axis": np.array([1])}
    return write_graph(path, nodes, ("n", 3, "h", "w"), ["certainty"], constants)


def write_yunet(path: Path, given: Shape = (1, 3, "h", "w")) -> Path:
    """A face in each cell of 32 px whose first channel is 255 throughout, of the cell's own size about its corner."""
    from onnx import helper

    nodes, made = [], []
    for stride in (8, 16, 32):
        nodes += [
            helper.make_node("Slice", ["x", "from", "to", "axis"], [f"blue_{stride}"]),
            helper.make_node(
                "AveragePool",
                [f"blue_{stride}"],
                [f"mean_{stride}"],
                kernel_shape=[stride, stride],
                strides=[stride, stride],
            ),
            helper.make_node("Mul", [f"mean_{stride}", f"scale_{stride}"], [f"sure_{stride}"]),
            helper.make_node("Reshape", [f"sure_{stride}", "column"], [f"cls_{stride}"]),
            helper.make_node("Identity", [f"cls_{stride}"], [f"obj_{stride}"]),
            helper.make_node("Mul", [f"cls_{stride}", "none"], [f"zero_{stride}"]),
            helper.make_node("Concat", [f"zero_{stride}"] * 4, [f"bbox_{stride}"], axis=2),
        ]
        made += [f"cls_{stride}", f"obj_{stride}", f"bbox_{stride}"]
    constants = {"from": np.array([0]), "to": np.array([1]), "axis": np.array([1]), "none": np.float32(0)}
    constants["column"] = np.array([1, -1, 1])
    constants |= {f"scale_{stride}": np.float32(1 / 255 if stride == 32 else 0) for stride in (8, 16, 32)}
    return write_graph(path, nodes, given, made, constants)
