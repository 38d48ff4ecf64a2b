"""Order and events on rows that can be followed by eye; tests/property holds them to the rule."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest

from ehrlich.charts.readers import order
from ehrlich.charts.readers.order import after_stay, fill_ids, in_order, number_events

START = datetime(2150, 1, 1)
SCHEMA: dict[str, Any] = {
    "subject_id": pl.Int64, "time": pl.Datetime("us"), "table": pl.String,
    "encounter_id": pl.Int64, "stay_id": pl.Int64, "row_id": pl.Int64,
}  # fmt: skip
Row = tuple[int, float | None, str, int | None, int | None]


def frame(*rows: Row, first_id: int = 0) -> pl.DataFrame:
    """subject, minutes, table, encounter, stay; row ids as they stand."""
    return pl.DataFrame(
        [
            (subject, None if m is None else START + timedelta(minutes=m), *rest, first_id + place)
            for place, (subject, m, *rest) in enumerate(rows)
        ],
        schema=SCHEMA, orient="row",
    )  # fmt: skip


def events(*rows: Row, split_gaps: bool = True) -> list[int]:
    return number_events(frame(*rows), split_gaps=split_gaps)["event"].to_list()


def lab(*minutes: float | None) -> list[Row]:
    return [(1, minute, "labs", 1, None) for minute in minutes]


def test_an_event_lasts_an_hour_from_its_first_row() -> None:
    assert events(*lab(0, 30, 60)) == [0, 0, 0]
    assert events(*lab(0, 30, 60.01)) == [0, 0, 1]
    assert events(*lab(0, 50, 100, 150, 200)) == [0, 0, 1, 1, 2]
    assert events(*lab(0, 50, 100, 150, 200), split_gaps=False) == [0] * 5


def test_static_rows_are_an_event_apart_before_and_after_1970() -> None:
    for shift in (-(10**8), 0, 10**6):
        assert events(*lab(None, None, shift, shift + 1)) == [0, 0, 1, 1]


@pytest.mark.parametrize("place", [2, 3, 4])
def test_another_table_encounter_or_stay_is_another_event_in_strict(place: int) -> None:
    first: Row = (1, 0, "labs", 1, 1)
    for other in ("other", 7, None)[: 1 if place == 2 else 3][place > 2 :]:
        second = list(first)
        second[place] = other
        rows = [first, tuple(second), first]
        assert events(*rows) == [0, 1, 2]  # type: ignore[arg-type]
        assert events(*rows, split_gaps=False) == ([0, 1, 2] if place == 2 else [0] * 3)  # type: ignore[arg-type]


def test_numbers_begin_anew_with_a_subject() -> None:
    rows: list[Row] = [(1, 0, "labs", 1, None), (2, 0, "labs", 1, None), (2, 90, "labs", 1, None)]
    assert events(*rows) == [0, 0, 1]


@pytest.mark.parametrize("split_gaps", [True, False])
def test_no_rows_have_no_events(split_gaps: bool) -> None:
    found = number_events(in_order(frame()), split_gaps=split_gaps)
    assert found.is_empty()
    assert found.schema["event"] == pl.UInt32


@pytest.mark.parametrize("micro", [0, 1])
def test_order_is_subject_static_time_row(micro: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = frame(
        (2, 5, "a", None, None), (1, 5, "b", None, None), (1, None, "c", None, None),
        (1, 5, "a", None, None), (1, -9e7, "d", None, None), (2, None, "e", None, None),
        (1, None, "f", None, None),
    ).with_columns(pl.col("time") + pl.duration(microseconds=micro))  # fmt: skip
    shuffled = rows[[6, 1, 4, 0, 5, 2, 3]]
    expected = ["c", "f", "d", "b", "a", "e", "a"]
    assert in_order(shuffled)["table"].to_list() == expected
    monkeypatch.setattr(order, "_subject_time_key", lambda _: None)
    assert in_order(shuffled)["table"].to_list() == expected


def test_untimed_rows_follow_their_encounter_and_orphans_are_counted() -> None:
    rows = frame((1, 0, "labs", 1, None), (1, 9, "labs", 2, None), (1, 20, "labs", 1, None),
                 (1, 30, "labs", None, None))  # fmt: skip
    late = frame((1, None, "icd", 2, None), (1, None, "icd", 1, None), (1, None, "icd", 3, None),
                 (1, None, "icd", None, None), (2, None, "icd", 1, None), first_id=100)  # fmt: skip
    found, lost = after_stay(rows, late)
    assert found["row_id"].to_list() == [0, 1, 100, 2, 101, 3]
    assert found["time"].to_list()[2] == START + timedelta(minutes=9)
    assert lost == 3


def spans(*rows: tuple[int, float | None, float | None, int]) -> pl.DataFrame:
    made = [
        (subject, *(None if m is None else START + timedelta(minutes=m) for m in (a, b)), name)
        for subject, a, b, name in rows
    ]
    schema = {"subject_id": pl.Int64, "start": SCHEMA["time"], "end": SCHEMA["time"], "stay_id": pl.Int64}  # noqa: E501 # fmt: skip
    return pl.DataFrame(made, schema=schema, orient="row")


def filled(held: pl.DataFrame, *minutes: float | None) -> list[int | None]:
    return fill_ids(frame(*lab(*minutes)), held, column="stay_id")["stay_id"].to_list()


def test_a_span_holds_both_its_ends() -> None:
    assert filled(spans((1, 10, 20, 7)), None, 9.99, 10, 15, 20, 20.01) == [
        None, None, 7, 7, 7, None,
    ]  # fmt: skip


def test_of_spans_around_a_time_the_latest_begun_counts_even_when_inner_ones_have_ended() -> None:
    held = spans((1, 0, 100, 1), (1, 10, 50, 2), (1, 20, 30, 3), (1, 60, 61, 4), (1, 10, 12, 5))
    assert filled(held, 5, 11, 15, 25, 40, 60.5, 80, 100.5) == [1, 2, 2, 3, 2, 4, 1, None]


def test_broken_spans_and_other_subjects_fill_nothing() -> None:
    held = spans((1, 20, 10, 1), (1, None, 50, 2), (1, 0, None, 3), (2, 0, 50, 4))
    assert filled(held, 5, 15) == [None, None]


def test_an_id_that_is_there_stays() -> None:
    rows = frame((1, 15, "labs", 1, 99), (1, 16, "labs", 1, None))
    assert fill_ids(rows, spans((1, 10, 20, 7)), column="stay_id")["stay_id"].to_list() == [99, 7]
