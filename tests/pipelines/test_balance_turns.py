"""The balance of captions in select: entries counted over what stands, odds by them, and the same draw for a uid."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.flow import gather
from pipelines.flow.balance_turns import metadata_of
from pipelines.recipe import Recipe
from shards.errors import UsageError
from tests.pipelines.selecting import NUM, TEXTS, Row, Selecting, scored_samples

WORDS = ("猫", "狗", "山水", "汽车", "kite")
SHARES = (0.6, 0.3, 0.15, 0.05, 0.02)


@pytest.fixture(scope="module")
def captioned() -> pa.Table:
    """Scored samples whose captions hold frequent and rare words, some none."""
    random, table = np.random.default_rng(8), scored_samples()
    texts = []
    for lists in table["texts"].to_pylist():
        held = [word for word, share in zip(WORDS, SHARES, strict=True) if random.random() < share]
        texts.append([{**lists[0], "text": "、".join(["照片", *held])}])
    return table.set_column(table.column_names.index("texts"), "texts", pa.array(texts, TEXTS))


@pytest.fixture
def entries(tmp_path: Path) -> dict[str, Any]:
    """A list of our own in place of jieba's dictionary; one of its words is nowhere."""
    path = tmp_path / "entries.txt"
    path.write_text("\n".join([*WORDS, "Kite", "大象", ""]), encoding="utf-8")
    return {"words": None, "entries": [str(path)]}


def expected(rows: list[tuple[str, str]], t: int) -> dict[str, float]:
    """The odds by hand, of (uid, caption)."""
    held = {uid: [word for word in WORDS if word in caption] for uid, caption in rows}
    counts = Counter(word for words in held.values() for word in words)
    return {
        uid: 1 - float(np.prod([1 - min(1.0, t / counts[word]) for word in words])) if words else 0.0
        for uid, words in held.items()
    }


def standing(table: pa.Table, least: float) -> list[tuple[str, str]]:
    """(uid, caption) of those of at least this score."""
    rows = [(row["uid"], row["texts"][0], row["drop_reason"]) for row in table.to_pylist()]
    return [(uid, text["text"]) for uid, text, fell in rows if fell is None and text["clip_score"] >= least]


def odds(rows: dict[str, Row]) -> dict[str, float]:
    return {uid: row["balance_prob"] for uid, row in rows.items() if row["balance_prob"] is not None}


@pytest.mark.parametrize("num_parts", [1, 4])
def test_odds_are_by_what_stands_whatever_the_parts(
    tmp_path: Path, captioned: pa.Table, entries: dict[str, Any], monkeypatch: pytest.MonkeyPatch, num_parts: int
) -> None:
    monkeypatch.setattr(gather, "_BUCKET_ROWS", NUM // num_parts)
    rules = {"weak": "clip_score >= 0.2"}
    run = Selecting(
        tmp_path / "run", captioned, rules, num_parts, measures=["balance_prob"], balance={**entries, "t": 20}
    )
    found = odds(run.rows())
    assert found == pytest.approx(expected(standing(captioned, 0.2), 20))
    assert 0.0 in found.values()
    assert 1.0 in found.values()
    assert run.pool.steps().count("select-matches") == num_parts


def test_a_draw_below_the_odds_stays_and_is_the_same_every_time(
    tmp_path: Path, captioned: pa.Table, entries: dict[str, Any]
) -> None:
    random = np.random.default_rng(1).uniform(size=NUM)
    drawn = captioned.append_column("uid_draw", pa.array(random))
    rules = {"weak": "clip_score >= 0.2", "balanced": "uid_draw < balance_prob"}
    balance = {**entries, "t": 10}
    rows = Selecting(tmp_path / "a", drawn, rules, 2, balance=balance).rows()
    draws = dict(zip(drawn["uid"].to_pylist(), random.tolist(), strict=True))
    wanted = expected(standing(captioned, 0.2), 10)
    assert {uid for uid, row in rows.items() if row["drop_reason"] is None} == {
        u for u in wanted if draws[u] < wanted[u]
    }
    again = Selecting(tmp_path / "b", drawn, rules, 5, balance=balance).rows()
    for name in ("drop_reason", "balance_prob", "uid_draw"):
        assert {uid: row[name] for uid, row in rows.items()} == {uid: row[name] for uid, row in again.items()}
    kept = [row["text"] for row in rows.values() if row["drop_reason"] is None]
    assert sum("kite" in text for text in kept) == sum("kite" in text for _, text in standing(captioned, 0.2))
    assert sum("猫" in text for text in kept) < 40 < sum("猫" in text for _, text in standing(captioned, 0.2))


def test_the_threshold_follows_from_the_share_of_the_tail(
    tmp_path: Path, captioned: pa.Table, entries: dict[str, Any]
) -> None:
    rows = standing(captioned, 0.0)
    counts = sorted(sum(word in caption for _, caption in rows) for word in WORDS)
    share = (counts[0] + counts[1]) / sum(counts)
    measures = {"measures": ["balance_prob"]}
    run = Selecting(tmp_path / "run", captioned, {}, 2, balance={**entries, "tail_share": share}, **measures)
    assert odds(run.rows()) == pytest.approx(expected(rows, counts[2]))


def test_another_threshold_matches_nothing_anew(tmp_path: Path, captioned: pa.Table, entries: dict[str, Any]) -> None:
    def run(**balance: Any) -> Selecting:
        made = Selecting(tmp_path / "run", captioned, {}, 2, balance={**entries, **balance}, measures=["balance_prob"])
        made.rows()
        return made

    run(t=10)
    assert set(run(t=20).pool.steps()) == {"select-balance", "select"}
    Path(entries["entries"][0]).write_text("猫\n", encoding="utf-8")
    assert {"select-metadata", "select-matches"} <= set(run(t=20).pool.steps())


def settings_of(**balance: Any) -> Any:
    return Recipe.model_validate({"name": "x", "source": {"kind": "warc", "paths": ["x"]}, "balance": balance}).balance


def test_entries_are_words_of_things_and_what_the_user_adds(tmp_path: Path) -> None:
    path = tmp_path / "more.txt"
    path.write_text("赛博朋克\nPhoto  Booth\n照片\n\n", encoding="utf-8")
    found = metadata_of(settings_of(most_words=5000, entries=[str(path)]))
    assert found == sorted(set(found))
    assert {"照片", "赛博朋克", "photo booth", "学生"} <= set(found)
    assert 5000 <= len(found) <= 5003
    assert all(len(word) > 1 for word in found)
    assert not {"我们", "毛泽东"} & set(found)  # neither words that show nothing nor names of people


def test_a_list_of_words_of_ones_own_is_taken_by_frequency(tmp_path: Path) -> None:
    path = tmp_path / "words.tsv"
    path.write_text("word\tfrequency\n帆船\t3\n灯塔\t9\ndrone\t5\n", encoding="utf-8")
    assert metadata_of(settings_of(words=str(path), most_words=2)) == ["drone", "灯塔"]


def test_no_entry_at_all_is_told(tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(UsageError, match="no entry to match"):
        metadata_of(settings_of(words=None, entries=[str(tmp_path / "none.txt")]))
