"""The pairs of a sample that a test set is made of: found to match by people or, told apart, looked at by nobody."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.evaluation_sets.hard_negatives import PairedText, normal_text
from pipelines.evaluation_sets.votes import Votes
from shards.errors import BadInputError
from shards.export_losses import standing_texts
from shards.released import Release
from shards.schema import kind_rank

QUERY = "query"
_COLUMNS = ("uid", "text", "text_kind", "texts", "query", "sha256", "dup_group", "clip_score", "stored_format")


@dataclass(frozen=True)
class SampledImage:
    """An image of the sample in the release's order: its file's name, and the texts that stand for it, best first."""

    uid: str
    file: str
    stratum: str
    groups: frozenset[str]
    clip_score: float | None
    long: tuple[str, ...]
    short: tuple[str, ...]

    def paired(self, text: str) -> PairedText:
        texts = frozenset(normal_text(text) for text in (*self.long, *self.short))
        return PairedText(self.uid, text, self.stratum, self.groups, texts, self.clip_score)


def read_sample(path: Path) -> dict[str, str]:
    """uid -> stratum of a file that `curate sample` wrote. Raises `BadInputError` for another."""
    try:
        table = pq.read_table(path, columns=["uid", "stratum"])
    except FileNotFoundError:
        raise BadInputError(f"--sample {path}: is not there; `curate sample` writes one") from None
    except (pa.ArrowException, OSError) as error:
        raise BadInputError(f"--sample {path}: is no sample of `curate sample`: {error}") from error
    return dict(zip(table["uid"].to_pylist(), table["stratum"].to_pylist(), strict=True))


def sampled_images(release: Release, sample: Mapping[str, str]) -> list[SampledImage]:
    """The sample's images as the release has them, in its order. Raises `BadInputError` where it lacks some."""
    wanted = pa.array(sorted(sample), pa.string())
    present = [name for name in _COLUMNS if not release.missing_columns([name])]
    found = []
    for batch in release.samples(present):
        batch = batch.filter(pc.is_in(batch.column("uid"), value_set=wanted))
        rows = batch.select([name for name in present if name != "texts"]).to_pylist()
        found += [_image(row, texts, sample) for row, texts in zip(rows, standing_texts(batch), strict=True)]
    if len(found) < len(sample):
        raise BadInputError(
            f"{release.folder}: does not keep {len(sample) - len(found):,} of the sample's {len(sample):,} images; "
            "name the release that it was drawn from"
        )
    return found


def _image(row: dict[str, Any], standing: list[tuple[str, str]], sample: Mapping[str, str]) -> SampledImage:
    """The caption first, then the others by kind; a query from the source counts behind texts of that kind."""
    texts = [(row["text_kind"], row["text"]), *sorted(standing, key=lambda text: kind_rank(text[0]))]
    queries = [text for kind, text in texts if kind == QUERY] + [row.get("query")]
    return SampledImage(
        row["uid"],
        f"{row['uid']}.{row['stored_format']}",
        sample[row["uid"]],
        frozenset(filter(None, (row["dup_group"], row["sha256"]))),
        row["clip_score"],
        tuple(dict.fromkeys(text for kind, text in texts if kind != QUERY and text)),
        tuple(dict.fromkeys(filter(None, queries))),
    )


def chosen_text(uid: str, texts: tuple[str, ...], votes: Votes, takes_unlabelled: bool) -> tuple[str, bool] | None:
    """The first text that was found to match; else, if that may be, the first that nobody judged: text, is verified."""
    verified = next((text for text in texts if votes.of((uid, text)) is True), None)
    if verified is not None:
        return verified, True
    fresh = next((text for text in texts if (uid, text) not in votes.verdicts), None)
    return (fresh, False) if takes_unlabelled and fresh is not None else None


def all_texts(image: SampledImage, votes: Votes, takes_unlabelled: bool) -> Iterator[tuple[str, bool]]:
    """Every text that was found to match; where none was, and that may be, the one that `chosen_text` gives."""
    verified = [text for text in (*image.long, *image.short) if votes.of((image.uid, text)) is True]
    yield from ((text, True) for text in verified)
    if not verified:
        chosen = chosen_text(image.uid, (*image.long, *image.short), votes, takes_unlabelled)
        if chosen is not None:
            yield chosen
