"""Measurements in their order, and the events that they form."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
import polars as pl

from ehrlich.charts.readers.columns import SUBJECT

Index = npt.NDArray[np.int64]
EVENT_GAP_US = 60 * 60 * 1_000_000


def in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows by subject, time (static first), row_id, which holds table rank and source row."""
    if not rows["row_id"].is_sorted():
        rows = rows.sort("row_id")
    key = _subject_time_key(rows)
    if key is None:
        return rows.sort(SUBJECT, "time", nulls_last=False, maintain_order=True)
    # A stable sort by one integer, and a gather from whole columns rather than from the chunks
    # that each table left, take a third of the time of a sort by three columns.
    return rows.rechunk()[np.argsort(key, kind="stable")]


def _subject_time_key(rows: pl.DataFrame) -> Index | None:
    """One integer a row that orders as (subject, time, static first); None where it overflows."""
    if rows.is_empty():
        return None
    times = rows["time"].to_physical()
    low, high = cast(int, times.min() or 0), cast(int, times.max() or 0)
    unit = 1 if (times % 1_000_000 != 0).any() else 1_000_000
    low, high = low // unit, high // unit
    width = high - low + 2
    subjects = rows[SUBJECT].rank("dense").cast(pl.Int64)
    if cast(int, subjects.max()) * width >= 1 << 62:
        return None
    since = (times // unit - low + 1).fill_null(0)
    return (subjects * width + since).to_numpy()


def after_stay(rows: pl.DataFrame, late: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """`rows` (in order) with `late` rows right after the last row of their encounter.

    They take that row's time. Also says how many found no row of their encounter.
    The rule of the paper's released code (notes on its preprocessing: untimed rows).
    """
    place = "place"
    rows = rows.with_row_index(place)
    last = (
        rows.drop_nulls("encounter_id")
        .group_by(SUBJECT, "encounter_id")
        .agg(pl.col(place).max(), pl.col("time").last().alias("_time"))
    )
    placed = late.join(last, on=[SUBJECT, "encounter_id"], how="left")
    found = placed.drop_nulls(place).with_columns(pl.col("_time").alias("time")).drop("_time")
    both = pl.concat([rows, found.select(rows.columns)], how="vertical")
    # Among rows of one place the one that was there has the smaller rank.
    return both.sort(place, "row_id").drop(place), late.height - found.height


def number_events(rows: pl.DataFrame, *, split_gaps: bool) -> pl.DataFrame:
    """`rows` (in order) with the column event: number of the event within the subject, from 0.

    An event is a run of consecutive rows of one table; with `split_gaps` (strict policy) also of
    one encounter and stay, and within 60 minutes of the event's first row (static rows apart).
    """
    same = [pl.col(SUBJECT), pl.col("table")]
    if split_gaps:
        same += [pl.col("encounter_id"), pl.col("stay_id"), pl.col("time").is_null()]
    changed = pl.any_horizontal(value.ne_missing(value.shift()) for value in same)
    starts = rows.select(changed).to_series().to_numpy().copy()
    starts[:1] = True
    if split_gaps and rows.height:
        times = rows["time"].to_physical().fill_null(0).to_numpy()
        starts[_gap_starts(times, np.flatnonzero(starts))] = True
    counted = rows.with_columns(pl.Series("event", starts.astype(np.uint32)))
    running = pl.col("event").cum_sum().over(SUBJECT) - 1
    return counted.with_columns(running.cast(pl.UInt32).alias("event"))


def _gap_starts(times: Index, run_starts: Index) -> Index:
    """Rows at which a run breaks because they are over 60 minutes later than their event's first.

    All runs that last longer advance together, from each event's first row to the first row that
    is too late: the loop turns as often as the longest run has events, on ever fewer runs.
    """
    run_ends = np.append(run_starts[1:], len(times))
    long = times[run_ends - 1] - times[run_starts] > EVENT_GAP_US
    first, lengths = run_starts[long], (run_ends - run_starts)[long]
    if not first.size:
        return np.asarray(first)
    # The rows of long runs only, one run after the other.
    ends = np.cumsum(lengths)
    at = np.arange(ends[-1]) + np.repeat(first - (ends - lengths), lengths)
    run_of = np.repeat(np.arange(len(first)), lengths)
    distinct, rank = np.unique(times[at], return_inverse=True)
    too_late = np.searchsorted(distinct, distinct + EVENT_GAP_US, side="right")
    # Within a run times never fall, so (run, rank of the time) is sorted throughout.
    key = rank + run_of * (len(distinct) + 1)
    found = []
    frontier = ends - lengths
    while frontier.size:
        goal = too_late[rank[frontier]] + run_of[frontier] * (len(distinct) + 1)
        following = np.searchsorted(key, goal, side="left")
        frontier = following[following < ends[run_of[frontier]]]
        found.append(frontier)
    return np.asarray(at[np.concatenate(found)])


def fill_ids(rows: pl.DataFrame, spans: pl.DataFrame, *, column: str) -> pl.DataFrame:
    """`rows` whose missing `column` (an encounter or stay) is that of the span around their time.

    `spans`: subject_id, start, end, `column`. Of several around a time the latest begun counts.
    """
    begun = (
        spans.drop_nulls().filter(pl.col("start") <= pl.col("end"))
        .sort(SUBJECT, "start", "end", column)
        .select(SUBJECT, "start", pl.col("end").alias("_end"), pl.col(column).alias("_in"))
    )  # fmt: skip
    lost = rows[column].is_null() & rows["time"].is_not_null()
    if begun.is_empty() or not lost.any():
        return rows
    places = pl.Series("place", np.flatnonzero(lost.to_numpy()))
    orphans = rows.filter(lost).select(SUBJECT, "time").with_columns(places).sort(SUBJECT, "time")
    found = _spans_around(orphans, begun)
    return rows.with_columns(rows[column].scatter(found["place"], found["_in"]).alias(column))


def _spans_around(orphans: pl.DataFrame, begun: pl.DataFrame) -> pl.DataFrame:
    """(place, _in) of the orphans that a span is around; `begun` is sorted by start.

    Where the span begun last has ended but an earlier one has not, one step back at a time.
    """
    steps = begun.with_columns(
        pl.int_range(pl.len()).over(SUBJECT).alias("_nth"),
        pl.col("_end").cum_max().over(SUBJECT).alias("_latest"),
    )
    last = orphans.join_asof(
        steps, left_on="time", right_on="start", by=SUBJECT, strategy="backward",
        check_sortedness=False,
    )  # fmt: skip
    found = []
    while not last.is_empty():
        found.append(last.filter(pl.col("time") <= pl.col("_end")).select("place", "_in"))
        back = last.filter(pl.col("time") > pl.col("_end"), pl.col("time") <= pl.col("_latest"))
        again = back.select(SUBJECT, "time", "place", pl.col("_nth") - 1)
        last = again.join(steps, on=[SUBJECT, "_nth"])
    return pl.concat(found)
