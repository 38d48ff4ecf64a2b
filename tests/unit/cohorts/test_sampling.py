"""Weights, caps and balanced samples, drawn by a hash and a seed."""

from __future__ import annotations

import polars as pl
import pytest

from ehrlich.cohorts.sampling import (
    bench_sample,
    instruction_sample,
    label_counts,
    order_of,
    weighted,
)


def ids(count: int, first: int = 0) -> list[str]:
    return [f"{number:016x}" for number in range(first, first + count)]


def index(yes: int, no: int, split: str = "held_out") -> pl.DataFrame:
    return pl.DataFrame(
        {"case_id": ids(yes + no), "task": "t", "split": split, "weight": 1.0,
         "boolean_value": [True] * yes + [False] * no}
    )  # fmt: skip


def test_weights_are_one_over_the_mean_frequency_among_train_cases() -> None:
    cases = pl.DataFrame({
        "case_id": ids(4), "split": ["train", "train", "train", "held_out"],
        "answer": [["a"], ["a", "b"], ["a"], ["c"]],
    })  # fmt: skip
    counts = label_counts(cases)
    assert dict(counts.sort("label").iter_rows()) == {"a": 3, "b": 1}
    found = weighted(cases, counts, train_cases=3)["weight"].to_list()
    # a: 3 of 3; a and b: mean of 1 and 1/3; c: in no train case, counts as in one.
    assert found == pytest.approx([1.0, 1.5, 1.0, 3.0])


def test_luck_hangs_on_case_and_seed_alone() -> None:
    names = pl.Series(ids(1000))
    luck = order_of(names, 1)
    assert (order_of(names.reverse(), 1)[::-1] == luck).all()
    assert not (order_of(names, 2) == luck).any()
    assert ((luck > 0) & (luck < 1)).all()
    assert abs(luck.mean() - 0.5) < 0.05


def test_the_bench_is_half_yes_where_there_are_enough() -> None:
    found = bench_sample(index(100, 900), 0, size=100)
    assert dict(found.group_by("boolean_value").len().iter_rows()) == {True: 50, False: 50}
    few = bench_sample(index(10, 900), 0, size=100)
    assert dict(few.group_by("boolean_value").len().iter_rows()) == {True: 10, False: 50}


def test_the_bench_takes_held_out_cases_only_and_is_the_same_for_a_seed() -> None:
    cases = pl.concat(
        [index(50, 50), index(50, 50, "train").with_columns(case_id=pl.Series(ids(100, 500)))]
    )
    found = bench_sample(cases, 3, size=20)
    assert set(found["split"]) == {"held_out"}
    assert found.equals(bench_sample(cases.reverse(), 3, size=20))
    assert not found.equals(bench_sample(cases, 4, size=20))


def test_a_decision_task_s_bench_has_its_size() -> None:
    cases = index(0, 700).with_columns(boolean_value=pl.lit(None, dtype=pl.Boolean))
    assert bench_sample(cases, 0).height == 500


def test_training_cases_are_capped_and_drawn_by_weight() -> None:
    cases = index(500, 500, "train").with_columns(
        weight=pl.when("boolean_value").then(9.0).otherwise(1.0)
    )
    found = instruction_sample(cases, {"t": 200}, seed=0)
    assert found.height == 200
    assert found["boolean_value"].sum() > 150
    assert instruction_sample(cases, {"t": None}, seed=0).height == 1000
    unweighted = cases.with_columns(weight=pl.lit(None, dtype=pl.Float64))
    assert instruction_sample(unweighted, {"t": 5}, seed=0).is_empty()
