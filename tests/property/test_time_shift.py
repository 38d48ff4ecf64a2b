"""Whatever comes after prediction_time: a strict case and what it shows are the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mini_charts import DAY, HOUR, Row, ed, icu, measurements, row, source, stay, tasks

from ehrlich.cohorts.build import cases_of
from ehrlich.cohorts.context import context_rows
from ehrlich.cohorts.scene import SUBJECT, Scene
from ehrlich.cohorts.task import Task
from ehrlich.cohorts.time_shift import CHANGES, changed_after, shift_probe

TABLES = ("labevents", "poe", "emar", "microbiologyevents", "transfers", "services", "omr",
          "prescriptions", "pharmacy", "procedureevents", "inputevents", "outputevents",
          "chartevents", "datetimeevents", "ingredientevents", "radiology", "diagnoses_icd",
          "procedures_icd", "diagnosis", "medrecon", "pyxis", "discharge")  # fmt: skip
FIELDS = {"pharmacy": ["Aspirin", "Unit Dose", "Discontinued", "PO", "Q4H", None, "1"],
          "poe": ["Lab", None, "New", "Inactive", None],
          "procedureevents": ["1390", "arm", None, "FinishedRunning"],
          "medrecon": ["Aspirin", None, None, None, "analgesics"],
          "prescriptions": ["Aspirin", "analgesics", *[None] * 9],
          "diagnosis": ["Pain", "Other", "R52", "10", "1"],
          "diagnoses_icd": ["Pain", "Other", None, "R52", "10", "1"],
          "procedures_icd": ["Biopsy", "Other", "0B", "10", "1"]}  # fmt: skip
minutes = st.integers(0, 12 * DAY)


@st.composite
def any_row(draw: st.DrawFn) -> Row:
    table, minute = draw(st.sampled_from(TABLES)), draw(minutes)
    known = draw(st.sampled_from([None, 0, 1, 90, 3 * DAY]))
    lasts = draw(st.sampled_from([None, 0, 30, DAY]))
    more: dict[str, Any] = {"fields": FIELDS[table]} if table in FIELDS else {}
    return row(
        table, minute, draw(st.sampled_from(["Sodium", "Glucose", "DS", None])),
        known=None if known is None else minute + known,
        end=None if lasts is None else minute + lasts,
        encounter_id=draw(st.sampled_from([7, 7, 8, None])), numeric_value=float(minute % 7),
        text_value=draw(st.sampled_from([None, "text"])), **more,
    )  # fmt: skip


@st.composite
def chart(draw: st.DrawFn) -> list[Row]:
    first, second = draw(st.integers(6 * HOUR, 4 * DAY)), draw(st.integers(DAY, 5 * DAY))
    back = first + second
    rows = [row("patients", None), *stay(7, 2 * HOUR, 2 * HOUR + first)]
    rows += [*stay(8, back, back + 2 * DAY), *ed(1, 0, draw(st.integers(30, 9 * HOUR)), 7)]
    rows += ed(2, back - 300, back - 10, draw(st.sampled_from([8, None])))
    rows += icu(7, 70, 3 * HOUR, 3 * HOUR + draw(st.integers(60, 3 * DAY)))
    rows += [row("deaths", draw(minutes))] if draw(st.booleans()) else []
    return rows + draw(st.lists(any_row(), max_size=30))


@pytest.mark.parametrize("name", sorted(tasks()))
@settings(max_examples=12)
@given(chart())
def test_no_case_knows_its_future(name: str, rows: list[Row]) -> None:
    task = tasks()[name]
    scene = Scene(measurements(rows), source())
    cases = cases_of(scene, task).cases
    for place in range(min(cases.height, 6)):
        found = shift_probe(cases[place], scene, task=task)
        assert not found.changed, found


@settings(max_examples=60)
@given(chart(), minutes, st.sampled_from(CHANGES))
def test_the_change_leaves_the_past_and_touches_all_the_rest(
    rows: list[Row], minute: int, change: Any
) -> None:
    frame = measurements(rows)
    at = frame["time"].min() + timedelta(minutes=minute)  # type: ignore[operator]
    after = changed_after(frame.with_columns(_at=pl.lit(at)), source(), change=change)
    past = (pl.col("time").is_null() | (pl.col("time") <= at)) & (
        pl.col("avail_time").is_null() | (pl.col("avail_time") <= at)
    )
    same = ["row_id", "time", "table", "item", "code", "text_value"]
    kept = after.join(frame.filter(past).select("row_id"), on="row_id").select(same)
    assert kept.sort("row_id").equals(frame.filter(past).select(same).sort("row_id"))
    others = frame.filter(~past).join(
        after, on=["row_id", "time", "avail_time", "item", "code"], nulls_equal=True
    )
    assert others.is_empty()


def test_a_task_that_looks_ahead_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    # The released code's way: what was drawn is shown, known or not.
    monkeypatch.setattr("ehrlich.cohorts.context.visible", lambda rows, at, *, tables: rows)
    rows = [*stay(7, 0, 3 * DAY), row("labevents", 60, "Sodium", known=2 * DAY, encounter_id=7)]
    scene = Scene(measurements(rows), source())
    task = tasks()["inpatient_mortality"]
    found = shift_probe(cases_of(scene, task).cases, scene, task=task)
    assert len(found.other_rows) == 1


def test_a_case_that_hangs_on_the_future_is_caught() -> None:
    # Asked at the end of a stay: who is asked at all then depends on when it ends.
    base = tasks()["inpatient_mortality"]
    assert base.predict is not None
    late = base.predict.model_copy(update={"at": "end", "plus_h": -1.0})
    task: Task = base.model_copy(update={"predict": late})
    scene = Scene(measurements(stay(7, 0, 3 * DAY)), source())
    found = shift_probe(cases_of(scene, task).cases, scene, task=task)
    assert len(found.lost) == 1


def test_one_case_a_subject_is_tried() -> None:
    rows = [*stay(7, 0, 3 * DAY), *stay(8, 9 * DAY, 12 * DAY)]
    rows += [line | {SUBJECT: 2} for line in rows]
    scene = Scene(measurements(rows), source())
    task = tasks()["inpatient_mortality"]
    cases = cases_of(scene, task).cases
    assert (cases.height, shift_probe(cases, scene, task=task).tried) == (4, 2)
    assert (
        context_rows(cases, scene.rows, task=task, source=scene.source)["case_id"].n_unique() == 4
    )
