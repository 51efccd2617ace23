"""Judging: what each rule rejects, text by text and sample by sample, with the reason and the stage."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.measures import TEXT_LEVEL
from filters.rules import PlacedRule, RuleEngine

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Refresh = Callable[[pa.Table, PlacedRule], pa.Table]

NAMES_TYPE = pa.list_(pa.string())


def judge_candidates(candidates: pa.Table, rules: Sequence[PlacedRule], engine: RuleEngine) -> pa.Table:
    """Flat rows, one text each: those without `drop_reason` are judged by `rules`, given in order of judgement.

    A row falls at its first failing rule; `failed_rules` lists all that it fails at that rule's stage.
    """
    candidates = _with_verdict_columns(candidates, of_text=True)
    standing = _is_standing(candidates)
    fails = np.zeros((candidates.num_rows, len(rules)), dtype=np.bool_)
    fails[standing] = _fails(candidates.filter(pa.array(standing)), rules, engine)
    fallen = _any_failure(fails)
    first = _first_failure(fails)
    for stage in {rule.stage for rule in rules}:
        own = np.array([rule.stage == stage for rule in rules])
        # What fell at another stage was never judged at this one.
        fails &= ~own | (own[np.minimum(first, len(rules) - 1)] & fallen)[:, None]
    return _set_verdict(candidates, rules, fallen, first, fails)


def judge_samples(
    samples: pa.Table,
    rules: Sequence[PlacedRule],
    stage: str,
    engine: RuleEngine,
    refresh: Refresh | None = None,
) -> pa.Table:
    """Judges the samples without `drop_reason` by the rules of one stage, in recipe order.

    A text rule judges each standing text. A sample falls at the first rule at which it fails itself or loses its
    last text. Before a relative rule's turn `refresh` gets the table with all verdicts so far, and gives it back,
    rows in the same order, with the columns in `rule.relative` recomputed over what stands; without `refresh`
    they are taken as they are. A row that no longer stands is not judged by a relative rule.
    """
    samples = _with_verdict_columns(samples)
    if not rules or not _is_standing(samples).any():
        return samples
    board = _Board(samples, rules, stage, engine)
    board.judge([k for k, rule in enumerate(rules) if not rule.relative])
    for k, rule in enumerate(rules):
        if rule.relative:
            if refresh is not None:
                board.replace(refresh(board.verdicts(before=k), rule), rule.relative)
            board.judge([k], before=k)
    return board.verdicts(before=len(rules))


class _Board:
    """Who failed what: a row per sample and a row per text, a column per rule."""

    def __init__(self, samples: pa.Table, rules: Sequence[PlacedRule], stage: str, engine: RuleEngine) -> None:
        self._samples, self._rules, self._stage, self._engine = samples, rules, stage, engine
        texts = one_array(samples["texts"])
        lengths = pc.fill_null(pc.list_value_length(texts), 0).to_numpy(zero_copy_only=False)
        self._offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        self._parents = np.repeat(np.arange(samples.num_rows), lengths)
        self._texts = _with_verdict_columns(_table_of_structs(texts.flatten()), of_text=True)
        self._sample_stood = _is_standing(samples)
        self._text_stood = _is_standing(self._texts) & self._sample_stood[self._parents]
        self._sample_fails = np.zeros((samples.num_rows, len(rules)), dtype=np.bool_)
        self._text_fails = np.zeros((len(self._parents), len(rules)), dtype=np.bool_)

    def replace(self, table: pa.Table, columns: Sequence[str]) -> None:
        """Takes these columns from a table of the same samples, and what belongs to a text from its `texts`."""
        for name in columns:
            if name in TEXT_LEVEL:
                self._texts = _put(self._texts, name, one_array(table["texts"]).flatten().field(name))
            else:
                self._samples = _put(self._samples, name, table[name])

    def judge(self, which: Sequence[int], before: int | None = None) -> None:
        """Marks what fails rules `which`: of all that stood at the stage's start, or of what stands before a rule."""
        samples_stand, texts_stand = self._sample_stood, self._text_stood
        if before is not None:
            falls = self._fall_positions(before)
            samples_stand = samples_stand & (falls == before)
            texts_stand = texts_stand & ~_any_failure(self._text_fails[:, :before]) & samples_stand[self._parents]
        of_samples = [k for k in which if self._rules[k].level == "sample"]
        if of_samples:
            rows = self._samples.filter(pa.array(samples_stand))
            fails = _fails(rows, [self._rules[k] for k in of_samples], self._engine)
            self._sample_fails[np.flatnonzero(samples_stand)[:, None], of_samples] = fails
        of_texts = [k for k in which if self._rules[k].level == "text"]
        if of_texts:
            rules = [self._rules[k] for k in of_texts]
            fails = _fails(self._text_rows(texts_stand, rules), rules, self._engine)
            self._text_fails[np.flatnonzero(texts_stand)[:, None], of_texts] = fails

    def verdicts(self, before: int) -> pa.Table:
        """The table as the rules before `before` leave it."""
        rules = self._rules[:before]
        text_fails = self._text_fails[:, :before]
        texts = _set_verdict(
            self._texts, rules, _any_failure(text_fails), _first_failure(text_fails), text_fails, stage=None
        )
        samples = self._samples.set_column(
            self._samples.schema.get_field_index("texts"), "texts", self._relisted(texts)
        )
        falls = self._fall_positions(before)
        fails = self._sample_fails[:, :before] | self._failed_by_every_text(before)
        samples = _set_verdict(samples, rules, self._sample_stood & (falls < before), falls, fails, stage=self._stage)
        return self._without_texts(samples)

    def _fall_positions(self, before: int) -> Ints:
        """Per sample, the first rule at which it falls; `before` where it falls at none."""
        own = _first_failure(self._sample_fails[:, :before])
        stood = np.flatnonzero(self._text_stood)
        last_text = np.full(self._samples.num_rows, -1, dtype=np.int64)
        np.maximum.at(last_text, self._parents[stood], _first_failure(self._text_fails[stood, :before]))
        return np.minimum(own, np.where(last_text < 0, before, last_text))

    def _failed_by_every_text(self, before: int) -> Bools:
        num_samples = self._samples.num_rows
        num_texts = np.bincount(self._parents[self._text_stood], minlength=num_samples)
        failed = np.zeros((num_samples, before), dtype=np.bool_)
        for k in range(before):
            if self._rules[k].level == "text":
                count = np.bincount(self._parents[self._text_fails[:, k]], minlength=num_samples)
                failed[:, k] = (count == num_texts) & (num_texts > 0)
        return failed

    def _text_rows(self, texts_stand: Bools, rules: Sequence[PlacedRule]) -> pa.Table:
        """Standing texts with the columns that the rules name, a sample's own given to each of its texts."""
        parents = pa.array(self._parents[texts_stand])
        texts = self._texts.filter(pa.array(texts_stand))
        wanted = sorted({column for rule in rules for column in rule.columns})
        return pa.table(
            {
                name: texts[name] if name in texts.column_names else self._samples[name].take(parents)
                for name in wanted
                if name in texts.column_names or name in self._samples.column_names
            }
        )

    def _relisted(self, texts: pa.Table) -> pa.Array:
        structs = pa.StructArray.from_arrays([one_array(c) for c in texts.columns], names=texts.column_names)
        missing = pc.is_null(one_array(self._samples["texts"]))
        return pa.ListArray.from_arrays(pa.array(self._offsets), structs, mask=missing)

    def _without_texts(self, samples: pa.Table) -> pa.Table:
        """A sample that came without any standing text is not fit for a text rule: it falls as `bad_text`."""
        num_texts = np.bincount(self._parents[self._text_stood], minlength=samples.num_rows)
        bare = self._sample_stood & (num_texts == 0) & _is_standing(samples)
        if not bare.any() or all(rule.level == "sample" for rule in self._rules):
            return samples
        for name, value in (("drop_reason", "bad_text"), ("detail", "no text"), ("dropped_at", self._stage)):
            column = pc.if_else(pa.array(bare), value, samples[name])
            samples = samples.set_column(samples.schema.get_field_index(name), name, column)
        return samples


def _fails(table: pa.Table, rules: Sequence[PlacedRule], engine: RuleEngine) -> Bools:
    verdicts = engine.evaluate(table, rules)
    fails = np.zeros((table.num_rows, len(rules)), dtype=np.bool_)
    for k, column in enumerate(verdicts.columns):
        fails[:, k] = ~column.to_numpy()
    return fails


def _any_failure(fails: Bools) -> Bools:
    return np.asarray(fails.any(axis=1))


def _first_failure(fails: Bools) -> Ints:
    """Per row the index of the first true column; the number of columns where none is."""
    if fails.shape[1] == 0:
        return np.zeros(len(fails), dtype=np.int64)
    first = fails.argmax(axis=1)
    return np.asarray(np.where(fails.any(axis=1), first, fails.shape[1]), dtype=np.int64)


def _set_verdict(
    table: pa.Table,
    rules: Sequence[PlacedRule],
    fallen: Bools,
    first: Ints,
    fails: Bools,
    stage: str | None = None,
) -> pa.Table:
    """Writes drop_reason and failed_rules of the fallen rows, and `dropped_at` where a stage is given."""
    if not fallen.any():
        return table
    names = pa.array([rule.name for rule in rules])
    index = pa.array(first, mask=~fallen)
    columns = {"drop_reason": pc.coalesce(names.take(index), one_array(table["drop_reason"]))}
    new = name_lists(fails & fallen[:, None], names)
    both = pa.concat_arrays([one_array(table["failed_rules"]).cast(NAMES_TYPE), new])
    rows = np.arange(table.num_rows)
    columns["failed_rules"] = both.take(pa.array(rows + np.where(fallen, table.num_rows, 0)))
    if stage is not None:
        columns["dropped_at"] = pc.if_else(pa.array(fallen), stage, one_array(table["dropped_at"]))
    for name, column in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


def name_lists(chosen: Bools, names: pa.Array) -> pa.Array:
    rows, columns = np.nonzero(chosen)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(chosen)))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), names.take(pa.array(columns)))


def _with_verdict_columns(table: pa.Table, of_text: bool = False) -> pa.Table:
    kinds = {"drop_reason": pa.string(), "failed_rules": NAMES_TYPE}
    if not of_text:
        kinds |= {"dropped_at": pa.string(), "detail": pa.string()}
    for name, kind in kinds.items():
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows, kind))
    return table


def _is_standing(table: pa.Table) -> Bools:
    standing: Bools = pc.is_null(table["drop_reason"]).to_numpy()
    return standing


def _put(table: pa.Table, name: str, column: pa.ChunkedArray | pa.Array) -> pa.Table:
    place = table.schema.get_field_index(name)
    return table.append_column(name, column) if place < 0 else table.set_column(place, name, column)


def _table_of_structs(structs: pa.Array) -> pa.Table:
    return pa.table(dict(zip([field.name for field in structs.type], structs.flatten(), strict=True)))


def one_array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
