"""Co-occurrence: counts are those of a dictionary, shards add, chance is not taken for a link."""

from __future__ import annotations

from collections import Counter
from functools import reduce
from itertools import product
from typing import Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from ehrlich.evidence.cooccurrence import (
    Axes,
    Counts,
    Tally,
    Units,
    axes_of,
    counts_of,
    draw_units,
    fit,
    tally_of,
    units_of,
)
from ehrlich.evidence.lookup import Fitted, lookup, margins_frame, margins_of
from ehrlich.evidence.policy import Policy, load_policy
from ehrlich.evidence.significance import PairMargins, may_pass, upper_tail

Unit = Literal["subject", "case"]
Held = list[tuple[int, set[str], set[str]]]  # subject, targets, histories: one a case
Frames = tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]  # cases, answers, histories

held = st.lists(
    st.tuples(
        st.integers(1, 8),
        st.sets(st.sampled_from("abcd")),
        st.sets(st.sampled_from("abuvwxyz")),
    ),
    min_size=1,
    max_size=24,
)
units: st.SearchStrategy[Unit] = st.sampled_from(["subject", "case"])
strata = st.integers(1, 4)


def frames(cases: Held) -> Frames:
    """The three frames of some cases, a case's id being its place."""
    ids = [f"{place:016x}" for place in range(len(cases))]
    at = list(zip(ids, cases, strict=True))
    text = {"case_id": pl.String, "subject_id": pl.Int64}
    rows = [(case, subject, "train") for case, (subject, _, _) in at]
    told = [(case, subject, name) for case, (subject, names, _) in at for name in sorted(names)]
    shown = [(case, subject, name) for case, (subject, _, names) in at for name in sorted(names)]
    return (
        pl.DataFrame(rows, schema={**text, "split": pl.String}, orient="row"),
        pl.DataFrame(told, schema={**text, "target": pl.String}, orient="row"),
        pl.DataFrame(shown, schema={**text, "concept": pl.String}, orient="row"),
    )


def counted(parts: Frames, axes: Axes, unit: Unit) -> Counts:
    cases, answers, histories = parts
    drawn = draw_units(cases, unit, seed=3)
    return counts_of(units_of(drawn, answers, histories=histories, axes=axes))


def tallied(parts: Frames, unit: Unit) -> Tally:
    cases, answers, histories = parts
    return tally_of(draw_units(cases, unit, seed=3), answers, histories=histories)


def fitted(parts: Frames, policy: Policy, axes: Axes | None = None) -> pl.DataFrame:
    axes = axes or axes_of(tallied(parts, policy.unit), policy)
    return fit(counted(parts, axes, policy.unit), policy)


def some(parts: Frames, subjects: set[int]) -> Frames:
    cases, answers, histories = (
        part.filter(pl.col("subject_id").is_in(sorted(subjects))) for part in parts
    )
    return cases, answers, histories


@settings(max_examples=50)
@given(held, units, strata)
def test_counts_are_those_of_nested_dictionaries(cases: Held, unit: Unit, bins: int) -> None:
    parts = frames(cases)
    drawn = set(draw_units(parts[0], unit, seed=3)["case_id"])
    both: Counter[tuple[str, str]] = Counter()
    targets: Counter[str] = Counter()
    histories: Counter[str] = Counter()
    for place, (_, told, shown) in enumerate(cases):
        if f"{place:016x}" in drawn:
            both.update(product(told, shown))
            targets.update(told)
            histories.update(shown)
    axes = axes_of(tallied(parts, unit), Policy(unit=unit, strata=bins))
    counts = counted(parts, axes, unit)
    table = counts.joint.toarray()
    found = {
        (t, h): int(table[row, column])
        for (row, t), (column, h) in product(enumerate(axes.targets), enumerate(axes.histories))
        if table[row, column]
    }
    assert found == both
    totals = counts.margins.targets.sum(axis=1), counts.margins.histories.sum(axis=1)
    assert dict(zip(axes.targets, totals[0], strict=True)) == targets
    assert dict(zip(axes.histories, totals[1], strict=True)) == histories
    assert counts.margins.units.sum() == len(drawn)
    if unit == "subject":
        assert len(drawn) == len({subject for subject, _, _ in cases})


@settings(max_examples=50)
@given(held, units, strata, st.integers(1, 3))
def test_shards_add_up_to_one(cases: Held, unit: Unit, bins: int, shards: int) -> None:
    parts = frames(cases)
    policy = Policy(unit=unit, strata=bins)
    apart = [some(parts, set(range(9)[first::shards])) for first in range(shards)]
    tally = reduce(Tally.merged, (tallied(part, unit) for part in apart))
    axes = axes_of(tally, policy)
    assert axes == axes_of(tallied(parts, unit), policy)
    summed = reduce(lambda one, other: one + other, (counted(p, axes, unit) for p in apart))
    assert fit(summed, policy).equals(fitted(parts, policy, axes))


@settings(max_examples=50)
@given(held, units, st.randoms())
def test_the_order_of_rows_and_subjects_changes_nothing(
    cases: Held, unit: Unit, draw: object
) -> None:
    parts = frames(cases)
    seed = draw.randint(0, 99)  # type: ignore[attr-defined]
    shuffled = tuple(part.sample(fraction=1, shuffle=True, seed=seed) for part in parts)
    policy = Policy(unit=unit, strata=3)
    assert fitted(parts, policy).equals(fitted((shuffled[0], shuffled[1], shuffled[2]), policy))


@settings(max_examples=50)
@given(held)
def test_the_lift_of_a_concept_with_itself_is_one_over_its_share(cases: Held) -> None:
    same = [(subject, told, told) for subject, told, _ in cases]
    frame = fitted(frames(same), Policy(unit="case")).filter(pl.col("target") == pl.col("history"))
    for row in frame.iter_rows(named=True):
        assert row["n_both"] == row["n_target"] == row["n_history"]
        assert row["lift"] == pytest.approx(row["n"] / row["n_target"])
    lifted = Policy(unit="case", exclude_self=True)
    without = fitted(frames(same), lifted)
    assert without.filter(pl.col("target") == pl.col("history")).is_empty()


@settings(max_examples=40)
@given(held, units, strata, st.integers(1, 2))
def test_a_lookup_is_the_fit_without_the_subject(
    cases: Held, unit: Unit, bins: int, least: int
) -> None:
    parts = frames(cases)
    policy = Policy(unit=unit, strata=bins, min_both=least, min_lift=0.5)
    axes = axes_of(tallied(parts, unit), policy)
    counts = counted(parts, axes, unit)
    whole = Fitted(fit(counts, policy), counts.margins, policy)
    drawn = draw_units(parts[0], unit, seed=3)
    own = units_of(drawn, parts[1], histories=parts[2], axes=axes)
    pairs = parts[1].join(parts[2].rename({"concept": "history"}), on=["case_id", "subject_id"])
    looked = lookup(pairs, whole, own=own)
    keys = ["target", "history"]
    for subject in {subject for subject, _, _ in cases}:
        rest = some(parts, {other for other, _, _ in cases} - {subject})
        refit = fitted(rest, policy, axes).filter("kept")
        mine = looked.filter(pl.col("subject_id") == subject)
        asked = pairs.filter(pl.col("subject_id") == subject).select("case_id", *keys)
        once = whole.lift.filter("kept").select(keys)
        wanted = asked.join(once, on=keys).join(refit, on=keys).sort("case_id", *keys)
        got = mine.sort("case_id", *keys)
        assert got.select("case_id", *keys, "n_both").equals(
            wanted.select("case_id", *keys, "n_both")
        )
        for name in ("lift", "p"):
            np.testing.assert_allclose(got[name], wanted[name], rtol=1e-9)


@settings(max_examples=50)
@given(held, units, strata)
def test_margins_survive_the_file(cases: Held, unit: Unit, bins: int) -> None:
    parts = frames(cases)
    policy = Policy(unit=unit, strata=bins)
    margins = counted(parts, axes_of(tallied(parts, unit), policy), unit).margins
    back = margins_of(margins_frame(margins))
    assert back.axes == margins.axes
    for name in ("units", "targets", "histories"):
        np.testing.assert_array_equal(getattr(back, name), getattr(margins, name))


@st.composite
def pair_margins(draw: st.DrawFn) -> PairMargins:
    """One pair in some strata."""
    n = np.array(draw(st.lists(st.integers(0, 60), min_size=1, max_size=4)))
    held_by = [np.array([draw(st.integers(0, int(each))) for each in n]) for _ in range(2)]
    return PairMargins(held_by[0][None], held_by[1][None], n[None])


@settings(max_examples=300)
@given(pair_margins(), st.floats(0.001, 0.4))
def test_the_screen_loses_no_pair_under_the_cut(margins: PairMargins, cut: float) -> None:
    every = np.arange(int(np.minimum(margins.target, margins.history).sum()) + 1)
    repeated = PairMargins(*(np.repeat(part, every.size, axis=0) for part in margins))
    exact = upper_tail(every, repeated)
    screened = may_pass(every, repeated.expected(), variance=repeated.variance(), cut=cut)
    assert not (exact[~screened] <= cut).any()


def simulated(seed: int, policy: Policy, *, spread: float, linked: int = 0) -> pl.DataFrame:
    """The fit of 500 subjects; each makes all concepts likelier by a size of its own.

    `spread` is the log-sd of that size. Nothing points to anything else, but the first `linked`
    histories to the targets of the same number.
    """
    draw = np.random.default_rng(seed)
    n, names = 500, [tuple(f"{place:03}" for place in range(count)) for count in (12, 120)]
    size = np.exp(draw.normal(-(spread**2) / 2, spread, n))[:, None]
    share = draw.uniform(0.02, 0.2, 12), draw.uniform(0.05, 0.3, 120)
    told, shown = (draw.random((n, each.size)) < np.minimum(each * size, 0.9) for each in share)
    shown[:, :linked] |= told[:, :linked] & (draw.random((n, linked)) < 0.6)
    sizes = shown.sum(axis=1)
    inner = np.quantile(sizes, np.arange(1, policy.strata) / policy.strata)
    axes = Axes(names[0], names[1], tuple(sorted({int(edge) for edge in inner})))
    both = (sparse.csr_array(held.astype(np.int32)) for held in (told, shown))
    return fit(counts_of(Units(axes, np.arange(n), axes.stratum(sizes), *both)), policy)


def shares(spread: float, bins: int, *, seeds: int, linked: int = 0) -> tuple[float, float]:
    """Over seeds: the mean share of false pairs among the kept (0 of none), and of links found."""
    policy = load_policy("fdr").model_copy(update={"strata": bins})
    false, found = [], []
    planted = (pl.col("target") == pl.col("history")) & (pl.col("target").cast(int) < linked)
    for seed in range(seeds):
        kept = simulated(seed, policy, spread=spread, linked=linked).filter("kept")
        true = kept.filter(planted).height
        false.append(1 - true / kept.height if kept.height else 0.0)
        found.append(true / max(linked, 1))
    return float(np.mean(false)), float(np.mean(found))


def test_independent_concepts_are_not_kept() -> None:
    assert shares(0.0, 1, seeds=200)[0] <= 0.05
    assert shares(0.0, 16, seeds=100)[0] <= 0.05


def test_links_are_found_among_what_is_independent() -> None:
    false, found = shares(0.5, 16, seeds=20, linked=10)
    assert false <= 0.05
    assert found >= 0.9


def test_without_strata_long_contexts_look_like_links() -> None:
    assert shares(0.7, 1, seeds=20)[0] > 0.9
    assert shares(0.7, 16, seeds=100)[0] <= 0.05
