"""A case looks up its pairs: those kept, and of a counted subject those kept without it."""

from __future__ import annotations

import polars as pl
import pytest

from ehrlich.base.errors import DataError
from ehrlich.evidence.cooccurrence import (
    Axes,
    Units,
    axes_of,
    counts_of,
    draw_units,
    fit,
    tally_of,
    units_of,
)
from ehrlich.evidence.lookup import Fitted, lookup
from ehrlich.evidence.policy import Policy

POLICY = Policy(unit="subject", min_both=5, max_q=0.05)


def made() -> tuple[Fitted, Units]:
    """Subjects 0..5 hold a and x, subjects 6..11 b and y; y also stands with one a."""
    n = 40
    ids = [f"{place:016x}" for place in range(n)]
    cases = pl.DataFrame({"case_id": ids, "subject_id": range(n), "split": "train"})
    told = pl.DataFrame({"case_id": ids[:11], "target": ["a"] * 6 + ["b"] * 5})
    shown = pl.DataFrame({"case_id": ids, "concept": ["x"] * 6 + ["y"] * 5 + ["z"] * 29})
    drawn = draw_units(cases, POLICY.unit, seed=0)
    axes = axes_of(tally_of(drawn, told, histories=shown), POLICY)
    own = units_of(drawn, told, histories=shown, axes=axes)
    counts = counts_of(own)
    return Fitted(fit(counts, POLICY), counts.margins, POLICY), own


def pairs(subject: int, *asked: str) -> pl.DataFrame:
    """Pairs `target history` of one case."""
    rows = [("c", subject, *pair.split()) for pair in asked]
    return pl.DataFrame(rows, schema=["case_id", "subject_id", "target", "history"], orient="row")


def test_only_kept_pairs_come_back_in_order() -> None:
    fitted, own = made()
    looked = lookup(pairs(99, "b y", "a z", "a x", "q x"), fitted, own=own)
    assert looked.select("target", "history", "n_both").rows() == [("b", "y", 5), ("a", "x", 6)]
    assert looked.columns == [
        "case_id",
        "subject_id",
        "target",
        "history",
        "n_both",
        "lift",
        "p",
        "q",
    ]


def test_a_counted_subject_is_taken_out() -> None:
    fitted, own = made()
    looked = lookup(pairs(0, "a x"), fitted, own=own).row(0, named=True)
    assert looked["n_both"] == 5
    assert looked["lift"] == pytest.approx(5 * 39 / 25)
    other = lookup(pairs(20, "a x"), fitted, own=own).row(0, named=True)
    assert other["n_both"] == 6
    assert other["lift"] == pytest.approx(6 * 39 / 36)


def test_a_pair_that_needs_the_subject_itself_is_not_found() -> None:
    fitted, own = made()
    assert lookup(pairs(7, "b y"), fitted, own=own).is_empty()
    assert lookup(pairs(7, "b y"), fitted).height == 1


def test_units_of_another_vocabulary_are_refused() -> None:
    fitted, own = made()
    others = own._replace(axes=Axes(("a",), ("x",), ()))
    with pytest.raises(DataError, match="other vocabularies"):
        lookup(pairs(0, "a x"), fitted, own=others)
