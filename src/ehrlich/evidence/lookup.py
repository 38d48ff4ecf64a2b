"""Where cases read the fit: lift, p and q of their pairs, without what they themselves brought.

A train case that looked itself up would find its own answer in the counts. So each counted subject
is taken out of the margins and the joint count of its pairs, which are then judged anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ehrlich.base.errors import DataError
from ehrlich.evidence.cooccurrence import Axes, Margins, Units, tests_of
from ehrlich.evidence.policy import Policy
from ehrlich.evidence.significance import Floats, Ints, PairMargins, upper_tail

FIGURES = ("n_both", "lift", "p", "q")
MARGINS = {
    "side": pl.String(),
    "concept": pl.String(),
    "stratum": pl.UInt8(),
    "from_size": pl.UInt32(),
    "n": pl.UInt32(),
}


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What `fit` gave, the margins it rests on, and its policy."""

    lift: pl.DataFrame
    margins: Margins
    policy: Policy


def margins_frame(margins: Margins) -> pl.DataFrame:
    """The margins as rows: side (unit, target, history), concept, stratum, from_size, n.

    `from_size` is where the stratum begins. Rows of n = 0 are left out, but for units.
    """
    edges = pl.DataFrame(
        {"stratum": range(len(margins.units)), "from_size": [0, *margins.axes.edges]}
    )
    units = pl.DataFrame({"stratum": edges["stratum"], "n": margins.units})
    parts = [units.with_columns(side=pl.lit("unit"), concept=pl.lit(None, pl.String))]
    axes = margins.axes
    for side, names, counts in (
        ("target", axes.targets, margins.targets),
        ("history", axes.histories, margins.histories),
    ):
        row, stratum = np.nonzero(counts)
        concept = pl.Series(names, dtype=pl.String).gather(row)
        part = pl.DataFrame({"stratum": stratum, "n": counts[row, stratum], "concept": concept})
        parts.append(part.with_columns(side=pl.lit(side)))
    frame = pl.concat(parts, how="diagonal").join(edges, on="stratum")
    return frame.select(list(MARGINS)).cast(pl.Schema(MARGINS)).sort("side", "concept", "stratum")


def margins_of(frame: pl.DataFrame) -> Margins:
    """The margins that `margins_frame` wrote."""
    units = frame.filter(pl.col("side") == "unit").sort("stratum")
    strata = units.height
    names: list[tuple[str, ...]] = []
    tables: list[Ints] = []
    for side in ("target", "history"):
        part = frame.filter(pl.col("side") == side)
        concepts = part["concept"].unique().sort()
        table = np.zeros((concepts.len(), strata), np.int64)
        row = concepts.search_sorted(part["concept"]).to_numpy()
        table[row, part["stratum"].to_numpy()] = part["n"].to_numpy()
        names.append(tuple(concepts.to_list()))
        tables.append(table)
    edges = tuple(units["from_size"].to_list()[1:])
    return Margins(Axes(names[0], names[1], edges), units["n"].to_numpy().astype(np.int64), *tables)


def lookup(pairs: pl.DataFrame, fitted: Fitted, *, own: Units | None = None) -> pl.DataFrame:
    """The kept ones of `pairs`, with n_both, lift, p, q; in the order of `pairs`.

    `pairs`: case_id, subject_id, target, history. `own`: what the counted units of these subjects
    hold (`units_of` of their shard); a subject that is not among them was not counted. For those
    that are, the figures are what a fit without the subject (same strata) gives, and the pair must
    pass the policy by them: support, lift, q among the p of the fit, and a lift above the best one
    that the fit left out for want of room. Pairs that only a fit without the subject would keep
    are not found.
    """
    kept = fitted.lift.filter("kept").select("target", "history", *FIGURES)
    found = pairs.with_row_index("_place").join(kept, on=["target", "history"])
    if own is not None:
        counted = pl.Series(np.unique(own.subjects), dtype=pl.Int64)
        is_own = pl.col("subject_id").is_in(counted.implode())
        apart = _without_own(found.filter(is_own), fitted, own=own)
        found = pl.concat([found.filter(~is_own), apart.select(found.columns)])
    return found.sort("_place").drop("_place")


def _without_own(found: pl.DataFrame, fitted: Fitted, *, own: Units) -> pl.DataFrame:
    """`found` with the figures of a fit without each subject; those that then still pass."""
    if not found.height:
        return found
    target = _places(found["target"], fitted.margins.axes.targets)
    history = _places(found["history"], fitted.margins.axes.histories)
    both, margins = _taken_out(found, fitted.margins, target=target, history=history, own=own)
    expected = margins.expected()
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = np.where(expected > 0, both / expected, 0)
    p = _tails(both, margins)
    q = _q_of(p, fitted)
    policy = fitted.policy
    passes = (both >= policy.min_both) & (lift > policy.min_lift)
    passes &= margins.history.sum(axis=1) >= policy.min_history
    if policy.max_q is not None:
        passes &= q <= policy.max_q
    anew = found.with_columns(
        pl.Series("n_both", both, pl.UInt32),
        pl.Series("lift", lift),
        pl.Series("p", p),
        pl.Series("q", q),
        pl.Series("_passes", passes),
    ).join(_left_out(fitted), on="target", how="left")
    room = pl.col("_best").is_null() | (pl.col("lift") > pl.col("_best"))
    return anew.filter(pl.col("_passes") & room)


def _places(names: pl.Series, axis: tuple[str, ...]) -> Ints:
    """Where on the axis each name stands."""
    known = pl.DataFrame({"name": axis, "place": np.arange(len(axis))})
    places = names.to_frame("name").join(known, on="name", how="left", maintain_order="left")[
        "place"
    ]
    if places.null_count():
        raise DataError("the lift table and its margins are not of one fit")
    return places.to_numpy()


def _taken_out(
    found: pl.DataFrame, margins: Margins, *, target: Ints, history: Ints, own: Units
) -> tuple[Ints, PairMargins]:
    """Joint count and margins of each pair, less what the units of its subject brought."""
    if own.axes.targets != margins.axes.targets or own.axes.histories != margins.axes.histories:
        raise DataError("the subjects' own units and the fit have other vocabularies")
    units = pl.DataFrame({"subject_id": own.subjects, "_unit": np.arange(own.subjects.size)})
    rows = found.select("subject_id", _pair=pl.int_range(pl.len(), dtype=pl.Int64))
    mine = rows.join(units, on="subject_id")
    pair, unit = mine["_pair"].to_numpy(), mine["_unit"].to_numpy()
    holds_target = _cells(own.targets, unit, target[pair])
    holds_history = _cells(own.histories, unit, history[pair])
    both = found["n_both"].to_numpy().astype(np.int64)
    np.subtract.at(both, pair, holds_target * holds_history)
    left = PairMargins(*(part.copy() for part in margins.of_pairs(target, history)))
    cell = (pair, own.strata[unit])
    np.subtract.at(left.target, cell, holds_target)
    np.subtract.at(left.history, cell, holds_history)
    np.subtract.at(left.units, cell, 1)
    return both, left


def _cells(matrix: object, rows: Ints, columns: Ints) -> Ints:
    """The values of a sparse matrix at places."""
    # Columns of a frame are read-only, which SciPy does not take for places.
    found = matrix[np.array(rows), np.array(columns)]  # type: ignore[index]
    return np.asarray(found).reshape(-1).astype(np.int64)


def _tails(both: Ints, margins: PairMargins) -> Floats:
    """p of each pair; equal counts, which many subjects share, are judged once."""
    columns = np.concatenate([both[:, None], *margins], axis=1)
    frame = pl.DataFrame(columns, schema=[f"c{place}" for place in range(columns.shape[1])])
    distinct = frame.with_row_index("_row").unique(frame.columns, keep="first", maintain_order=True)
    rows = distinct["_row"].to_numpy().astype(np.int64)
    judged = distinct.drop("_row").with_columns(p=upper_tail(both[rows], margins.rows(rows)))
    joined = frame.join(judged, on=frame.columns, how="left", maintain_order="left")
    return joined["p"].to_numpy()


def _q_of(p: Floats, fitted: Fitted) -> Floats:
    """Benjamini and Hochberg's q of each p, put among the fit's in the place of a smaller one."""
    able = (pl.col("n_both") >= fitted.policy.min_both) & (pl.col("lift") > fitted.policy.min_lift)
    known = fitted.lift.filter(able).sort("p")
    others = known["p"].to_numpy()
    rank = np.maximum(np.searchsorted(others, p, side="right"), 1)
    alone = np.minimum(p * tests_of(fitted.margins, fitted.policy) / rank, 1)
    # Rounding may have made the same p larger by a hair.
    following = np.append(known["q"].to_numpy(), 1.0)[np.searchsorted(others, p * (1 - 1e-9))]
    return np.asarray(np.minimum(alone, following))


def _left_out(fitted: Fitted) -> pl.DataFrame:
    """Of each target the highest lift that passed and for which the policy had no room."""
    passes = (pl.col("n_both") >= fitted.policy.min_both) & ~pl.col("kept")
    passes &= pl.col("lift") > fitted.policy.min_lift
    if fitted.policy.max_q is not None:
        passes &= pl.col("q") <= fitted.policy.max_q
    else:
        passes &= pl.lit(fitted.policy.per_target is not None)
    left = fitted.lift.filter(passes)
    return left.group_by("target").agg(pl.col("lift").max().alias("_best"))
