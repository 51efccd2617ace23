"""What a run of billions of rows would be, by the figures of smaller ones: loads, sizes, objects, cost, limits.

Bytes and CPU are taken to grow as rows do, and parts too, each filled to what the code allows; a step that is one part
whatever the size does all its work in that one. What grows by more than rows is told by name: a shuffle's files hold a
row group for each bucket, and each bucket's task opens all of them.
"""

from dataclasses import asdict, dataclass
from typing import Any

Figures = dict[str, Any]


@dataclass(frozen=True)
class Prices:
    """Of an object store and machines, in dollars, as a large public cloud asks in 2026; all can be set."""

    gb_month: float = 0.023
    put_per_1000: float = 0.005
    get_per_1000: float = 0.0004
    core_hour: float = 0.04


@dataclass(frozen=True)
class Limits:
    """Where a figure counts as broken."""

    driver_hours: float = 24.0
    driver_memory_gib: float = 16.0
    resume_s: float = 600.0
    plan_file_gb: float = 1.0
    bucket_rows: float = 4e6
    task_hours: float = 24.0
    footer_task_hours: float = 1.0
    """CPU that a bucket's task spends on footers alone."""

    shuffle_requests: float = 1e9


_PRICES, _LIMITS = Prices(), Limits()


@dataclass(frozen=True)
class Step:
    """One step of a run that was made: `cpu_s` of all its parts, bytes of its files, and of its commit records.

    `full_rows`: what a part holds at most, where few rows had parts that were not full; 0: as many as were seen.
    """

    name: str
    parts: int
    rows: int
    files: int
    bytes: int
    record_bytes: int
    cpu_s: float
    largest_part_rows: int = 0
    full_rows: int = 0

    def parts_at(self, scale: float) -> float:
        """Its parts in a run of `scale` times the rows."""
        return max(1.0, self.rows * scale / self.full_rows) if self.full_rows else self.parts * scale


@dataclass(frozen=True)
class Shuffle:
    """Files of `file_rows` rows, in each a row group for every bucket of `bucket_rows` rows in all.

    `group_footer_bytes` is what a row group adds to its file's footer; `max_over_mean` the rows of the largest bucket
    over those of the mean one, as it was seen.
    """

    step: str
    group_footer_bytes: float
    columns: int
    max_over_mean: float
    file_rows: int = 1_000_000
    bucket_rows: int = 1_000_000


@dataclass(frozen=True)
class Measured:
    """One run: candidates, the driver's CPU beside all parts, and its steps."""

    rows: int
    driver_ms_a_part: float
    driver_bytes_a_part: float
    resume_us_a_part: float
    plan_bytes_a_part: float
    footer_s_a_gb: float
    steps: tuple[Step, ...]
    shuffles: tuple[Shuffle, ...] = ()
    kept_share: float = 0.6
    image_bytes: float = 60_000.0
    """Of a stored copy: it lies once in a tar of fetch and, where it is kept, once in a shard."""

    single: frozenset[str] = frozenset()
    """Steps that are one part whatever the size."""

    @property
    def parts(self) -> int:
        return sum(step.parts for step in self.steps)


def extrapolated(measured: Measured, rows: float, prices: Prices = _PRICES, limits: Limits = _LIMITS) -> Figures:
    """What `rows` candidates would be, and which limits that breaks."""
    scale = rows / measured.rows
    parts = {step.name: 1.0 if step.name in measured.single else step.parts_at(scale) for step in measured.steps}
    num_parts = sum(parts.values())
    files = sum(step.files / step.parts * parts[step.name] for step in measured.steps)
    own_bytes = sum(step.bytes for step in measured.steps) * scale
    image_bytes = 2 * rows * measured.kept_share * measured.image_bytes
    shuffles = [_shuffle_figures(shuffle, measured, scale) for shuffle in measured.shuffles]
    requests = sum(shuffle["requests"] for shuffle in shuffles)
    footer_hours = sum(shuffle["footer_task_hours"] * shuffle["buckets"] for shuffle in shuffles)
    cpu_hours = sum(step.cpu_s for step in measured.steps) * scale / 3600 + footer_hours
    longest = max((step.cpu_s * scale / parts[step.name] / 3600, step.name) for step in measured.steps)
    figures: Figures = {
        "rows": rows,
        "parts": round(num_parts),
        "objects": round(files + num_parts),
        "driver_hours": measured.driver_ms_a_part * num_parts / 3.6e6,
        "driver_memory_gib": measured.driver_bytes_a_part * num_parts / 2**30,
        "resume_s": measured.resume_us_a_part * num_parts / 1e6,
        "listing_requests": round(num_parts / 1000),
        "plan_file_gb": measured.plan_bytes_a_part * num_parts / 1e9,
        "metadata_tb": own_bytes / 1e12,
        "image_tb": image_bytes / 1e12,
        "cpu_core_hours": cpu_hours,
        "footer_core_hours": footer_hours,
        "longest_task_hours": longest[0],
        "longest_task": longest[1],
        "bucket_rows": max((shuffle["largest_bucket_rows"] for shuffle in shuffles), default=0.0),
        "shuffle_requests": requests,
        "footer_task_hours": max((shuffle["footer_task_hours"] for shuffle in shuffles), default=0.0),
        "shuffles": shuffles,
        "dollars": {
            "storage_month": (own_bytes + image_bytes) / 1e9 * prices.gb_month,
            "puts": (files + 2 * num_parts) / 1000 * prices.put_per_1000,  # a record is a part's last put
            "gets": (files + num_parts + requests) / 1000 * prices.get_per_1000,
            "cpu_without_images": cpu_hours * prices.core_hour,
        },
    }
    figures["broken"] = sorted(name for name, limit in asdict(limits).items() if _of_limit(name, figures) > limit)
    return figures


def first_to_break(measured: Measured, limits: Limits = _LIMITS, most_rows: float = 1e14) -> list[tuple[str, float]]:
    """Each limit with the rows at which it breaks, to three per cent, the first one first."""
    broken: dict[str, float] = {}
    rows = 1e6
    while rows <= most_rows:
        for name in extrapolated(measured, rows, limits=limits)["broken"]:
            broken.setdefault(name, rows)
        rows *= 1.03
    return sorted(((name, float(f"{at:.2g}")) for name, at in broken.items()), key=lambda found: (found[1], found[0]))


def _of_limit(name: str, figures: Figures) -> float:
    return float(figures["longest_task_hours" if name == "task_hours" else name])


def _shuffle_figures(shuffle: Shuffle, measured: Measured, scale: float) -> Figures:
    """Files and buckets both grow by rows: what one task opens grows as rows do, and what all open by the square."""
    (step,) = (step for step in measured.steps if step.name == shuffle.step)
    rows, own_bytes = step.rows * scale, step.bytes * scale
    files, buckets = max(1.0, rows / shuffle.file_rows), max(1.0, rows / shuffle.bucket_rows)
    footers = files * buckets * shuffle.group_footer_bytes  # each bucket's task reads all footers, of all buckets
    return {
        "step": shuffle.step,
        "files": round(files),
        "buckets": round(buckets),
        "largest_bucket_rows": rows / buckets * shuffle.max_over_mean,
        "requests": files * buckets * (shuffle.columns + 1),
        "footer_gb_a_task": footers / 1e9,
        "footer_task_hours": footers / 1e9 * measured.footer_s_a_gb / 3600,
        "footer_share": footers / (own_bytes / buckets),
    }
