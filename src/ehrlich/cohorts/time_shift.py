"""The probe that a case knows no future: change everything after its prediction_time, build again.

Rows after it are moved 400 days on, dropped, or given other items and values; so are ends and late
values after it. A row that happened before it but was known only after it keeps its place in the
record (its place decides which rows form an event) and changes in all else. Then the case, its
context's bounds and every measurement that it may show must come out as before.

What is exempt: answers and labels; the case itself where its anchor is what is asked about
(decision tasks) or where its prediction_time hangs on an end that was changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import polars as pl

from ehrlich.charts.readers.order import in_order, number_events
from ehrlich.charts.timeline import FIELDS
from ehrlich.cohorts.build import cases_of, with_context
from ehrlich.cohorts.context import context_rows
from ehrlich.cohorts.scene import SUBJECT, Scene, Source
from ehrlich.cohorts.task import Task

Change = Literal["move", "drop", "alter"]
CHANGES: tuple[Change, ...] = ("move", "drop", "alter")
MOVED = pl.duration(days=400)
OTHER = "something else"
TIMES = ("time", "avail_time", "end_time")
BOUNDS = ("context_start", "context_first", "context_last", "context_events", "admission_event",
          "last_discharge_event")  # fmt: skip


class Shifted(NamedTuple):
    """How many cases were tried, and the case_ids that changed, by what changed of them."""

    tried: int
    lost: frozenset[str]
    other_bounds: frozenset[str]
    other_rows: frozenset[str]

    @property
    def changed(self) -> frozenset[str]:
        """Every case that some change of the future reached."""
        return self.lost | self.other_bounds | self.other_rows


def shift_probe(cases: pl.DataFrame, scene: Scene, *, task: Task) -> Shifted:
    """Try one case a subject: the first of `cases` (strict; of this task and scene)."""
    tried = cases.unique(SUBJECT, keep="first", maintain_order=True)
    own = tried.select(SUBJECT, _at="prediction_time")
    rows = scene.rows.join(own, on=SUBJECT, how="inner", maintain_order="left")
    before = context_rows(tried, rows.drop("_at"), task=task, source=scene.source)
    lost: set[str] = set()
    bounds: set[str] = set()
    shown: set[str] = set()
    for change in CHANGES:
        other = Scene(changed_after(rows, scene.source, change=change), scene.source)
        if task.kind == "risk" and change != "drop":
            lost.update(_lost(tried, other, task))
        bounds.update(_other_bounds(tried, other, task))
        after = context_rows(tried, other.rows, task=task, source=other.source)
        shown.update(_other_rows(before, after))
    return Shifted(tried.height, frozenset(lost), frozenset(bounds), frozenset(shown))


def changed_after(rows: pl.DataFrame, source: Source, *, change: Change) -> pl.DataFrame:
    """`rows` with what is after `_at` (a time a row) changed, in the contract's order again."""
    future, pending = pl.col("_future"), pl.col("_pending")
    marked = _marked(rows)
    if change == "drop":
        marked = marked.filter(~future)
    altered = pending | future if change == "alter" else pending
    found = pl.concat(
        [
            _altered(marked.filter(altered)),
            *_late_altered(marked.filter(~altered & pl.col("_late")), source),
            marked.filter(~altered & ~pl.col("_late")),
        ]
    )
    moved = future & (change == "move")
    found = found.with_columns(
        time=pl.when(moved).then(pl.col("time") + MOVED).otherwise("time"),
        avail_time=pl.when(pending | moved)
        .then(pl.col("avail_time") + MOVED)
        .otherwise("avail_time"),
        end_time=_other_end(change, pl.col("_unended") | future),
    )
    again = number_events(in_order(found.drop("event")), split_gaps=True)
    return again.select([name for name in rows.columns if name != "_at"])


def _marked(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with what each is to `_at`: future, pending (not yet known), unended, late."""
    at = pl.col("_at")
    after = {name: (pl.col(name) > at).fill_null(value=False) for name in TIMES}
    marked = rows.with_columns(
        _future=after["time"],
        _pending=~after["time"] & after["avail_time"],
        _unended=~after["time"] & after["end_time"],
    )
    # What has no end is never known to have ended.
    return marked.with_columns(
        _late=~pl.col("_future") & (pl.col("_unended") | pl.col("end_time").is_null())
    )


def _other_end(change: Change, later: pl.Expr) -> pl.Expr:
    end = pl.col("end_time")
    other = {
        "move": end + MOVED,
        "drop": pl.lit(None, dtype=pl.Datetime("us")),
        "alter": end + pl.duration(minutes=61),
    }[change]
    return pl.when(later).then(other).otherwise(end)


def _altered(rows: pl.DataFrame) -> pl.DataFrame:
    """Other texts and numbers, no fields; codes keep their beginning."""
    others = {name: pl.lit(OTHER) for name in ("item", "text_value", "unit", "flag")}
    found = rows.with_columns(pl.col("code") + "//OTHER", pl.col("numeric_value") + 1000, **others)
    if FIELDS not in rows.columns:
        return found
    return found.with_columns(pl.lit(None, dtype=pl.List(pl.String)).alias(FIELDS))


def _late_altered(rows: pl.DataFrame, source: Source) -> Iterator[pl.DataFrame]:
    """Other numbers and fields where a table calls them late; its other rows as they are."""
    lates = source.tables.filter(pl.col("late").list.len() > 0)
    yield rows.filter(~pl.col("table").is_in(lates["table"].implode()))
    for table, names, late in lates.select("table", FIELDS, "late").iter_rows():
        own = rows.filter(pl.col("table") == table)
        if "numeric_value" in late:
            own = own.with_columns(pl.col("numeric_value") + 1000)
        if FIELDS in rows.columns and set(names) & set(late):
            parts = [
                pl.lit(OTHER) if name in late else pl.col(FIELDS).list.get(place, null_on_oob=True)
                for place, name in enumerate(names)
            ]
            stated = pl.when(pl.col(FIELDS).is_not_null()).then(pl.concat_list(parts))
            own = own.with_columns(stated.alias(FIELDS))
        yield own


def _lost(tried: pl.DataFrame, other: Scene, task: Task) -> Iterator[str]:
    """Cases that do not come again, though neither their anchor nor their time was changed."""
    asked = tried
    rule = task.predict
    if rule is not None and rule.before_end:
        # Asked just before an end, and the end was changed.
        full = pl.col("context_start") + pl.duration(microseconds=int(rule.plus_h * 3.6e9))
        asked = tried.filter(pl.col("prediction_time") == full)
    again = cases_of(other, task).cases
    yield from asked.join(again, on=["case_id", "prediction_time"], how="anti")["case_id"]


def _other_bounds(tried: pl.DataFrame, other: Scene, task: Task) -> Iterator[str]:
    """Cases whose context at the same time would have other bounds."""
    context = task.under(other.source.policy).context
    keep = ["case_id", SUBJECT, "encounter_id", "prediction_time", "anchor_event"]
    own = ["context_start"] if context.since == "episode" else []
    again = with_context(tried.select(*keep, *own), other, task=task)
    same = tried.join(
        again.select("case_id", *BOUNDS), on=["case_id", *BOUNDS], how="semi", nulls_equal=True
    )
    yield from tried.join(same, on="case_id", how="anti")["case_id"]


def _other_rows(before: pl.DataFrame, after: pl.DataFrame) -> Iterator[str]:
    """Cases that show other measurements, or other values of them."""
    keys = ["case_id", "part", "row_id", "time", "table", "code", "item", "numeric_value",
            "text_value", "unit", "flag", "event", "end_time"]  # fmt: skip
    one, two = (_with_fields_as_text(frame, keys) for frame in (before, after))
    for left, right in ((one, two), (two, one)):
        yield from left.join(right, on=left.columns, how="anti", nulls_equal=True)["case_id"]


def _with_fields_as_text(frame: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    if FIELDS not in frame.columns:
        return frame.select(keys)
    text = pl.col(FIELDS).list.eval(pl.element().fill_null("\0")).list.join("\1")
    return frame.select(*keys, text.alias(FIELDS))
