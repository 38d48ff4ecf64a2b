"""Contexts counted by sorted times equal contexts counted one by one."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from ehrlich.cohorts.windows import (
    EventIndex,
    back_from_anchor,
    context_of,
    forward_from_anchor,
)

START = datetime(2150, 1, 1)
minutes = st.integers(0, 60 * 60)
events_lists = st.lists(
    st.tuples(
        st.integers(1, 2),  # subject
        st.sampled_from([None, 10, 11]),  # encounter
        minutes,  # start
        st.sampled_from([0, 0, 1, 90, 3000]),  # minutes until it could be seen
    ),
    max_size=25,
)
cases_lists = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from([None, 10, 11]), minutes), max_size=8
)
Event = tuple[int, int | None, int, int]
Case = tuple[int, int | None, int]


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def events_frame(events: list[Event]) -> pl.DataFrame:
    ordered = sorted(events, key=lambda event: (event[0], event[2]))
    numbers: list[int] = []
    for place, event in enumerate(ordered):
        same = place and ordered[place - 1][0] == event[0]
        numbers.append(numbers[-1] + 1 if same else 0)
    return pl.DataFrame(
        {
            "subject_id": [event[0] for event in ordered],
            "encounter_id": [event[1] for event in ordered],
            "event": numbers,
            "start": [at(event[2]) for event in ordered],
            "visible_from": [at(event[2] + event[3]) for event in ordered],
        },
        schema_overrides={
            "subject_id": pl.Int64, "encounter_id": pl.Int64, "event": pl.UInt32,
            "start": pl.Datetime("us"), "visible_from": pl.Datetime("us"),
        },
    )  # fmt: skip


def cases_frame(cases: list[Case]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "subject_id": [case[0] for case in cases],
            "encounter_id": [case[1] for case in cases],
            "prediction_time": [at(case[2]) for case in cases],
        },
        schema_overrides={
            "subject_id": pl.Int64, "encounter_id": pl.Int64, "prediction_time": pl.Datetime("us"),
        },
    )  # fmt: skip


def of_group(
    events: pl.DataFrame, case: dict[str, object], same_encounter: bool
) -> list[dict[str, object]]:
    keys = ["subject_id", "encounter_id"] if same_encounter else ["subject_id"]
    return [row for row in events.to_dicts() if all(row[key] == case[key] for key in keys)]


@settings(max_examples=200)
@given(events_lists, cases_lists, st.sampled_from([1.0, 24.0, None]), st.booleans())
def test_a_window_holds_what_a_plain_count_holds(
    events: list[Event], cases: list[Case], hours: float | None, same_encounter: bool
) -> None:
    shown, asked = events_frame(events), cases_frame(cases)
    found = context_of(asked, EventIndex(shown, same_encounter=same_encounter), hours=hours)
    for case in found.to_dicts():
        time = case["prediction_time"]
        since = datetime.min if hours is None else time - timedelta(hours=hours)
        group = of_group(shown, case, same_encounter)
        inside = [row for row in group if since < row["start"] <= time]  # type: ignore[operator]
        seen = [row for row in inside if row["visible_from"] <= time]
        assert case["context_events"] == len(seen)
        numbers = [row["event"] for row in inside]
        assert case["context_first"] == (min(numbers) if numbers else None)  # type: ignore[type-var]
        assert case["context_last"] == (max(numbers) if numbers else None)  # type: ignore[type-var]


@settings(max_examples=150)
@given(events_lists, cases_lists, st.integers(0, 600))
def test_a_context_since_an_episode_began_holds_its_first_moment(
    events: list[Event], cases: list[Case], before: int
) -> None:
    shown = events_frame(events)
    began = pl.col("prediction_time") - pl.duration(minutes=before)
    asked = cases_frame(cases).with_columns(context_start=began)
    found = context_of(asked, EventIndex(shown, same_encounter=False), hours=None)
    for case in found.to_dicts():
        time = case["prediction_time"]
        group = of_group(shown, case, False)
        inside = [row for row in group if time - timedelta(minutes=before) <= row["start"] <= time]
        assert case["context_events"] == sum(row["visible_from"] <= time for row in inside)


@settings(max_examples=150)
@given(events_lists)
def test_the_compat_context_reaches_from_its_first_event_to_the_anchor(events: list[Event]) -> None:
    shown = events_frame(events)
    asked = shown.select(
        "subject_id", "encounter_id", anchor_event="event", prediction_time="start"
    )
    found = back_from_anchor(asked, shown, hours=24)
    for case in found.to_dicts():
        group = of_group(shown, case, True)
        since = case["prediction_time"] - timedelta(hours=24)
        begins = [
            row["event"] for row in group
            if row["start"] > since and row["event"] < case["anchor_event"]
        ]  # fmt: skip
        first = min(begins) if begins else None  # type: ignore[type-var]
        assert case["context_first"] == first
        expected = 0 if first is None else case["anchor_event"] - first
        assert case["context_events"] == expected


@settings(max_examples=100)
@given(events_lists)
def test_the_compat_context_goes_forward_to_the_last_event_before_its_end(
    events: list[Event],
) -> None:
    shown = events_frame(events)
    asked = shown.select(
        "subject_id", "encounter_id", anchor_event="event", prediction_time="start"
    )
    before = asked["prediction_time"] + timedelta(hours=24)
    found = forward_from_anchor(asked, shown, before=before, same_encounter=True)
    for case, end in zip(found.to_dicts(), before, strict=True):
        group = of_group(shown, case, True)
        last = max(int(row["event"]) for row in group if row["start"] < end)  # type: ignore[call-overload]
        assert (case["context_first"], case["context_last"]) == (case["anchor_event"], last)


def test_no_events_give_empty_contexts() -> None:
    found = context_of(
        cases_frame([(1, None, 5)]), EventIndex(events_frame([]), same_encounter=True), hours=24
    )
    assert found["context_events"].to_list() == [0]
    assert found["context_first"].to_list() == [None]
    assert np.array_equal(
        found["prediction_time"].to_numpy(),
        cases_frame([(1, None, 5)])["prediction_time"].to_numpy(),
    )
