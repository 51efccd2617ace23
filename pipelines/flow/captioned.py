"""Images whose captions lie in a list of their own: candidates of both sides made pairs, and of a limit's images alone.

The two sides meet by uid, as all candidates of one image do: admit's shuffle is the join.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from crawler.lists.shards_source import ShardsSource
from pipelines.flow.part_of_source import Piece
from pipelines.flow.rows import put
from pipelines.tasks import Task
from shards.tables import iter_batches

IMAGES = "images"
"""In a task's inputs: the parts of the images that a limit took, of which alone captions are wanted."""

NO_IMAGE = "no image of this id in the tars"
NO_LINE = "no line of the list has the id of this image"


def has_captions_beside(source: object) -> bool:
    """Whether the source's images and texts come as candidates of two kinds, to be paired."""
    return isinstance(source, ShardsSource) and bool(source.captions)


def pieces_of_images(pieces: Iterable[Piece], images: Sequence[Task]) -> Iterator[tuple[int, Piece]]:
    """Pieces of a list as they are read where a limit took these parts of images, numbered from behind them."""
    refs, marks = [task.ref for task in images], [task.fingerprint for task in images]
    for index, piece in enumerate(pieces, start=len(images)):
        yield index, replace(piece, inputs=piece.inputs | {IMAGES: refs}, key=[piece.key, {IMAGES: marks}])


def uids_of_images(paths: Sequence[Path]) -> pa.Array:
    """The uids of the images in some parts: of rows of a list, those alone are looked at that have one of them."""
    uids = [batch["uid"].filter(pc.is_valid(batch["member"])) for batch in iter_batches(paths, ["uid", "member"])]
    return pa.chunked_array(uids, pa.string()).combine_chunks()


def awaiting_captions(candidates: pa.Table) -> pa.Table:
    """Images as collect finds them: that a row with a `member` has no text is no reason to fall before it is paired."""
    is_image = pc.and_(pc.is_valid(candidates["member"]), pc.equal(candidates["drop_reason"], "bad_text"))
    for name in ("drop_reason", "detail"):
        column = pc.if_else(pc.fill_null(is_image, False), pa.scalar(None, pa.string()), candidates[name])
        candidates = put(candidates, name, column)
    return candidates


def paired(candidates: pa.Table) -> pa.Table:
    """Captions with their images' `member`, and no row of their own for images that have a line.

    What has no partner says so: a caption without an image is a `bad_row`, an image without a line a `bad_text`. Of an
    id with two images the smaller `member` counts.
    """
    is_image = pc.and_(pc.is_valid(candidates["member"]), pc.is_null(candidates["drop_reason"]))
    is_line = pc.and_(pc.is_valid(candidates["url"]), pc.is_null(candidates["member"]))
    images = candidates.filter(is_image).group_by("uid", use_threads=False).aggregate([("member", "min")])
    place = pc.index_in(candidates["uid"], value_set=images["uid"].combine_chunks())
    told = pc.is_in(candidates["uid"], value_set=candidates["uid"].filter(is_line).combine_chunks())
    members = images["member_min"].combine_chunks().take(place.combine_chunks())
    is_alone = pc.or_(pc.and_(is_line, pc.is_null(place)), pc.and_(is_image, pc.invert(told)))
    is_new = pc.and_(is_alone, pc.is_null(candidates["drop_reason"]))
    for name, value in {
        "detail": pc.if_else(is_new, pc.if_else(is_image, NO_LINE, NO_IMAGE), candidates["detail"]),
        "drop_reason": pc.if_else(is_new, pc.if_else(is_image, "bad_text", "bad_row"), candidates["drop_reason"]),
        "member": pc.if_else(is_line, members, candidates["member"]),
    }.items():
        candidates = put(candidates, name, value)
    return candidates.filter(pc.invert(pc.and_(is_image, told)))
