"""Which events a case's context holds. Counted for all cases at once, by sorted times.

An event is in view at p from the moment it could first be seen until it leaves the window:
over [visible_from, start + hours). How many such intervals hold p is a difference of two ranks,
so no case is ever laid against an event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

Index = npt.NDArray[np.int64]
FOREVER = np.iinfo(np.int64).max // 4
HOUR_US = 3_600_000_000


def microseconds(times: pl.Series) -> Index:
    """Times as integers; null = the distant past."""
    return times.cast(pl.Datetime("us")).to_physical().fill_null(-FOREVER).to_numpy()


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows of two frames that share the same keys, numbered alike (null equals null)."""

    left: Index
    right: Index

    @classmethod
    def of(cls, left: pl.DataFrame, right: pl.DataFrame, *, keys: list[str]) -> Groups:
        """Numbers of the keys; on the right -1 for keys that the left lacks."""
        numbered = left.select(keys).unique(maintain_order=True).with_row_index("_group")
        found = (
            frame.select(keys)
            .join(numbered, on=keys, how="left", nulls_equal=True, maintain_order="left")["_group"]
            .cast(pl.Int64)
            .fill_null(-1)
            .to_numpy()
            for frame in (left, right)
        )
        return cls(*found)


class Ranks:
    """Counts of values at most as large as a query, within groups: two binary searches each."""

    def __init__(self, groups: Index, values: Index) -> None:
        self._distinct = np.unique(values)
        self._width = len(self._distinct) + 1
        key = groups * self._width + np.searchsorted(self._distinct, values)
        self.order = np.argsort(key, kind="stable")
        self._keys = key[self.order]

    def up_to(self, groups: Index, values: Index) -> Index:
        """How many of the group's values are <= the query; the place after the last of them."""
        return self.place(groups, values) - self.begin(groups)

    def begin(self, groups: Index) -> Index:
        """Where the group begins in `order`."""
        return np.asarray(np.searchsorted(self._keys, groups * self._width, side="left"))

    def place(self, groups: Index, values: Index) -> Index:
        """The place in `order` after the group's last value that is <= the query."""
        rank = np.searchsorted(self._distinct, values, side="right")
        return np.asarray(np.searchsorted(self._keys, groups * self._width + rank, side="left"))


def in_view(groups: Groups, *, on: Index, off: Index, at: Index) -> Index:
    """For each right row how many left intervals [on, off) of its group hold `at`."""
    real = on < off
    begun = Ranks(groups.left[real], on[real])
    ended = Ranks(groups.left[real], off[real])
    return begun.up_to(groups.right, at) - ended.up_to(groups.right, at)


class EventIndex:
    """Events that a context may show, sorted once for every task that shows the same.

    `events`: of `events_of`; those without a start are left out. `order` sorts them by group (the
    subject, or with `same_encounter` its encounter) and start.
    """

    def __init__(self, events: pl.DataFrame, *, same_encounter: bool) -> None:
        events = events.drop_nulls("start")
        self._keys = ["subject_id", "encounter_id"] if same_encounter else ["subject_id"]
        self._numbered = events.select(self._keys).unique(maintain_order=True)
        self._groups = Groups.of(self._numbered, events, keys=self._keys).right
        self._start = microseconds(events["start"])
        self._visible_from = microseconds(events["visible_from"])
        self._views: dict[float | None, tuple[Ranks, Ranks]] = {}
        self.places = Ranks(self._groups, self._start)
        self.order = self.places.order
        self.numbers = events["event"].to_numpy()[self.order]
        self.visible_from = self._visible_from[self.order]

    def groups_of(self, cases: pl.DataFrame) -> Index:
        """The group of each case; -1 for one without events."""
        return Groups.of(self._numbered, cases, keys=self._keys).right

    def seen(self, groups: Index, at: Index, *, hours: float | None) -> Index:
        """How many of the group's events that began within `hours` before `at` could be seen."""
        if hours not in self._views:
            off = np.minimum(self._start + _width(hours), FOREVER)
            real = self._visible_from < off
            self._views[hours] = (
                Ranks(self._groups[real], self._visible_from[real]),
                Ranks(self._groups[real], off[real]),
            )
        begun, ended = self._views[hours]
        return begun.up_to(groups, at) - ended.up_to(groups, at)


def context_of(cases: pl.DataFrame, index: EventIndex, *, hours: float | None) -> pl.DataFrame:
    """`cases` with context_events, context_first, context_last, context_start.

    `cases`: subject_id, encounter_id, prediction_time, and context_start where the context begins
    with each case's own time (else it is worked out from `hours`; null: from the beginning). The
    window is (prediction_time - hours, prediction_time].
    """
    at = microseconds(cases["prediction_time"])
    window = window_of(cases, index, hours=hours)
    first, after = window.first, window.after
    if "context_start" in cases.columns:
        seen = _seen_between(first, after, index.visible_from, at)
    else:
        seen = index.seen(window.groups, at, hours=hours)
    held = after > first
    numbers = index.numbers
    pick = (
        numbers[np.where(held, place, 0)] if len(numbers) else np.zeros(len(at))
        for place in (first, after - 1)
    )
    low, high = (
        pl.Series(values.astype(np.uint32)).scatter(np.flatnonzero(~held), None) for values in pick
    )
    begin = pl.Series(window.since).cast(pl.Datetime("us"))
    return cases.with_columns(
        pl.Series("context_events", np.where(held, seen, 0), dtype=pl.Int64),
        low.alias("context_first"), high.alias("context_last"),
        begin.scatter(np.flatnonzero(window.since <= -FOREVER // 2), None).alias("context_start"),
    )  # fmt: skip


class Window(NamedTuple):
    """Of each case its group and the places [first, after) in the index's order."""

    groups: Index
    first: Index
    after: Index
    since: Index


def window_of(cases: pl.DataFrame, index: EventIndex, *, hours: float | None) -> Window:
    """The events that begin in each case's window, known by then or not.

    As for `context_of`; with an own context_start the window holds that moment, and one of
    `hours` does not hold its far end.
    """
    groups = index.groups_of(cases)
    at = microseconds(cases["prediction_time"])
    own_start = "context_start" in cases.columns
    since = microseconds(cases["context_start"]) if own_start else at - _width(hours)
    first = index.places.place(groups, since - (1 if own_start else 0))
    return Window(groups, first, index.places.place(groups, at), since)


def spread(first: Index, after: Index) -> tuple[Index, Index]:
    """(which range, number) for every number of every range [first, after)."""
    lengths = np.maximum(after - first, 0)
    owner = np.repeat(np.arange(len(first)), lengths)
    offset = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return owner, first[owner] + offset


def _width(hours: float | None) -> int:
    return FOREVER if hours is None else int(hours * HOUR_US)


def _seen_between(first: Index, after: Index, visible_from: Index, at: Index) -> Index:
    """How many of the places first..after-1 could be seen at `at`; lays out each place once."""
    case, place = spread(first, after)
    seen = visible_from[place] <= at[case]
    return np.bincount(case, weights=seen, minlength=len(first)).astype(np.int64)


def back_from_anchor(
    cases: pl.DataFrame, events: pl.DataFrame, *, hours: float, through_anchor: bool = False
) -> pl.DataFrame:
    """Compat: from the first event within `hours` of the anchor and of its encounter, up to it.

    The released code's rule: all events in between count, whatever their encounter; null equals
    null; none in the window means no case (context_events 0). `through_anchor`: the anchor (a
    discharge summary) is shown too.
    """
    events = events.drop_nulls("start")
    groups = Groups.of(events, cases, keys=["subject_id", "encounter_id"])
    at = microseconds(cases["prediction_time"])
    places = Ranks(groups.left, microseconds(events["start"]))
    first = places.place(groups.right, at - _width(hours))
    numbers = events["event"].to_numpy()[places.order].astype(np.int64)
    anchor = cases["anchor_event"].to_numpy().astype(np.int64)
    inside = first < places.begin(groups.right + 1)
    begin = numbers[np.where(inside, first, 0)] if len(numbers) else np.zeros(len(at), np.int64)
    held = inside & (begin < anchor)
    return _with_range(cases, begin, anchor if through_anchor else anchor - 1, held)


def forward_from_anchor(
    cases: pl.DataFrame, events: pl.DataFrame, *, before: pl.Series, same_encounter: bool
) -> pl.DataFrame:
    """Compat: from the anchor event to the last one (of its encounter) that starts `before`."""
    keys = ["subject_id", "encounter_id"] if same_encounter else ["subject_id"]
    events = events.drop_nulls("start")
    groups = Groups.of(events, cases, keys=keys)
    places = Ranks(groups.left, microseconds(events["start"]))
    after = places.place(groups.right, microseconds(before) - 1)
    numbers = events["event"].to_numpy()[places.order].astype(np.int64)
    begun = after > places.begin(groups.right)
    last = numbers[np.where(begun, after - 1, 0)]
    anchor = cases["anchor_event"].to_numpy().astype(np.int64)
    return _with_range(cases, anchor, last, begun & (last >= anchor))


def _with_range(
    cases: pl.DataFrame, first: Index, last: Index, held: npt.NDArray[np.bool_]
) -> pl.DataFrame:
    nothing = np.flatnonzero(~held)
    return cases.with_columns(
        pl.Series("context_events", np.where(held, last - first + 1, 0), dtype=pl.Int64),
        pl.Series("context_first", first).clip(0).cast(pl.UInt32).scatter(nothing, None),
        pl.Series("context_last", last).clip(0).cast(pl.UInt32).scatter(nothing, None),
        pl.lit(None, dtype=pl.Datetime("us")).alias("context_start"),
    )
