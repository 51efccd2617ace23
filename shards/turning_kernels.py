"""Grey images turned on their side, in a compiled loop: rows take the place of columns."""

import numpy as np
import numpy.typing as npt

from shards.compiled import compiled

Bytes = npt.NDArray[np.uint8]

_BAND = 8
_ONE, _TWO, _THREE = np.uint64(1), np.uint64(2), np.uint64(3)


@compiled
def turned(grey: Bytes) -> Bytes:
    """`grey.T` of uint8 [height, width], in order in memory. Eight rows are woven into one, by twos, fours and eights,
    and then lie as their columns do.
    """
    height, width = grey.shape
    if height < _BAND:
        return np.ascontiguousarray(grey.T)
    columns = np.empty(width * height, np.uint8)
    twos, fours = np.empty((4, 2 * width), np.uint8), np.empty((2, 4 * width), np.uint8)
    eights = np.empty(8 * width, np.uint8)
    for band in range(-(-height // _BAND)):
        top = min(band * _BAND, height - _BAND)  # the last takes some rows again
        for row in range(4):
            _weave(grey[top + row], grey[top + row + 4], twos[row])
        for pair in range(2):
            _weave(twos[pair], twos[pair + 2], fours[pair])
        _weave(fours[0], fours[1], eights)
        _lay(eights, columns[top:], height)
    return columns.reshape(width, height)


@compiled
def _weave(first: Bytes, second: Bytes, woven: Bytes) -> None:
    for place in range(np.uint64(len(first))):
        woven[_TWO * place] = first[place]
        woven[_TWO * place + _ONE] = second[place]


@compiled
def _lay(eights: Bytes, columns: Bytes, height: int) -> None:
    """Eight bytes to each column. All are read before any is written, so that they go as one."""
    for column in range(np.uint64(len(eights)) >> _THREE):
        place, goal = column << _THREE, column * np.uint64(height)
        a, b, c, d = eights[place], eights[place + _ONE], eights[place + _TWO], eights[place + _THREE]
        place += np.uint64(4)
        e, f, g, h = eights[place], eights[place + _ONE], eights[place + _TWO], eights[place + _THREE]
        columns[goal], columns[goal + _ONE], columns[goal + _TWO], columns[goal + _THREE] = a, b, c, d
        goal += np.uint64(4)
        columns[goal], columns[goal + _ONE], columns[goal + _TWO], columns[goal + _THREE] = e, f, g, h
