"""Every share of paths beside what random concepts of the same support give, with an interval.

A graph of medicine ties almost anything to anything in enough steps, and what is frequent is tied
most. So a path between two concepts says something only where it is found more often than between
the target and another history concept of the task that as many subjects hold. Intervals are of a
patient bootstrap: subjects are drawn, with all that is theirs; the fit and the control stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl

from ehrlich.base.errors import ConfigError, DataError
from ehrlich.evidence.paths import MOST_HOPS, PathFinder
from ehrlich.evidence.significance import Bools, Floats, Ints

PAIR = ["task", "target", "history"]
TRIES = 16  # before controls are looked for further off
LAST_TRIES = 512  # once all of the task's concepts are in reach
CELLS_AT_ONCE = 4_000_000
Bands: TypeAlias = Mapping[str, tuple[int, int]]
"""Least and most hops of each row of a table, by its name."""
HOP_BANDS: Bands = {
    "0": (0, 0),
    "1": (1, 1),
    "0-1": (0, 1),
    "2": (2, 2),
    "0-2": (0, 2),
    "3": (3, 3),
}
REACH_BANDS: Bands = {str(hops): (0, hops) for hops in range(MOST_HOPS + 1)}
FIGURES = ("share", "control", "ratio")


@dataclass(frozen=True, slots=True)
class Matching:
    """How controls are drawn.

    - draws: controls of each pair. nearest: they are among so many history concepts of next
      lower, and of next higher support; further off only where (nearly) all of these are ruled out.
    - same_kind: also of the same kind, such as lab or drug.
    """

    draws: int = 10
    nearest: int = 10
    same_kind: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.draws < 1 or self.nearest < 1:
            raise ConfigError(
                "a control needs draws, and concepts to draw from",
                got=f"draws {self.draws}, nearest {self.nearest}",
                expected="1 or more of each",
            )


@dataclass(frozen=True, slots=True)
class Resampling:
    """How intervals are made: so many patient-bootstrap replicates, of which `level` lie within."""

    replicates: int = 2000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.replicates < 1 or not 0 < self.level < 1:
            raise ConfigError(
                "an interval needs replicates",
                got=f"{self.replicates}, level {self.level}",
                expected="1 or more, and a level between 0 and 1",
            )


def pool_of(margins: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """task, history, n_history: what controls are drawn from, by the margins file of each task."""
    parts = [
        frame.filter(pl.col("side") == "history")
        .group_by(history="concept")
        .agg(n_history=pl.col("n").sum().cast(pl.Int64))
        .select(pl.lit(task).alias("task"), "history", "n_history")
        for task, frame in margins.items()
    ]
    empty = pl.DataFrame(schema={"task": pl.String, "history": pl.String, "n_history": pl.Int64})
    return pl.concat([empty, *parts]).sort("task", "history")


def matched(
    pairs: pl.DataFrame, pool: pl.DataFrame, *, kept: pl.DataFrame, how: Matching | None = None
) -> pl.DataFrame:
    """Controls of each distinct pair: task, target, history, n_history, draw, control, n_control.

    A control is another history concept of the task (`pool`: task, history, n_history) of about
    the same support; never one that is `kept` [task, target, history] for that target, never the
    target itself. Sorted; the same for the same pairs in any order. A draw that finds none has no
    row. Raises DataError for a pair whose history is not in the pool.
    """
    how = how or Matching()
    rng = np.random.default_rng(how.seed)
    ordered = _by_support(pool, rng, same_kind=how.same_kind)
    asked = pairs.select(PAIR).unique().sort(PAIR)
    placed = asked.join(ordered, on=["task", "history"], maintain_order="left")
    if placed.height < asked.height:
        raise DataError("a pair's history has no margin: lift and margins are not of one fit")
    numbers = placed.select("task", "target").unique(maintain_order=True).with_row_index("number")
    placed = placed.join(numbers, on=["task", "target"], maintain_order="left")
    barred = _barred(pl.concat([kept.select(PAIR), asked]), ordered, numbers=numbers)
    each = {
        name: np.repeat(placed[name].to_numpy().astype(np.int64), how.draws)
        for name in ("row", "first", "last", "number")
    }
    control = _drawn(each, barred, size=ordered.height, nearest=how.nearest, rng=rng)
    draw = np.tile(np.arange(how.draws), placed.height)
    found = control >= 0
    rows = np.repeat(np.arange(placed.height), how.draws)[found]
    theirs = ordered[control[found]]
    return placed.select(*PAIR, "n_history")[rows].with_columns(
        pl.Series("draw", draw[found], pl.UInt16),
        theirs["history"].alias("control"),
        theirs["n_history"].alias("n_control"),
    )


def _by_support(pool: pl.DataFrame, rng: np.random.Generator, *, same_kind: bool) -> pl.DataFrame:
    """The pool by support, with the row of each and the first and last row it may be swapped for.

    Concepts of one support stand in random order: in that of names, labs would meet labs.
    """
    kind = pl.col("history").str.split("//").list.first() if same_kind else pl.lit("")
    lots = pl.Series("_lot", rng.permutation(pool.height))
    ordered = (
        pool.sort("task", "history")
        .with_columns(lots, _kind=kind)
        .sort("task", "_kind", "n_history", "_lot")
        .with_row_index("row")
    )
    group = ["task", "_kind"]
    bounds = (pl.col("row").min().over(group), pl.col("row").max().over(group))
    return ordered.with_columns(first=bounds[0], last=bounds[1]).drop("_lot", "_kind")


def _barred(known: pl.DataFrame, pool: pl.DataFrame, *, numbers: pl.DataFrame) -> Ints:
    """Sorted codes (target's number, row of the pool) of what is no control."""
    themselves = numbers.select("task", "target", history="target")
    ruled = pl.concat([known, themselves]).unique()
    rows = ruled.join(numbers, on=["task", "target"]).join(
        pool.select("task", "history", "row"), on=["task", "history"]
    )
    codes = rows["number"].cast(pl.Int64) * pool.height + rows["row"].cast(pl.Int64)
    return codes.unique().sort().to_numpy()


def _drawn(
    each: Mapping[str, Ints], barred: Ints, *, size: int, nearest: int, rng: np.random.Generator
) -> Ints:
    """A row of the pool for each question, -1 where none was found. Rejected ones draw again."""
    control = np.full(each["row"].size, -1, np.int64)
    left = np.arange(control.size)
    reach, tries = nearest, 0
    while left.size and tries < LAST_TRIES:
        row = each["row"][left]
        low = np.maximum(row - reach, each["first"][left])
        high = np.minimum(row + reach, each["last"][left])
        tried = rng.integers(low, high + 1)
        good = ~_holds(barred, each["number"][left] * size + tried)
        control[left[good]] = tried[good]
        left, tries = left[~good], tries + 1
        if tries == TRIES and reach < size:
            reach, tries = 2 * reach, 0
    return control


def _holds(codes: Ints, asked: Ints) -> Bools:
    """Whether each code is among the sorted `codes`."""
    if not codes.size:
        return np.zeros(asked.size, bool)
    place = np.minimum(np.searchsorted(codes, asked), codes.size - 1)
    return np.asarray(codes[place] == asked)


def uncut(edges: pl.DataFrame, per_target: int) -> pl.DataFrame:
    """Edges tied by lift, of those cases' targets that have fewer than `per_target` of them.

    A graph of limited room prefers pairs that have a path: where it is full, the share of such
    pairs is that of the choice. Of self pairs, whose history is the target, none are taken: they
    have a path by definition, and no control could.
    """
    tied = edges.filter(pl.col("lift").is_not_null())
    room = pl.len().over("case_id", "target") < per_target
    return tied.filter(room).filter(pl.col("target") != pl.col("history"))


def with_hops(
    pairs: pl.DataFrame, finder: PathFinder, *, links: pl.DataFrame, to: str = "history"
) -> pl.DataFrame:
    """`pairs` with the hops (UInt8; null: none found) from target to the concept in column `to`."""
    asked = pairs.select("target", history=to).unique().sort("target", "history")
    apart = finder.distances(asked, links).rename({"history": to})
    kept = pairs.select(pl.exclude("hops"))
    return kept.join(apart, on=["target", to], how="left", maintain_order="left")


def hop_table(
    edges: pl.DataFrame,
    controls: pl.DataFrame,
    *,
    bands: Bands | None = None,
    how: Resampling | None = None,
) -> pl.DataFrame:
    """Share of pairs so many hops apart: hops (a band), pairs, and the figures of `compared`.

    - edges: subject_id, task, target, history, hops. A pair counts once a subject, whatever the
      cases and tasks; one without a control does not count.
    - controls: of `matched`, with hops; the draws of a pair are averaged.
    """
    bands = bands or HOP_BANDS
    seen = edges.unique(["subject_id", "target", "history", "task"]).sort("subject_id", *PAIR)
    seen = seen.unique(["subject_id", "target", "history"], keep="first", maintain_order=True)
    chance = controls.group_by(PAIR).agg(
        _in_band("hops", band).mean().alias(f"control_{name}") for name, band in bands.items()
    )
    real = [_in_band("hops", band).alias(f"real_{name}") for name, band in bands.items()]
    table = compared(seen.with_columns(real).join(chance, on=PAIR), bands, how=how)
    return table.rename({"band": "hops", "n": "pairs"})


def coverage_table(
    edges: pl.DataFrame, controls: pl.DataFrame, *, how: Resampling | None = None
) -> pl.DataFrame:
    """Share of cases' targets with any history within so many hops: hops, targets, and figures.

    As `hop_table`, but edges have a case_id too. The control of a case's target are its histories,
    each swapped for its control of one draw; the draws are averaged.
    """
    one = ["subject_id", "case_id", "task", "target"]
    shown = edges.unique([*one, "history"]).select(*one, "history", "hops")
    answerable = controls.select(PAIR).unique()
    real = (
        shown.join(answerable, on=PAIR, how="semi")
        .group_by(one)
        .agg(_in_band("hops", band).any().alias(f"real_{n}") for n, band in REACH_BANDS.items())
    )
    near = controls.group_by([*PAIR, "draw"]).agg(pl.col("hops").min().alias("_far"))
    chance = (
        shown.select(*one, "history")
        .join(near, on=PAIR)
        .group_by(*one, "draw")
        .agg(pl.col("_far").min())
        .group_by(one)
        .agg(_in_band("_far", b).mean().alias(f"control_{n}") for n, b in REACH_BANDS.items())
    )
    table = compared(real.join(chance, on=one), REACH_BANDS, how=how)
    return table.rename({"band": "hops", "n": "targets"})


def _in_band(column: str, band: tuple[int, int]) -> pl.Expr:
    return pl.col(column).is_between(*band).fill_null(value=False)


def compared(
    counted: pl.DataFrame, bands: Iterable[str], *, how: Resampling | None = None
) -> pl.DataFrame:
    """Per band: n, share, control, ratio, each figure with its low and high.

    `counted`: one row a thing counted: subject_id, and for each band real_<band> (yes or no) and
    control_<band> (0 to 1). Figures are null where nothing is counted, the ratio also where the
    control is 0; an end of its interval, where it has no bound.
    """
    how = how or Resampling()
    names = list(bands)
    columns = [f"{side}_{name}" for name in names for side in ("real", "control")]
    sums = counted.group_by("subject_id").agg(
        pl.len().alias("n"), *(pl.col(name).cast(pl.Float64).sum() for name in columns)
    )
    table = sums.sort("subject_id").select("n", *columns).to_numpy().astype(np.float64)
    whole = _figures(table.sum(axis=0, keepdims=True))[:, 0]
    ends = (0.5 - how.level / 2, 0.5 + how.level / 2)
    low, high = _quantiles(_figures(bootstrap(table, how)), ends)
    told: dict[str, list[object]] = {"band": [*names], "n": [counted.height] * len(names)}
    for number, figure in enumerate(FIGURES):
        for end, values in (("", whole), ("_low", low), ("_high", high)):
            told[f"{figure}{end}"] = [_finite(value) for value in values[number]]
    figures = {name: pl.Float64 for name in told if name not in ("band", "n")}
    return pl.DataFrame(told, schema={"band": pl.String, "n": pl.Int64, **figures})


def bootstrap(table: Floats, how: Resampling) -> Floats:
    """Replicates x columns: sums over as many rows of `table` (subjects), drawn anew each time."""
    subjects = table.shape[0]
    if not subjects:
        return np.zeros((how.replicates, table.shape[1]))
    rng = np.random.default_rng(how.seed)
    at_once = max(1, CELLS_AT_ONCE // subjects)
    parts = []
    for start in range(0, how.replicates, at_once):
        some = min(at_once, how.replicates - start)
        drawn = rng.integers(0, subjects, (some, subjects))
        drawn += np.arange(some)[:, None] * subjects
        weights = np.bincount(drawn.reshape(-1), minlength=some * subjects)
        parts.append(weights.reshape(some, subjects).astype(np.float64) @ table)
    return np.concatenate(parts)


def _figures(sums: Floats) -> Floats:
    """Figures x sets x bands, of sums whose columns are n, then real and control of each band."""
    with np.errstate(divide="ignore", invalid="ignore"):
        real, control = (sums[:, start::2] / sums[:, :1] for start in (1, 2))
        return np.stack([real, control, real / control])


def _quantiles(figures: Floats, ends: tuple[float, float]) -> Floats:
    """Ends x figures x bands. Of values that are there: between two of them none is made up."""
    ordered = np.sort(figures, axis=1)  # what is not a number comes last
    known = np.sum(~np.isnan(ordered), axis=1)
    found = []
    for end in ends:
        place = np.clip(np.rint(end * (known - 1)), 0, None).astype(np.int64)
        found.append(np.take_along_axis(ordered, place[:, None, :], axis=1)[:, 0, :])
    return np.stack(found)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
