"""Lists of uids as DataComp writes subsets: a NumPy file of pairs of 64-bit halves, sorted."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shards.storage import put_whole

HALVES = np.dtype("<u8,<u8")


def write_uids(path: Path, uids: Iterable[pa.Array], count: int) -> None:
    """`count` uids in order, each split in two unsigned halves, the higher first: dtype `u8,u8`."""
    header = {"descr": HALVES.descr, "fortran_order": False, "shape": (count,)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for some in uids:
            file.write(_halves(some).tobytes())


def without_uids(path: Path, uids: Sequence[str]) -> None:
    """Write a list again without some uids, if it has any of them; holds the list."""
    listed = np.load(path)
    is_left = ~np.isin(listed.view("<u8").reshape(-1, 2)[:, 0], _halves(pa.array(uids, pa.string()))["f0"])
    if is_left.all():
        return
    gone = {(int(uid[:16], 16), int(uid[16:], 16)) for uid in uids}
    for place in np.flatnonzero(~is_left).tolist():
        is_left[place] = tuple(listed[place].tolist()) not in gone
    left = listed[is_left]
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": HALVES.descr, "fortran_order": False, "shape": left.shape})
    put_whole(path, buffer.getvalue() + left.tobytes())


def _halves(uids: pa.Array) -> npt.NDArray[np.void]:
    return np.frombuffer(bytes.fromhex("".join(uids.to_pylist())), ">u8").astype("<u8").view(HALVES)
