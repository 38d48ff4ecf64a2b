"""The one rule of what can be seen: nothing that came after t can change what is seen at t."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from ehrlich.base.contracts import tables_schema
from ehrlich.charts.timeline import FIELDS, visible

Row = dict[str, Any]
START = datetime(2150, 1, 1)
TABLES = pl.DataFrame(
    {
        "table": ["labevents", "orders", "infusions"],
        "rank": [0, 1, 2],
        "heading": ["Laboratory", "Order", "Infusion"],
        "fields": [["priority"], ["status", "type"], ["rate", "status"]],
        "late": [[], ["status", "text_value"], ["numeric_value", "status"]],
    },
    schema=tables_schema(),
)
LATE = {row["table"]: row["late"] for row in TABLES.to_dicts()}
NAMES = {row["table"]: row["fields"] for row in TABLES.to_dicts()}
HOURS = st.integers(0, 12)
SHORT = st.none() | st.sampled_from(["x", "y", "z"])
SCHEMA: dict[str, Any] = {
    "time": pl.Datetime("us"), "avail_time": pl.Datetime("us"), "end_time": pl.Datetime("us"),
    "table": pl.String, "numeric_value": pl.Float32, "text_value": pl.String,
    FIELDS: pl.List(pl.String),
}  # fmt: skip


@st.composite
def measurements(draw: st.DrawFn) -> Row:
    table = draw(st.sampled_from(sorted(LATE)))
    count = len(NAMES[table])
    return {
        "time": draw(st.none() | HOURS),
        "avail_time": draw(st.none() | HOURS),
        "end_time": draw(st.none() | HOURS),
        "table": table,
        "numeric_value": draw(st.none() | st.sampled_from([1.0, 2.0, 3.0])),
        "text_value": draw(SHORT),
        FIELDS: draw(st.none() | st.lists(SHORT, min_size=count, max_size=count)),
    }


def frame(rows: list[Row]) -> pl.DataFrame:
    def at(hours: int | None) -> datetime | None:
        return None if hours is None else START + timedelta(hours=hours)

    clock = ("time", "avail_time", "end_time")
    return pl.DataFrame(
        [row | {name: at(row[name]) for name in clock} for row in rows], schema=SCHEMA, orient="row"
    )


def known(row: Row, t: int) -> bool:
    return all(row[name] is None or row[name] <= t for name in ("time", "avail_time"))


def ended(row: Row, t: int) -> bool:
    return row["end_time"] is not None and row["end_time"] <= t


@st.composite
def rewritten(draw: st.DrawFn, row: Row, t: int) -> Row:
    """A visible row with all that became true after t altered: its end, and its late values."""
    if ended(row, t):
        return row
    late = LATE[row["table"]]
    altered = row | {"end_time": draw(st.none() | st.integers(t + 1, 24))}
    for name, values in (("numeric_value", st.none() | st.just(9.0)), ("text_value", SHORT)):
        if name in late:
            altered[name] = draw(values)
    if row[FIELDS] is not None:
        altered[FIELDS] = [
            draw(SHORT) if name in late else value
            for name, value in zip(NAMES[row["table"]], row[FIELDS], strict=True)
        ]
    return altered


@st.composite
def hidden(draw: st.DrawFn, t: int) -> Row:
    """A row that nobody could have seen at t."""
    row: Row = draw(measurements())
    late = draw(st.sampled_from(["time", "avail_time"]))
    return row | {late: draw(st.integers(t + 1, 24))}


@given(rows=st.lists(measurements(), max_size=8), t=st.integers(0, 12), data=st.data())
@settings(max_examples=300)
def test_what_comes_after_t_changes_nothing_that_is_seen_at_t(
    rows: list[Row], t: int, data: st.DataObject
) -> None:
    seen = visible(frame(rows), START + timedelta(hours=t), tables=TABLES)
    future: list[Row] = []
    for row in rows:
        future += data.draw(st.lists(hidden(t), max_size=2))
        if known(row, t):
            future.append(data.draw(rewritten(row, t)))
    assert visible(frame(future), START + timedelta(hours=t), tables=TABLES).equals(seen)


@given(rows=st.lists(measurements(), max_size=8), t=st.integers(0, 12))
@settings(max_examples=200)
def test_all_that_was_true_at_t_is_seen_as_it_was(rows: list[Row], t: int) -> None:
    seen = visible(frame(rows), START + timedelta(hours=t), tables=TABLES)
    expected = []
    for row in (row for row in rows if known(row, t)):
        shown = dict(row)
        if not ended(row, t):
            late = LATE[row["table"]]
            shown |= {"end_time": None} | {
                name: None for name in ("numeric_value", "text_value") if name in late
            }
            if row[FIELDS] is not None:
                shown[FIELDS] = [
                    None if name in late else value
                    for name, value in zip(NAMES[row["table"]], row[FIELDS], strict=True)
                ]
        expected.append(shown)
    assert seen.to_dicts() == frame(expected).to_dicts()


@given(
    rows=st.lists(measurements(), max_size=8), t=st.integers(0, 12),
    shift=st.timedeltas(timedelta(days=-70_000), timedelta(days=70_000)),
)  # fmt: skip
@settings(max_examples=200)
def test_shifting_all_times_shifts_nothing_else(rows: list[Row], t: int, shift: timedelta) -> None:
    clock = [pl.col(name) for name in ("time", "avail_time", "end_time")]
    by = pl.lit(shift, dtype=pl.Duration("us"))
    now = START + timedelta(hours=t)
    seen = visible(frame(rows), now, tables=TABLES)
    shifted = visible(frame(rows).with_columns(c + by for c in clock), now + shift, tables=TABLES)
    assert shifted.with_columns(c - by for c in clock).equals(seen)


@given(rows=st.lists(measurements(), min_size=1, max_size=8), data=st.data())
@settings(max_examples=150)
def test_a_time_a_row_is_the_same_as_each_row_at_its_own_time(
    rows: list[Row], data: st.DataObject
) -> None:
    hours = data.draw(st.lists(HOURS, min_size=len(rows), max_size=len(rows)))
    asked = frame(rows).with_columns(
        pl.Series("asked", [START + timedelta(hours=t) for t in hours], dtype=pl.Datetime("us"))
    )
    together = visible(asked, pl.col("asked"), tables=TABLES).drop("asked")
    apart = pl.concat(
        visible(frame([row]), START + timedelta(hours=t), tables=TABLES)
        for row, t in zip(rows, hours, strict=True)
    )
    assert together.equals(apart)
