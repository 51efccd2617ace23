"""What some measures of texts look at beside the stored texts: the texts as they came, their queries, the settings."""

from dataclasses import dataclass, field

import pyarrow as pa

from filters.characters import TextColumn
from filters.settings import TextSettings


@dataclass(frozen=True)
class Beside:
    """Columns are aligned with the texts; null where a row has none."""

    settings: TextSettings = field(default_factory=TextSettings)
    sources: pa.Array | pa.ChunkedArray | None = None
    """The texts cleaned, before anything was simplified or masked."""
    queries: pa.Array | pa.ChunkedArray | None = None

    def slice(self, start: int, length: int) -> "Beside":
        return Beside(self.settings, _slice(self.sources, start, length), _slice(self.queries, start, length))


class MeasuredTexts(TextColumn):
    """A column of stored texts, and what lies beside it."""

    def __init__(self, texts: pa.Array, beside: Beside | None = None) -> None:
        super().__init__(texts)
        self.beside = beside or Beside()

    def sources(self) -> TextColumn:
        """The texts as they came; the stored ones where nothing else is known."""
        return self.shared("sources", _sources)


def beside_of(column: TextColumn) -> Beside:
    """What lies beside a column: nothing but default settings beside a plain one."""
    return column.beside if isinstance(column, MeasuredTexts) else Beside()


def sources_of(column: TextColumn) -> TextColumn:
    """A column's texts as they came."""
    return column.sources() if isinstance(column, MeasuredTexts) else column


def _sources(column: TextColumn) -> TextColumn:
    sources = beside_of(column).sources
    return column if sources is None else TextColumn(sources)


def _slice(column: pa.Array | pa.ChunkedArray | None, start: int, length: int) -> pa.Array | None:
    if column is None:
        return None
    piece = column.slice(start, length)
    if isinstance(piece, pa.ChunkedArray):
        return pa.concat_arrays(piece.chunks) if piece.num_chunks else pa.nulls(0, piece.type)
    return piece
