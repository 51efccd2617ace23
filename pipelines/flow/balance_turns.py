"""The balance of captions at a rule's turn in select: entries matched part by part, and counted over all of them."""

import hashlib
from collections.abc import Generator, Sequence

import numpy as np
import pyarrow as pa

from crawler.input_files import open_stream
from crawler.search.queries import text_lines
from crawler.search.query_words import DEFAULT_TAGS, WordChoice, choose_words, jieba_dictionary, read_words
from filters.balance import EntryMatcher, entry_probabilities, tail_threshold
from filters.balance_settings import JIEBA, BalanceSettings
from filters.judge import one_array
from pipelines.flow.balanced import BALANCE, Balanced
from pipelines.flow.turns import MADE, Relations, rules_before, standing_at
from pipelines.tasks import Batch, Flow, Job, Outcome, Task, tasks_of
from shards.errors import UsageError
from shards.parts import fingerprint
from shards.tables import iter_batches, read_rows, write_table

_VERSION = 1
_CHUNK = 2**20


def turn(
    flow: Flow, number: int, measures: Sequence[str], relations: Relations
) -> Generator[Batch, None, Balanced | None]:
    """Which entries the captions of one turn hold, and with which probability each entry keeps a caption."""
    if BALANCE not in measures:
        return None
    balance = flow.recipe.balance
    metadata = Task("select-metadata", 0, _mark_of_entries(balance))
    yield Batch("select-metadata", (metadata,))
    before = [(rule.name, rule.expression) for rule in rules_before(flow.plan, number)]
    settings = [number, before, metadata.fingerprint, flow.recipe.release.caption, flow.chain(*MADE)]
    shared = {"turn": number, "relations": dict(relations), "metadata": metadata.ref}
    judged = flow.refs("select-judge")
    given = [{**shared, "judged": ref, "place": place} for place, ref in enumerate(judged)]
    matched = tasks_of("select-matches", _VERSION, settings, given, [ref.fingerprint for ref in judged])
    yield matched
    matches = tuple(task.ref for task in matched.tasks)
    inputs = {"matches": matches, "metadata": metadata.ref}
    settings = [*settings, balance.t, balance.tail_share]
    counted = Task("select-balance", number, fingerprint("select-balance", _VERSION, settings), inputs)
    yield Batch("select-balance", (counted,))
    return Balanced(matches, counted.ref)


def metadata_of(balance: BalanceSettings) -> list[str]:
    """The entries in order, each once: words of the list, and those that the user adds. Raises `UsageError`.

    Of jieba's dictionary those parts of speech that `curate queries` takes, so that no names of people are among them.
    """
    found: list[str] = []
    if balance.words is not None:
        tags = DEFAULT_TAGS if balance.words == JIEBA else ()
        choice = WordChoice(balance.most_words, tags, any_script=balance.words != JIEBA)
        found += [word.text for word in choose_words(read_words(_path_of(balance.words)), choice)]
    for path in balance.entries:
        found += [" ".join(line.split()) for _, line in text_lines(path)]
    distinct = sorted({word.lower() for word in found if word})
    if not distinct:
        raise UsageError("balance: there is no entry to match; name a list of words, or entries of your own")
    return distinct


def _path_of(words: str) -> str:
    return jieba_dictionary() if words == JIEBA else words


def _mark_of_entries(balance: BalanceSettings) -> str:
    """What decides the list: the bytes of its files, not where they lie."""
    files = [*([_path_of(balance.words)] if balance.words else []), *balance.entries]
    given = [balance.words == JIEBA, balance.words is not None, balance.most_words]
    return fingerprint("select-metadata", _VERSION, *given, [_digest(path) for path in files])


def _digest(path: str) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with open_stream(path, None) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def list_entries(job: Job) -> Outcome:
    """The entries, once for all parts."""
    entries = metadata_of(job.recipe.balance)
    write_table(job.attempt.path("rows", "parquet"), pa.table({"entry": pa.array(entries, pa.string())}))
    return Outcome(len(entries))


def match_captions(job: Job) -> Outcome:
    """The entries in each would-be caption of one judged part, as (uid, entry); and how many captions hold each."""
    rows = standing_at(job.path("judged"), job.task.inputs["place"], job, ["uid", "text", "drop_reason"])
    entries = read_rows(job.path("metadata"))["entry"].to_pylist()
    matches = EntryMatcher(entries).matches(one_array(rows["text"]))
    uids = one_array(rows["uid"]).take(pa.array(matches.texts))
    table = pa.table({"uid": uids, "entry": pa.array(matches.entries, pa.int32())})
    write_table(job.attempt.path("rows", "parquet"), table, read_once=True)
    found, numbers = np.unique(matches.entries, return_counts=True)
    counts = pa.table({"entry": pa.array(found, pa.int32()), "captions": pa.array(numbers, pa.int64())})
    write_table(job.attempt.path("counts", "counts.parquet"), counts, read_once=True)
    return Outcome(table.num_rows)


def weigh_entries(job: Job) -> Outcome:
    """Each entry with its captions and its probability; the record says the threshold t."""
    balance = job.recipe.balance
    entries = read_rows(job.path("metadata"))["entry"]
    counts = np.zeros(len(entries), np.int64)
    for batch in iter_batches(job.paths("matches", "counts")):
        counts[batch.column("entry").to_numpy()] += batch.column("captions").to_numpy()
    t = balance.t if balance.t is not None else tail_threshold(counts, balance.tail_share)
    table = pa.table({"entry": entries, "captions": counts, "probability": entry_probabilities(counts, t)})
    write_table(job.attempt.path("rows", "parquet"), table)
    return Outcome(table.num_rows, meta={"t": t, "matches": int(counts.sum())})
