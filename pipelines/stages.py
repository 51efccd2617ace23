"""The flow as one table: its stages in order, who plans them, and the work behind each step."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pipelines.flow import (
    admit,
    archive_index,
    balance_turns,
    collect,
    corpus,
    crawl,
    dedup,
    duplicates,
    fetch,
    frontier,
    gather,
    group_turns,
    keyed_turns,
    known_sets,
    lanes,
    leaders,
    measure,
    release,
    score,
    search,
    selection,
    semantic,
)
from pipelines.tasks import Batch, Flow, Work


@dataclass(frozen=True)
class Stage:
    """One stage: `steps` plans its batches one by one, each after the one before is committed."""

    name: str
    kind: str
    steps: Callable[[Flow], Iterator[Batch]]
    does: str
    resources: str


STAGES = (
    Stage("crawl", "rounds", crawl.steps, "fetches pages politely into WARC, round by round", "network"),
    Stage("search", "map", search.steps, "puts each query to the endpoint, page by page", "network"),
    Stage("collect", "map", collect.steps, "one candidate row per (image URL, text)", "CPU"),
    Stage("admit", "global", admit.steps, "merges candidates of one image into a sample", "CPU"),
    Stage("fetch", "map", lanes.steps, "downloads each image, keeps a stored copy", "network, CPU"),
    Stage("measure", "map", measure.steps, "image measures and hashes of the stored copies", "CPU"),
    Stage("dedup", "global", dedup.steps, "groups of near-duplicates, and who stays", "CPU"),
    Stage("score", "map", score.steps, "similarity of each text with its image", "GPU or CPU"),
    Stage("select", "global", selection.steps, "relative measures, last rules, caption", "CPU"),
    Stage("release", "map", release.steps, "shards, manifest, report", "CPU"),
)

WORK: Mapping[str, Work] = {
    "frontier-shuffle": frontier.shuffle,
    "frontier-known": frontier.update,
    "frontier-cut": frontier.cut_round,
    "frontier": frontier.plan_round,
    "crawl": crawl.crawl,
    "search": search.search,
    "collect-index": archive_index.select,
    "collect": collect.collect,
    "admit-shuffle": admit.shuffle,
    "admit-count": admit.count,
    "admit-hosts": corpus.count_hosts,
    "admit-host-sums": corpus.sum_hosts,
    "admit": admit.admit,
    "fetch-hosts": lanes.count_hosts,
    "fetch-lanes": lanes.deal_lanes,
    "fetch": fetch.fetch,
    "measure": measure.measure,
    "dedup-shuffle": duplicates.shuffle,
    "dedup-distinct": duplicates.distinct,
    "dedup-near": duplicates.near,
    "dedup-known": known_sets.read_set,
    "dedup-match": known_sets.match,
    "dedup-ends": leaders.send_ends,
    "dedup-told": leaders.tell_ends,
    "dedup-turn": leaders.take_turn,
    "dedup-leaders": leaders.gather_leaders,
    "dedup-groups": duplicates.groups,
    "dedup-stand": dedup.stand,
    "dedup-rank": dedup.settle,
    "dedup": dedup.finish,
    "score": score.score,
    "select-shuffle": gather.shuffle,
    "select-rows": gather.gather,
    "select-judge": selection.judge,
    "select-train": semantic.train,
    "select-cluster": semantic.cluster,
    "select-stand": semantic.stand,
    "select-cosines": semantic.cosines,
    "select-members": group_turns.gather_members,
    "select-ranks": group_turns.rank_members,
    "select-tally": selection.tally,
    "select-keys": keyed_turns.count_keys,
    "select-sums": keyed_turns.sum_keys,
    "select-metadata": balance_turns.list_entries,
    "select-matches": balance_turns.match_captions,
    "select-balance": balance_turns.weigh_entries,
    "select": selection.finish,
    "select-order": selection.order,
    "release": release.write_release,
}
"""Step -> the function that makes one of its parts."""

ASKING_STAGES = frozenset({"crawl", "search", "fetch"})
"""Stages that ask hosts: no part of theirs ever has two attempts at a time."""

NARROWS = frozenset({"collect", "fetch", "measure", "score"})
"""Steps whose failing parts are narrowed to the rows that do it."""
