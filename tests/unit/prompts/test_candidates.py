"""Candidate lists: fitted on train; the same for all, or an oracle that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.mini_charts import tasks

from ehrlich.base.errors import DataError
from ehrlich.cohorts.answers import normalise
from ehrlich.prompts.candidates import candidates_of, fit_vocabulary, vocabulary_schema


def cases(*rows: tuple[str, list[str]], split: str = "train", first: int = 0) -> pl.DataFrame:
    risk = {"icu_stay_7d"}
    return pl.DataFrame(
        {
            "case_id": [f"{first + place:016x}" for place in range(len(rows))],
            "task": [task for task, _ in rows],
            "split": split,
            "answer": [answer for _, answer in rows],
            "boolean_value": [answer == ["yes"] if task in risk else None for task, answer in rows],
        },
        schema_overrides={"answer": pl.List(pl.String), "boolean_value": pl.Boolean},
    )


def many(count: int = 400, names: int = 60, split: str = "train", first: int = 0) -> pl.DataFrame:
    """Case k holds name k mod `names`, and name 0 in every second case."""
    rows = [
        ("labevents", sorted({f"Test {place % names:02d}", *(["Test 00"] * (place % 2))}))
        for place in range(count)
    ]
    return cases(*rows, split=split, first=first)


def lists(frame: pl.DataFrame, **how: Any) -> list[Any]:
    return candidates_of(frame, fit_vocabulary(many(), tasks()), **how)["candidates"].to_list()


def test_a_vocabulary_counts_cases_and_takes_the_usual_spelling() -> None:
    train = cases(
        ("omr", ["BMI", "Weight"]), ("omr", ["bmi", "Blood  Pressure"]), ("omr", ["BMI", "bmi"]),
        ("omr", ["BMI"]), ("poe", ["Lab"]), ("omr", [" ", "Blood\nPressure"]), ("omr", []),
    )  # fmt: skip
    found = fit_vocabulary(train, tasks())
    assert dict(found.schema) == vocabulary_schema()
    assert found.rows() == [
        ("omr", "BMI", 4), ("omr", "Blood Pressure", 2), ("omr", "Weight", 1), ("poe", "Lab", 1),
    ]  # fmt: skip
    assert found.equals(fit_vocabulary(train.reverse(), tasks()))


def test_neither_risks_nor_texts_have_a_vocabulary() -> None:
    train = cases(("icu_stay_7d", ["yes"]), ("discharge", ["A long note."]), ("omr", ["BMI"]))
    assert fit_vocabulary(train, tasks())["task"].to_list() == ["omr"]


@pytest.mark.parametrize("split", ["held_out", "tuning", "unknown"])
def test_only_train_cases_are_fitted_on(split: str) -> None:
    mixed = pl.concat([many(5), many(3, split=split, first=50)])
    with pytest.raises(DataError, match=f"fitted on train cases only; got 3 cases of {split}"):
        fit_vocabulary(mixed, tasks())


def test_cases_of_no_split_or_an_unknown_task_are_refused() -> None:
    with pytest.raises(DataError, match="got 2 cases of None"):
        fit_vocabulary(many(2).with_columns(split=pl.lit(None, pl.String)), tasks())
    with pytest.raises(DataError, match="cases of unknown tasks; got mine"):
        fit_vocabulary(cases(("mine", ["a"])), tasks())


def test_frequent_lists_look_at_no_case() -> None:
    held = cases(
        ("labevents", ["Test 00"]), ("labevents", ["Test 59"]), ("labevents", ["Never seen"]),
        split="held_out",
    )  # fmt: skip
    found = candidates_of(held, fit_vocabulary(many(), tasks()), n=10, seed=1)
    assert found["candidate_mode"].to_list() == ["frequent"] * 3
    first, second, third = found["candidates"].to_list()
    assert first == second == third == sorted(first)
    # Ties beyond name 00 go by name; names 00 to 39 have seven cases and the others six.
    assert first == [f"Test {name:02d}" for name in range(10)]
    # Answers changed, lists not: truth is neither put in nor taken out.
    other = held.with_columns(answer=pl.lit(["Test 01"]))
    assert candidates_of(other, fit_vocabulary(many(), tasks()), n=10, seed=9).equals(found)


def test_oracle_lists_hold_the_answer_and_do_not_tell_it_by_length() -> None:
    held = many(200, split="held_out", first=1000)
    found = candidates_of(
        held, fit_vocabulary(many(), tasks()), n=10, include_answer=True, seed=3
    )  # fmt: skip
    assert found["case_id"].to_list() == held["case_id"].to_list()
    assert found["candidate_mode"].unique().to_list() == ["oracle"]
    both = held.join(found, on="case_id", maintain_order="left")
    missing = both.select(pl.col("answer").list.set_difference("candidates").list.len().sum())
    assert missing.item() == 0
    assert found["candidates"].list.len().unique().to_list() == [10]
    assert found["candidates"].list.n_unique().unique().to_list() == [10]
    assert all(names == sorted(names) for names in found["candidates"].to_list())
    assert found["candidates"].n_unique() > 190


def test_oracle_lists_hang_on_case_and_seed_alone() -> None:
    held = many(50, split="held_out")
    how = {"n": 10, "include_answer": True}
    first = lists(held, seed=1, **how)
    assert lists(held.reverse(), seed=1, **how)[::-1] == first
    assert lists(held[7:8], seed=1, **how) == first[7:8]
    assert lists(held, seed=2, **how) != first


def test_frequent_wrong_names_are_likelier() -> None:
    held = cases(*[("labevents", ["Test 59"])] * 500, split="held_out")
    drawn = pl.Series(lists(held, n=10, include_answer=True)).explode().value_counts()
    times = dict(drawn.rows())
    others = [times[f"Test {name:02d}"] for name in range(1, 59)]
    # Name 00 has 204 of 400 cases, the others six or seven.
    assert times["Test 00"] > 450
    assert 40 < min(others) <= max(others) < 120


def test_an_answer_out_of_vocabulary_or_longer_than_the_list_is_whole() -> None:
    answer = ["never  seen", *[f"Test {name:02d}" for name in range(12)]]
    (found,) = lists(cases(("labevents", answer), split="held_out"), n=5, include_answer=True)
    assert {normalise(name) for name in found} == set(map(normalise, answer))
    (small,) = lists(cases(("labevents", ["TEST 07"])), n=100, include_answer=True)
    assert len(small) == 60
    assert "TEST 07" in small
    assert "Test 07" not in small


@pytest.mark.parametrize("include_answer", [False, True])
def test_where_nothing_was_fitted_no_list_is_made(include_answer: bool) -> None:
    held = cases(("icu_stay_7d", ["yes"]), ("omr", ["BMI"]), ("labevents", ["Test 01"]))
    found = candidates_of(
        held, fit_vocabulary(many(), tasks()), n=3, include_answer=include_answer
    )  # fmt: skip
    assert found["candidates"].is_null().to_list() == [True, True, False]
    mode = "oracle" if include_answer else "frequent"
    assert found["candidate_mode"].to_list() == ["none", "none", mode]
    empty = candidates_of(held[:0], fit_vocabulary(many(), tasks()), include_answer=include_answer)
    assert empty.schema == found.schema


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(DataError, match="at least one name; got 0"):
        lists(many(1), n=0)


def test_on_cases_of_the_demo(shared: Path) -> None:
    rows = pl.read_parquet(shared / "data" / "ehr-r1-golden" / "tasks" / "labevents.parquet")
    frame = rows.select(
        case_id=pl.int_range(pl.len()).map_elements("{:016x}".format, pl.String),
        task=pl.lit("labevents"),
        split=pl.when(pl.int_range(pl.len()) % 10 == 0).then(pl.lit("held_out")).otherwise(
            pl.lit("train")
        ),
        answer=pl.col("target"),
    )  # fmt: skip
    vocabulary = fit_vocabulary(frame.filter(split="train"), tasks())
    held = frame.filter(split="held_out").head(500)
    found = candidates_of(held, vocabulary, include_answer=True, seed=0)
    both = held.join(found, on="case_id")
    right = both.select(pl.col("answer").list.eval(pl.element().str.replace_all(r"\s+", " ")),
                        "candidates")  # fmt: skip
    missing = right.select(pl.col("answer").list.set_difference("candidates").list.len())
    assert missing.sum().item() == 0
    assert found["candidates"].list.len().min() == 100
