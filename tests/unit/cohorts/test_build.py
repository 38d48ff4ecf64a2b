"""Cases as a whole: names, order, counts, admissions and earlier summaries."""

from __future__ import annotations

import polars as pl
import pytest
from tests.mini_charts import DAY, Row, fillers, icu, row, scene, source, stay, tasks

from ehrlich.cohorts.build import CASE_COLUMNS, cases_of
from ehrlich.cohorts.scene import Scene


def rich() -> list[Row]:
    rows = [row("patients", None), *stay(7, 0, 5 * DAY), *icu(7, 70, 100, 3 * DAY)]
    rows += [row("labevents", minute, "Sodium", encounter_id=7) for minute in range(200, 3000, 90)]
    rows += stay(8, 40 * DAY, 43 * DAY, dies=True)
    rows += [row("diagnoses_icd", 5 * DAY, "Sepsis", encounter_id=7), row("deaths", 43 * DAY)]
    return rows


@pytest.mark.parametrize("name", sorted(tasks()))
def test_every_anchor_is_a_case_or_is_counted(name: str) -> None:
    found = cases_of(scene(rich()), tasks()[name])
    assert found.anchors == found.cases.height + found.dropped.total()
    assert tuple(found.cases.columns) == CASE_COLUMNS
    assert not found.cases["case_id"].is_duplicated().any()
    assert found.cases.equals(found.cases.sort("subject_id", "prediction_time", "anchor_event"))


@pytest.mark.parametrize("name", sorted(tasks()))
def test_an_empty_chart_gives_no_case(name: str) -> None:
    empty = Scene(scene(fillers(7, 0)).rows.clear(), source())
    assert cases_of(empty, tasks()[name]).cases.is_empty()


def test_a_case_is_named_by_task_version_subject_time_and_anchor_only() -> None:
    task = tasks()["labevents"]
    first = cases_of(scene(rich()), task).cases["case_id"]
    others = [*rich(), *[line | {"subject_id": 2} for line in fillers(9, 0, 10, 20)]]
    assert cases_of(scene(others), task).cases["case_id"].to_list() == first.to_list()
    newer = cases_of(scene(rich()), task.model_copy(update={"version": 2})).cases["case_id"]
    assert not set(newer) & set(first)


def test_the_admission_is_that_of_the_case_s_own_encounter() -> None:
    rows = [*stay(7, 0, 2 * DAY), *stay(8, 10 * DAY, 12 * DAY)]
    rows += [row("labevents", 11 * DAY, "Sodium", encounter_id=8), *fillers(8, 11 * DAY - 9)]
    rows += fillers(8, 11 * DAY - 5, 11 * DAY - 2)
    chart = scene(rows)
    case = cases_of(chart, tasks()["labevents"]).cases.row(-1, named=True)
    event = chart.events.filter(pl.col("event") == case["admission_event"]).row(0, named=True)
    assert (event["table"], event["encounter_id"]) == ("admissions", 8)


def note(minute: float, encounter: int | None, known: float) -> Row:
    return row("discharge", minute, "DS", encounter_id=encounter, known=known)


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ([note(-9 * DAY, 5, -9 * DAY), note(-5 * DAY, 6, -5 * DAY)], 6),  # the latest
        ([note(-9 * DAY, 5, -9 * DAY), note(-5 * DAY, 6, 9 * DAY)], 5),  # that was known
        ([note(-9 * DAY, 5, -9 * DAY), note(50, 7, 50)], 5),  # not that of this stay
        ([note(50, 7, 50)], None),
    ],
)
def test_the_earlier_summary_is_the_latest_known_of_another_stay(
    notes: list[Row], expected: int | None
) -> None:
    rows = [*notes, *fillers(7, 0, 10, 20), row("labevents", 100, "Sodium", encounter_id=7)]
    chart = scene(rows)
    case = cases_of(chart, tasks()["labevents"]).cases.row(0, named=True)
    found = chart.events.filter(pl.col("event").is_in([case["last_discharge_event"]]))[
        "encounter_id"
    ]
    assert found.to_list() == ([] if expected is None else [expected])


def test_subjects_do_not_mix() -> None:
    one = [*fillers(7, 0, 10, 20), row("labevents", 30, "Sodium", encounter_id=7)]
    two = [line | {"subject_id": 2} for line in [*fillers(7, 0), one[-1]]]
    found = cases_of(scene([*one, *two]), tasks()["labevents"])
    assert found.cases["subject_id"].to_list() == [1]
    assert found.dropped == {"fewer than 3 context events": 1}


def test_the_released_filters_on_length_are_counted() -> None:
    rows = [*fillers(7, *range(12)), row("labevents", 30, "Sodium", encounter_id=7)]
    task = tasks()["labevents"]
    assert cases_of(scene(rows, "compat"), task).cases.height == 1
    short = [*fillers(7, *range(10)), rows[-1]]
    assert cases_of(scene(short, "compat"), task).dropped == {"fewer than 11 context events": 1}
    long = [*fillers(7, *range(100)), row("labevents", 100, "Sodium", encounter_id=7)]
    assert cases_of(scene(long, "compat"), task).dropped == {"more than 99 context events": 1}
    many = [*fillers(7, *range(10)), *fillers(7, *range(5000, 6200)), rows[-1]]
    assert cases_of(scene([*fillers(7, 11), *many], "compat"), task).dropped == {
        "subject of more than 1200 events": 1
    }
