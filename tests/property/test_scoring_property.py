"""Laws of the scorer, and its frames against its scalars."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, get_args

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from ehrlich.cohorts.answers import normalise, parse_items
from ehrlich.cohorts.released import released_items, released_sets
from ehrlich.cohorts.rouge import common_subsequence, rouge_l
from ehrlich.cohorts.scoring import Duplicates, score_exact, score_sets, set_f1, set_scores

# Letters younger than Python's Unicode tables (Cn) may have a lower case in Polars' newer ones.
ANY_TEXT = st.text(st.characters(exclude_categories=["Cn", "Cs"]), max_size=5)
ITEM = st.sampled_from(["Na", "na", "NA ", "K", " k", "pH", "Na  K", "", " ", "\u00a0"]) | ANY_TEXT
ITEMS = st.lists(ITEM, max_size=6)
REAL = ITEM.filter(normalise)
ANSWER = st.lists(REAL, min_size=1, max_size=5)
DUPLICATES = st.sampled_from(get_args(Duplicates))
PAIRS = st.lists(st.tuples(ITEM, st.booleans()), max_size=5)
CASE = st.tuples(st.none() | ITEMS, PAIRS)
WORDS = st.lists(st.sampled_from("abcd"), max_size=70)


def f1(predicted: list[str], answer: list[str], duplicates: Any = "ignore") -> float:
    found = set_f1(predicted, answer, duplicates=duplicates)
    assert found is not None
    return found


@given(answer=ANSWER, seed=st.randoms(use_true_random=False))
def test_gold_scores_one_in_any_order_and_case(answer: list[str], seed: random.Random) -> None:
    distinct = list({normalise(item): item for item in answer}.values())
    assert f1(answer, answer) == 1
    assert f1(distinct, answer, "count") == 1
    seed.shuffle(distinct)
    turns: list[Callable[[str], str]] = [str.lower, lambda item: f" {item}\t", str]
    assert f1([seed.choice(turns)(item) for item in distinct], answer, "count") == 1


@given(names=st.lists(st.text("abcdefg XYZ", min_size=1).filter(str.strip), min_size=1))
def test_gold_scores_one_through_the_parser(names: list[str]) -> None:
    assert f1(list(parse_items("\n".join(names)).items), names) == 1


@given(predicted=ITEMS, answer=ANSWER, duplicates=DUPLICATES, seed=st.randoms())
def test_order_does_not_matter(
    predicted: list[str], answer: list[str], duplicates: Any, seed: random.Random
) -> None:
    expected = f1(predicted, answer, duplicates)
    seed.shuffle(predicted)
    assert f1(predicted, list(reversed(answer)), duplicates) == expected
    assert 0 <= expected <= 1


@given(answer=ANSWER, item=REAL)
def test_an_empty_or_repeated_answer_is_below_the_maximum(answer: list[str], item: str) -> None:
    assert f1([], answer) == f1([""], answer) == 0
    distinct = list({normalise(each): each for each in answer}.values())
    assert f1([*distinct, distinct[0].upper()], answer, "count") < 1
    if len(distinct) > 1:
        assert f1([item] * 9, answer) < 1


@given(predicted=ITEMS, answer=ANSWER, wrong=REAL, duplicates=DUPLICATES)
def test_a_wrong_item_never_helps(
    predicted: list[str], answer: list[str], wrong: str, duplicates: Any
) -> None:
    if normalise(wrong) in map(normalise, answer):
        return
    assert f1([*predicted, wrong], answer, duplicates) <= f1(predicted, answer, duplicates)


@given(pairs=PAIRS, context=ITEMS)
def test_what_the_context_shows_earns_nothing_new(
    pairs: list[tuple[str, bool]], context: list[str]
) -> None:
    answer, seen = [item for item, _ in pairs], [item for item, is_seen in pairs if is_seen]
    shown = {normalise(item) for item in [*context, *seen]}
    flags = [normalise(item) in shown for item in answer]
    scores = set_scores([*context, *seen], answer, answer_seen=flags)
    assert scores is None or scores.new_f1 in (None, 0)


@given(rows=st.lists(CASE, max_size=6), duplicates=DUPLICATES)
def test_frames_equal_scalars(rows: list[tuple[Any, Any]], duplicates: Any) -> None:
    frame = as_frame(rows)
    scores = score_sets(frame, frame, duplicates=duplicates)
    exact = score_exact(frame, frame)
    for (items, pairs), row, one in zip(rows, scores.to_dicts(), exact.to_dicts(), strict=True):
        answer, seen = [item for item, _ in pairs], [is_seen for _, is_seen in pairs]
        alone = set_scores(items or [], answer, answer_seen=seen, duplicates=duplicates)
        if alone is None or items is None:
            assert row["status"] == ("unlabelled" if alone is None else "unparsed")
            assert row["f1"] is row["new_f1"] is one["accuracy"] is None
            continue
        names = ("precision", "recall", "f1", "new_f1", "n_answer", "n_predicted")
        assert {name: row[name] for name in names} == {name: getattr(alone, name) for name in names}
        assert one["accuracy"] == (f1(items, answer) == 1)


@given(rows=st.lists(st.tuples(ANY_TEXT | st.lists(ITEM).map("\n".join), ITEMS), max_size=6))
def test_released_frames_equal_released_scalars(rows: list[tuple[str, list[str]]]) -> None:
    schema = {"output": pl.String(), "answer": pl.List(pl.String)}
    frame = pl.DataFrame(rows, schema=schema, orient="row").with_row_index("case_id")
    scores = score_sets(frame, frame, mode="released")
    expected = [released_sets(released_items(output), answer) for output, answer in rows]
    assert scores.select("precision", "recall", "f1").rows() == expected


@given(left=WORDS, right=WORDS)
def test_rouge_l_against_the_table(left: list[str], right: list[str]) -> None:
    length = common_subsequence(left, right)
    assert length == table(left, right) == common_subsequence(right, left)
    score = rouge_l(" ".join(left), " ".join(right))
    assert score == rouge_l(" ".join(right), " ".join(left))
    assert 0 <= score <= 1


@given(text=st.text(min_size=1))
def test_a_text_matches_itself(text: str) -> None:
    has_words = any(map(str.isalnum, text.lower()))
    assert rouge_l(text, text) == has_words


def table(left: list[str], right: list[str]) -> int:
    """The textbook's table."""
    above = [0] * (len(right) + 1)
    for word in left:
        row = [0]
        for place, other in enumerate(right):
            row.append(above[place] + 1 if word == other else max(above[place + 1], row[-1]))
        above = row
    return above[-1]


def as_frame(rows: list[tuple[Any, Any]]) -> pl.DataFrame:
    """Cases and predictions in one frame."""
    columns = {
        "items": [items for items, _ in rows],
        "answer": [[item for item, _ in pairs] for _, pairs in rows],
        "answer_seen": [[seen for _, seen in pairs] for _, pairs in rows],
    }
    texts = pl.List(pl.String)
    schema = {"items": texts, "answer": texts, "answer_seen": pl.List(pl.Boolean)}
    frame = pl.DataFrame(columns, schema=schema).with_row_index("case_id")
    return frame.with_columns(status=pl.lit("ok"))
