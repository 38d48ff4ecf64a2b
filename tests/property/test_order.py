"""Order, events and encounters against plain Python that says the rule in the fewest words."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from ehrlich.charts.readers.order import after_stay, fill_ids, in_order, number_events

START = datetime(1970, 1, 1)  # so that some times are negative numbers
MINUTES = st.integers(-300, 300)
ROW = st.fixed_dictionaries(
    {
        "subject_id": st.integers(1, 3),
        "time": st.none() | MINUTES,
        "table": st.sampled_from("abc"),
        "encounter_id": st.none() | st.integers(1, 2),
        "stay_id": st.none() | st.integers(1, 2),
    }
)
SCHEMA: dict[str, Any] = {
    "subject_id": pl.Int64, "time": pl.Datetime("us"), "table": pl.String,
    "encounter_id": pl.Int64, "stay_id": pl.Int64, "row_id": pl.Int64,
}  # fmt: skip
Row = dict[str, Any]


def at(minutes: int | None) -> datetime | None:
    return None if minutes is None else START + timedelta(minutes=minutes)


def frame(rows: list[Row]) -> pl.DataFrame:
    """Row ids in another order than the rows."""
    made = [row | {"time": at(row["time"]), "row_id": (i * 7) % 1009} for i, row in enumerate(rows)]
    return pl.DataFrame(made, schema=SCHEMA, orient="row")


def ordered(rows: list[Row]) -> list[Row]:
    return sorted(
        frame(rows).to_dicts(),
        key=lambda row: (
            row["subject_id"], row["time"] is not None, row["time"] or START, row["row_id"],
        ),
    )  # fmt: skip


def numbered(rows: list[Row], split_gaps: bool) -> list[int]:
    """The rule of an event, row by row."""
    events: list[int] = []
    first: Row | None = None
    for row in rows:
        if first is None or row["subject_id"] != first["subject_id"]:
            events.append(0)
        elif opens(row, first, split_gaps):
            events.append(events[-1] + 1)
        else:
            events.append(events[-1])
            continue
        first = row
    return events


def opens(row: Row, first: Row, split_gaps: bool) -> bool:
    if row["table"] != first["table"]:
        return True
    if not split_gaps:
        return False
    if any(row[name] != first[name] for name in ("encounter_id", "stay_id")):
        return True
    if row["time"] is None or first["time"] is None:
        return row["time"] is not first["time"]
    return bool(row["time"] - first["time"] > timedelta(minutes=60))


@given(rows=st.lists(ROW, max_size=25), split_gaps=st.booleans())
@settings(max_examples=200)
def test_rows_are_in_order_and_events_follow_the_rule(rows: list[Row], split_gaps: bool) -> None:
    found = number_events(in_order(frame(rows)), split_gaps=split_gaps)
    expected = ordered(rows)
    assert found.drop("event").to_dicts() == expected
    assert found["event"].to_list() == numbered(expected, split_gaps)
    assert found.schema["event"] == pl.UInt32


SPAN = st.fixed_dictionaries(
    {"subject_id": st.integers(1, 3), "start": st.none() | MINUTES, "end": st.none() | MINUTES}
)


@given(rows=st.lists(ROW, max_size=20), spans=st.lists(SPAN, max_size=8))
@settings(max_examples=200)
def test_a_missing_encounter_is_that_of_the_span_around_the_time(
    rows: list[Row], spans: list[Row]
) -> None:
    held = [
        {"subject_id": span["subject_id"], "start": at(span["start"]), "end": at(span["end"]),
         "encounter_id": 100 + number}
        for number, span in enumerate(spans)
    ]  # fmt: skip
    schema: dict[str, Any] = {
        "subject_id": pl.Int64, "start": pl.Datetime("us"), "end": pl.Datetime("us"),
        "encounter_id": pl.Int64,
    }  # fmt: skip
    before = in_order(frame(rows))
    after = fill_ids(before, pl.DataFrame(held, schema=schema, orient="row"), column="encounter_id")
    assert after.drop("encounter_id").equals(before.drop("encounter_id"))
    for row, filled in zip(before.to_dicts(), after["encounter_id"], strict=True):
        around = [
            span for span in held
            if span["start"] is not None and span["end"] is not None and row["time"] is not None
            and span["subject_id"] == row["subject_id"]
            and span["start"] <= row["time"] <= span["end"]
        ]  # fmt: skip
        if row["encounter_id"] is not None or not around:
            assert filled == row["encounter_id"]
            continue
        latest = max(span["start"] for span in around)
        assert filled in [span["encounter_id"] for span in around if span["start"] == latest]


@given(rows=st.lists(ROW, max_size=15), late=st.lists(ROW, max_size=6))
@settings(max_examples=100)
def test_untimed_rows_stand_after_the_last_row_of_their_encounter(
    rows: list[Row], late: list[Row]
) -> None:
    before = in_order(frame([row for row in rows if row["time"] is not None]))
    untimed = frame(late).with_columns(
        pl.lit(None, dtype=pl.Datetime("us")).alias("time"), pl.col("row_id") + 10_000
    )
    after, lost = after_stay(before, untimed)
    expected = before.to_dicts()
    orphans = 0
    # From behind, so that the first of several stands first.
    for row in reversed(untimed.sort("row_id").to_dicts()):
        key = (row["subject_id"], row["encounter_id"])
        places = [
            place for place, other in enumerate(before.to_dicts())
            if key[1] is not None and (other["subject_id"], other["encounter_id"]) == key
        ]  # fmt: skip
        if not places:
            orphans += 1
            continue
        last = before.row(places[-1], named=True)
        place = next(i for i, other in enumerate(expected) if other["row_id"] == last["row_id"])
        expected.insert(place + 1, row | {"time": last["time"]})
    assert after.to_dicts() == expected
    assert lost == orphans
    assert after["time"].to_list() == [row["time"] for row in in_order(after).to_dicts()]
