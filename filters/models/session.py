"""An ONNX model on the CPU: one thread and one order of operations, so that equal pixels give equal numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.users_faults import users_fault
from shards.errors import UsageError

Floats = npt.NDArray[np.float32]
Side = int | str | None


class Session:
    """A graph with one input. `input_shape` has a number for each side that is fixed, and None for the others."""

    def __init__(self, path: Path, what: str, outputs: Sequence[str] | None = None) -> None:
        """`what` names the recipe's setting in messages. Raises UsageError for a file that is no such model."""
        self._path, self._what = path, what
        self._session = _opened(path, what)
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)":
            raise self.unfit("one input of float32")
        self._input: str = inputs[0].name
        self.input_shape = tuple(side if isinstance(side, int) else None for side in inputs[0].shape)
        known = [output.name for output in self._session.get_outputs()]
        missing = [name for name in outputs or () if name not in known]
        if missing:
            raise self.unfit(f"outputs named {', '.join(missing)}")
        self._outputs = list(outputs) if outputs is not None else known[:1]

    def unfit(self, expected: str) -> UsageError:
        """The error for a model of another kind."""
        return UsageError(f"{self._what}: {str(self._path)!r} is a model of another kind: it lacks {expected}")

    def run(self, values: Floats) -> list[Floats]:
        """The outputs that were asked for; the first alone where none was named."""
        found: list[Floats] = self._session.run(self._outputs, {self._input: np.ascontiguousarray(values)})
        return found


def _opened(path: Path, what: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(f"{what}: onnxruntime cannot be imported ({error})") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # sizes differ from image to image, and an arena keeps the most of each
    with users_fault(f"{what}: {str(path)!r} cannot be loaded as an ONNX model", *onnx_errors()):
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def onnx_errors() -> tuple[type[Exception], ...]:
    """The errors of onnxruntime's own: a class for each of its statuses, without a base in common."""
    from onnxruntime.capi import onnxruntime_pybind11_state

    classes = (value for value in vars(onnxruntime_pybind11_state).values() if isinstance(value, type))
    return tuple(kind for kind in classes if issubclass(kind, Exception))
