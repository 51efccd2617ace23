"""mlcroissant validates a release's croissant.json and yields its records."""

import json
from pathlib import Path

from consumer import Consumer, run
from expected import kept_rows

_MAY_LACK = ("datePublished",)
"""Properties that it recommends and that nobody can compute: they are there once the recipe says them."""


def _read(release: Path) -> int:
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=str(release / "croissant.json"))
    issues = dataset.metadata.ctx.issues
    warnings = [warning for warning in issues.warnings if not any(name in warning for name in _MAY_LACK)]
    if issues.errors or warnings:
        raise ValueError(issues.report())
    stats = json.loads((release / "stats.json").read_bytes())
    counts = {}
    for record_set in dataset.metadata.record_sets:
        records = list(dataset.records(record_set.id))
        counts[record_set.id] = len(records)
        if record_set.id == "kept":
            _check_captions(release, records)
    wanted = {status: stats[status] for status in counts}
    if counts != wanted:
        raise ValueError(f"{counts} records, expected {wanted}")
    return sum(counts.values())


def _check_captions(release: Path, records: list[dict[str, bytes]]) -> None:
    found = [(record["kept/uid"].decode(), record["kept/text"].decode()) for record in records]
    if found != [(row["uid"], row["text"]) for row in kept_rows(release, ["uid", "text"])]:
        raise ValueError("records of `kept` are not the manifest's rows, in order")


if __name__ == "__main__":
    run([Consumer("mlcroissant", "mlcroissant", ["mlcroissant==1.1.1", "pyarrow==26.0.1"], _read)])
