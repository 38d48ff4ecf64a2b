"""Which history concepts come with which targets: units, counts that add over shards, the fit.

Two passes over the shards of the train split. The first tallies concepts and context sizes and
settles the axes (`tally_of`, `axes_of`); the second counts pairs (`units_of`, `counts_of`), and
`fit` judges them. `lookup.py` is where cases read the result.

Everywhere: cases [case_id, subject_id, split], answers [case_id, subject_id, target], histories
[case_id, subject_id, concept], of one task; a concept stands once in a case. Subjects stand in one
shard, so each shard can draw its own units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import polars as pl
from scipy import sparse

from ehrlich.base.contracts import lift_schema
from ehrlich.base.errors import DataError
from ehrlich.cohorts.sampling import order_of
from ehrlich.evidence.policy import Policy
from ehrlich.evidence.significance import (
    Floats,
    Ints,
    PairMargins,
    may_pass,
    q_values,
    upper_tail,
)

Sparse: TypeAlias = Any  # scipy.sparse.csr_array of int32; scipy has no types here
TRAIN = "train"
SHOWN_P = 0.05
PAIRS = 1 << 18  # judged at a time


def draw_units(cases: pl.DataFrame, unit: str, *, seed: int) -> pl.DataFrame:
    """The cases that are counted: case_id, subject_id, by subject and case.

    Of a `subject` the one whose stable hash with `seed` is least, whatever the order and the other
    subjects; with unit `case` all. Raises DataError for a case of another split than train.
    """
    others = cases.filter(pl.col("split") != TRAIN)["split"].unique().sort().to_list()
    if others or cases["split"].null_count():
        raise DataError(
            "evidence is fitted on the train split only",
            got=f"cases of {', '.join(others) or 'no split'}",
            do="Filter the cases first.",
        )
    known = cases.select("case_id", "subject_id").unique()
    if unit == "subject":
        lots = pl.Series("_lot", order_of(known["case_id"], seed))
        drawn = known.with_columns(lots).sort("subject_id", "_lot", "case_id")
        known = drawn.unique("subject_id", keep="first", maintain_order=True).drop("_lot")
    return known.sort("subject_id", "case_id")


class Tally(NamedTuple):
    """How many units hold each concept, and how many have each context size. Adds over shards."""

    targets: pl.DataFrame  # concept, n
    histories: pl.DataFrame  # concept, n
    sizes: pl.DataFrame  # size, n

    def merged(self, other: Tally) -> Tally:
        """Of both sets of units."""
        pairs = zip(self, other, strict=True)
        return Tally(*(_summed(pl.concat([mine, theirs])) for mine, theirs in pairs))


def _summed(frame: pl.DataFrame) -> pl.DataFrame:
    key = frame.columns[0]
    return frame.group_by(key).agg(pl.col("n").sum()).sort(key)


def tally_of(units: pl.DataFrame, answers: pl.DataFrame, *, histories: pl.DataFrame) -> Tally:
    """The tally of the units that `draw_units` drew."""
    one = pl.lit(1, pl.Int64).alias("n")
    told = answers.join(units, on="case_id", how="semi").select(pl.col("target"), one)
    shown = histories.join(units, on="case_id", how="semi").select(pl.col("concept"), one)
    sizes = _sizes(units, histories).select("size", one)
    return Tally(_summed(told.rename({"target": "concept"})), _summed(shown), _summed(sizes))


def _sizes(units: pl.DataFrame, histories: pl.DataFrame) -> pl.DataFrame:
    """`units` and the number of concepts in the context of each, in the same order."""
    sizes = histories.group_by("case_id").agg(pl.len().cast(pl.Int64).alias("size"))
    joined = units.join(sizes, on="case_id", how="left", maintain_order="left")
    return joined.with_columns(pl.col("size").fill_null(0))


@dataclass(frozen=True, slots=True)
class Axes:
    """What rows, columns and strata of the counts mean, and the split they were fitted on.

    - targets, histories: concepts, sorted.
    - edges: context sizes at which the strata from the second on begin.
    """

    targets: tuple[str, ...]
    histories: tuple[str, ...]
    edges: tuple[int, ...]
    split: str = TRAIN

    def stratum(self, sizes: Ints) -> Ints:
        """The stratum, from 0, of each context size."""
        return np.searchsorted(np.asarray(self.edges, np.int64), sizes, side="right")


def axes_of(tally: Tally, policy: Policy) -> Axes:
    """Concepts that have the support to be kept by the policy, and strata of equal weight.

    Fewer strata than asked for where sizes repeat too much.
    """
    targets = tally.targets.filter(pl.col("n") >= policy.min_both)
    least = max(policy.min_history, policy.min_both)
    histories = tally.histories.filter(pl.col("n") >= least)
    sizes, n = (tally.sizes[name].to_numpy() for name in ("size", "n"))
    wanted = np.arange(1, policy.strata) / policy.strata
    places = np.searchsorted(np.cumsum(n), wanted * n.sum())
    edges = sorted({int(size) for size in sizes[places]} - {int(sizes.min(initial=0))})
    names = [tuple(part["concept"].sort().to_list()) for part in (targets, histories)]
    return Axes(names[0], names[1], tuple(edges))


class Units(NamedTuple):
    """What each unit holds: rows are units, columns the axes' targets and histories."""

    axes: Axes
    subjects: Ints
    strata: Ints
    targets: Sparse
    histories: Sparse


def units_of(
    units: pl.DataFrame, answers: pl.DataFrame, *, histories: pl.DataFrame, axes: Axes
) -> Units:
    """What the units that `draw_units` drew hold. Concepts that are not on the axes are left out.

    Raises DataError for axes of another split, and for a concept twice in a case.
    """
    if axes.split != TRAIN:
        raise DataError(
            "the vocabulary was fitted on another split", got=axes.split, expected=TRAIN
        )
    told = answers.select("case_id", concept="target")
    sizes = _sizes(units, histories)["size"].to_numpy()
    return Units(
        axes,
        units["subject_id"].to_numpy(),
        axes.stratum(sizes),
        _held(units["case_id"], told, axes.targets),
        _held(units["case_id"], histories, axes.histories),
    )


def _held(cases: pl.Series, frame: pl.DataFrame, names: tuple[str, ...]) -> Sparse:
    """Units x concepts: 1 where the unit holds the concept."""
    # The numbers of an Enum are places on the axis, at half the cost of a join on strings.
    coded = frame.select(
        _place("case_id", pl.Enum(cases)), _place("concept", pl.Enum(list(names)))
    ).drop_nulls()
    place = tuple(coded[name].to_numpy() for name in coded.columns)
    shape = (cases.len(), len(names))
    held = sparse.csr_array((np.ones(coded.height, np.int32), place), shape)
    if held.data.size and held.data.max() > 1:
        raise DataError("a concept stands twice in a case", do="Make the rows unique first.")
    return held


def _place(column: str, axis: pl.Enum) -> pl.Expr:
    return pl.col(column).cast(axis, strict=False).to_physical().cast(pl.Int32)


@dataclass(frozen=True, slots=True, eq=False)
class Margins:
    """Units per stratum: all, those that hold each target, those that hold each history."""

    axes: Axes
    units: Ints  # strata
    targets: Ints  # targets x strata
    histories: Ints  # histories x strata

    def of_pairs(self, targets: Ints, histories: Ints) -> PairMargins:
        """The margins of pairs, given by their places on the axes."""
        here = self.targets[targets]
        return PairMargins(here, self.histories[histories], np.broadcast_to(self.units, here.shape))


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Units that hold both, targets x histories, and the margins. Adds over shards."""

    margins: Margins
    joint: Sparse

    def __add__(self, other: Counts) -> Counts:
        mine, theirs = self.margins, other.margins
        if mine.axes != theirs.axes:
            raise DataError("counts of different vocabularies or strata cannot be added")
        margins = Margins(
            mine.axes,
            mine.units + theirs.units,
            mine.targets + theirs.targets,
            mine.histories + theirs.histories,
        )
        return Counts(margins, self.joint + other.joint)


def counts_of(units: Units) -> Counts:
    """How many of the units hold each target, each history, and both."""
    strata = len(units.axes.edges) + 1
    margins = Margins(
        units.axes,
        np.bincount(units.strata, minlength=strata),
        _within(units.targets, units.strata, strata=strata),
        _within(units.histories, units.strata, strata=strata),
    )
    return Counts(margins, (units.targets.T @ units.histories).tocsr())


def _within(held: Sparse, stratum: Ints, *, strata: int) -> Ints:
    """Concepts x strata: how many units hold each."""
    each = np.repeat(stratum, np.diff(held.indptr))
    columns = held.shape[1]
    flat = np.bincount(held.indices.astype(np.int64) * strata + each, minlength=columns * strata)
    return flat.reshape(columns, strata)


def fit(counts: Counts, policy: Policy) -> pl.DataFrame:
    """Pairs with the joint support that have p <= 0.05 or are kept: `lift_schema()`, in its order.

    q is Benjamini and Hochberg's over all pairs that could pass: those whose target is held by
    `min_both` units and whose history by `min_history` and `min_both`, seen together or not. (To
    choose tests by margins spends no error, since p is given the margins; to choose by the joint
    count would.) A pair without the joint support or the lift counts as p = 1, so that what is kept
    is what the procedure rejects, before the best of each target are chosen. Without the support a
    pair is not shown (most pairs are such, and could not be kept); without the lift it has q = 1.
    """
    joint = counts.joint.tocoo()
    parts = [
        _judged(counts.margins, policy, joint=joint, some=slice(start, start + PAIRS))
        for start in range(0, max(joint.nnz, 1), PAIRS)
    ]
    target, history, both, expected, p = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    able = both > policy.min_lift * expected
    q = np.ones(p.size)
    q[able] = q_values(p[able], tests_of(counts.margins, policy))
    margins, axes = counts.margins, counts.margins.axes
    frame = pl.DataFrame(
        {
            "target": pl.Series(axes.targets, dtype=pl.String).gather(target),
            "history": pl.Series(axes.histories, dtype=pl.String).gather(history),
            "n": np.full(p.size, margins.units.sum()),
            "n_target": margins.targets.sum(axis=1)[target],
            "n_history": margins.histories.sum(axis=1)[history],
            "n_both": both,
            "expected": expected,
            "lift": both / expected,
            "p": p,
            "q": q,
            "kept": able if policy.max_q is None else able & (q <= policy.max_q),
        },
    )
    return _best(frame.cast(pl.Schema(lift_schema())), policy).sort("target", "p", "history")


def _best(frame: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """What is shown, with `kept` only for the highest lifts of each target."""
    order = ("target", "kept", "lift", "p", "history")
    ranked = frame.sort(order, descending=[False, True, True, False, False])
    place = pl.int_range(pl.len()).over("target")
    most = frame.height if policy.per_target is None else policy.per_target
    kept = ranked.with_columns(pl.col("kept") & (place < most))
    return kept.filter((pl.col("p") <= SHOWN_P) | pl.col("kept"))


def _judged(
    margins: Margins, policy: Policy, *, joint: Sparse, some: slice
) -> tuple[Ints, Ints, Ints, Floats, Floats]:
    """Target, history, both, expected, p of the pairs among `some` that are shown."""
    target, history = (place[some].astype(np.int64) for place in joint.coords)
    both = joint.data[some].astype(np.int64)
    least = max(policy.min_history, policy.min_both)
    possible = both >= policy.min_both
    possible &= margins.histories.sum(axis=1)[history] >= least
    possible &= margins.targets.sum(axis=1)[target] >= policy.min_both
    if policy.exclude_self:
        possible &= ~np.isin(target * len(margins.axes.histories) + history, _self(margins.axes))
    target, history, both = target[possible], history[possible], both[possible]
    pairs = margins.of_pairs(target, history)
    expected = pairs.expected()
    cut = max(SHOWN_P, policy.max_q or 0)
    worth = may_pass(both, expected, variance=pairs.variance(), cut=cut)
    if policy.max_q is None:
        worth |= both > policy.min_lift * expected
    target, history, both, expected = target[worth], history[worth], both[worth], expected[worth]
    p = upper_tail(both, pairs.rows(worth))
    shown = p <= cut
    if policy.max_q is None:
        shown |= both > policy.min_lift * expected
    return target[shown], history[shown], both[shown], expected[shown], p[shown]


def _self(axes: Axes) -> Ints:
    """Places, in the flattened joint matrix, of pairs of a concept with itself."""
    columns = {name: place for place, name in enumerate(axes.histories)}
    width = len(axes.histories)
    both = [row * width + columns[name] for row, name in enumerate(axes.targets) if name in columns]
    return np.asarray(both, np.int64)


def tests_of(margins: Margins, policy: Policy) -> int:
    """m of Benjamini and Hochberg: pairs of concepts with the support that could pass."""
    least = max(policy.min_history, policy.min_both)
    targets = margins.targets.sum(axis=1) >= policy.min_both
    histories = margins.histories.sum(axis=1) >= least
    tests = int(targets.sum()) * int(histories.sum())
    if policy.exclude_self:
        rows, columns = np.divmod(_self(margins.axes), max(histories.size, 1))
        tests -= int((targets[rows] & histories[columns]).sum())
    return tests
