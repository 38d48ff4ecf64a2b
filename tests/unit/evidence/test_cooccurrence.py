"""Units, axes, counts and the fit on a few cases by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ehrlich.base.contracts import lift_schema
from ehrlich.base.errors import DataError
from ehrlich.evidence.cooccurrence import (
    Axes,
    Counts,
    axes_of,
    counts_of,
    draw_units,
    fit,
    tally_of,
    units_of,
)
from ehrlich.evidence.policy import Policy


def ids(n: int) -> list[str]:
    return [f"{place:016x}" for place in range(n)]


def cases(subjects: list[int], split: str = "train") -> pl.DataFrame:
    return pl.DataFrame(
        {"case_id": ids(len(subjects)), "subject_id": subjects, "split": split},
        schema_overrides={"case_id": pl.String, "subject_id": pl.Int64},
    )


def held(names: list[str], column: str) -> pl.DataFrame:
    """One case a string; its letters are the concepts."""
    rows = [
        (case, letter) for case, each in zip(ids(len(names)), names, strict=True) for letter in each
    ]
    return pl.DataFrame(rows, schema={"case_id": pl.String, column: pl.String}, orient="row")


def counted(told: list[str], shown: list[str], policy: Policy) -> Counts:
    drawn = draw_units(cases(list(range(len(told)))), policy.unit, seed=0)
    answers, histories = held(told, "target"), held(shown, "concept")
    axes = axes_of(tally_of(drawn, answers, histories=histories), policy)
    return counts_of(units_of(drawn, answers, histories=histories, axes=axes))


def test_one_case_is_drawn_of_each_subject_whatever_the_others() -> None:
    many = cases([1, 1, 1, 2, 2, 3])
    drawn = draw_units(many, "subject", seed=1)
    assert drawn["subject_id"].to_list() == [1, 2, 3]
    alone = draw_units(many.filter(pl.col("subject_id") == 2), "subject", seed=1)
    assert alone.equals(drawn.filter(pl.col("subject_id") == 2))
    chosen = {draw_units(many, "subject", seed=seed)["case_id"][0] for seed in range(30)}
    assert len(chosen) == 3


def test_cases_of_another_split_are_refused() -> None:
    mixed = pl.concat([cases([1]), cases([2], "held_out")])
    with pytest.raises(DataError, match="train split only; got cases of held_out"):
        draw_units(mixed, "case", seed=0)


def test_a_vocabulary_of_another_split_is_refused() -> None:
    drawn = draw_units(cases([1]), "case", seed=0)
    axes = Axes(("a",), ("x",), (), split="held_out")
    with pytest.raises(DataError, match="another split; got held_out"):
        units_of(drawn, held(["a"], "target"), histories=held(["x"], "concept"), axes=axes)


def test_a_concept_twice_in_a_case_is_refused() -> None:
    drawn = draw_units(cases([1]), "case", seed=0)
    axes = Axes(("a",), ("x",), ())
    with pytest.raises(DataError, match="twice"):
        units_of(drawn, held(["a"], "target"), histories=held(["xx"], "concept"), axes=axes)


def test_axes_hold_what_has_support_and_strata_of_equal_weight() -> None:
    told, shown = ["a", "a", "b", ""], ["x", "xy", "xyz", "xyzw"]
    drawn = draw_units(cases([1, 2, 3, 4]), "case", seed=0)
    tally = tally_of(drawn, held(told, "target"), histories=held(shown, "concept"))
    policy = Policy(unit="case", strata=2, min_both=2, min_history=3)
    axes = axes_of(tally, policy)
    assert axes == Axes(("a",), ("x", "y"), (2,))
    np.testing.assert_array_equal(axes.stratum(np.array([0, 1, 2, 9])), [0, 0, 1, 1])


def test_counts_of_other_axes_do_not_add() -> None:
    policy = Policy(unit="case")
    with pytest.raises(DataError, match="different vocabularies"):
        _ = counted(["a"], ["x"], policy) + counted(["b"], ["x"], policy)


def test_the_fit_says_what_the_contract_says() -> None:
    told = ["a"] * 6 + ["b"] * 6 + [""] * 8
    shown = ["x"] * 6 + ["y"] * 5 + ["z"] * 9
    frame = fit(
        counted(told, shown, Policy(unit="case", min_both=5)), Policy(unit="case", min_both=5)
    )
    assert dict(frame.schema) == lift_schema()
    row = frame.row(0, named=True)
    assert (row["target"], row["history"], row["n_both"], row["n"]) == ("a", "x", 6, 20)
    assert row["lift"] == pytest.approx(6 * 20 / 36)
    assert row["p"] == pytest.approx(1 / 38760)  # 1 / C(20, 6)
    assert row["q"] == pytest.approx(row["p"] * 2 * 3)  # two targets, three histories could pass
    assert frame.equals(frame.sort("target", "p", "history"))


def test_only_the_best_of_a_target_are_kept() -> None:
    told = ["a"] * 6 + [""] * 14
    shown = ["xyw"] * 5 + ["x"] + ["yz"] * 2 + ["z"] * 12
    policy = Policy(unit="case", min_both=5, per_target=2)
    frame = fit(counted(told, shown, policy), policy)
    assert frame.filter("kept")["history"].to_list() == ["x", "w"]
    assert frame.filter(~pl.col("kept"))["history"].to_list() == ["y"]


def test_a_pair_without_the_joint_support_is_not_shown() -> None:
    told, shown = ["a"] * 4 + ["b"] * 6 + [""] * 90, ["x"] * 4 + ["y"] * 6 + ["z"] * 90
    loose, strict = Policy(unit="case", max_q=0.05), Policy(unit="case", min_both=5, max_q=0.05)
    assert fit(counted(told, shown, loose), loose).filter("kept").height == 2
    # The axes of the loose policy: the pair is counted, but lacks the support.
    frame = fit(counted(told, shown, loose), strict)
    assert frame["target"].to_list() == ["b"]


def test_no_case_gives_an_empty_frame() -> None:
    frame = fit(counted([], [], Policy(unit="case")), Policy(unit="case"))
    assert frame.is_empty()
    assert dict(frame.schema) == lift_schema()
