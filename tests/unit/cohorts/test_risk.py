"""Risk tasks on charts made by hand: who is at risk, when the question is asked, what is yes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.mini_charts import DAY, HOUR, Row, at, ed, fillers, icu, row, scene, stay, tasks

from ehrlich.cohorts.build import Built, cases_of
from ehrlich.cohorts.task import Task


def built(name: str, rows: list[Row]) -> Built:
    found = cases_of(scene(rows), tasks()[name])
    assert found.anchors == found.cases.height + found.dropped.total()
    return found


def labels(name: str, rows: list[Row]) -> list[bool]:
    return built(name, rows).cases["boolean_value"].to_list()


def dropped(name: str, rows: list[Row]) -> dict[str, int]:
    found = built(name, rows)
    assert found.cases.is_empty()
    return dict(found.dropped)


def death(minute: float) -> Row:
    return row("deaths", minute)


def test_a_hospital_case_is_asked_24_hours_after_admission() -> None:
    case = built("inpatient_mortality", stay(7, 0, 3 * DAY)).cases.to_dicts()[0]
    assert case["prediction_time"] == at(DAY)
    assert case["context_start"] == at(0)
    assert case["admission_event"] == 0
    assert (case["boolean_value"], case["answer"]) == (False, ["no"])


@pytest.mark.parametrize(("end", "kept"), [(DAY, 0), (DAY + 1, 1), (DAY - 1, 0)])
def test_who_left_by_24_hours_is_not_asked(end: int, kept: int) -> None:
    found = built("inpatient_mortality", stay(7, 0, end))
    assert found.cases.height == kept
    assert found.dropped["left before prediction_time"] == 1 - kept


def test_who_is_dead_at_24_hours_is_not_asked() -> None:
    # The record ends later than the death.
    rows = [*stay(7, 0, 2 * DAY, dies=True), death(20 * HOUR)]
    assert dropped("inpatient_mortality", rows) == {"dead at prediction_time": 1}


def test_death_in_hospital_is_what_the_hospital_says() -> None:
    assert labels("inpatient_mortality", stay(7, 0, 3 * DAY, dies=True)) == [True]
    # At home on the day of discharge: no.
    assert labels("inpatient_mortality", [*stay(7, 0, 3 * DAY), death(4 * DAY - 1)]) == [False]


@pytest.mark.parametrize(
    ("task", "hours", "expected"),
    [
        ("length_of_stay_3d", 72, False),  # longer than: exactly three days is not
        ("length_of_stay_3d", 72 + 1 / 60, True),
        ("length_of_stay_7d", 168, False),
        ("length_of_stay_7d", 169, True),
    ],
)
def test_length_of_stay_counts_from_admission(task: str, hours: float, expected: bool) -> None:
    assert labels(task, stay(7, 0, round(hours * HOUR))) == [expected]


@pytest.mark.parametrize(
    ("task", "days", "expected"),
    [("icu_stay_7d", 7, True), ("icu_stay_7d", 6.99, False), ("icu_stay_14d", 14, True)],
)
def test_an_icu_stay_of_exactly_its_days_is_yes(task: str, days: float, expected: bool) -> None:
    rows = [*stay(7, 0, 20 * DAY), *icu(7, 70, 100, 100 + round(days * DAY))]
    assert labels(task, rows) == [expected]


@pytest.mark.parametrize(
    ("after_question", "expected"),
    [(1, True), (DAY, True), (DAY + 1, False), (8 * DAY, False)],
)
def test_icu_mortality_runs_from_the_question(after_question: int, expected: bool) -> None:
    rows = [*stay(7, 0, 20 * DAY), *icu(7, 70, 100, 100 + 10 * DAY)]
    assert labels("icu_mortality_1d", [*rows, death(100 + DAY + after_question)]) == [expected]


def test_who_died_in_the_first_icu_day_is_not_asked_how_long() -> None:
    rows = [*stay(7, 0, 20 * DAY), *icu(7, 70, 100, 100 + 3 * DAY), death(100 + DAY)]
    assert dropped("icu_mortality_7d", rows) == {"dead at prediction_time": 1}


def test_return_to_intensive_care_in_the_same_stay() -> None:
    base = stay(7, 0, 20 * DAY)
    first, second = icu(7, 70, 100, 2 * DAY), icu(7, 71, 5 * DAY, 6 * DAY)
    assert labels("icu_readmission", [*base, *first]) == [False]
    assert labels("icu_readmission", [*base, *first, *second]) == [True, False]


def test_a_move_from_unit_to_unit_is_no_return() -> None:
    rows = [*stay(7, 0, 20 * DAY), *icu(7, 70, 100, 2 * DAY), *icu(7, 71, 2 * DAY, 6 * DAY)]
    assert labels("icu_readmission", rows) == [False, False]


def test_intensive_care_in_a_later_stay_is_no_return() -> None:
    rows = [*stay(7, 0, 5 * DAY), *icu(7, 70, 100, 2 * DAY)]
    rows += [*stay(8, 6 * DAY, 9 * DAY), *icu(8, 80, 7 * DAY, 8 * DAY)]
    assert labels("icu_readmission", rows) == [False, False]


@pytest.mark.parametrize(("days", "expected"), [(30, True), (30 + 1 / DAY, False), (1, True)])
def test_readmission_within_exactly_30_days(days: float, expected: bool) -> None:
    back = 3 * DAY + round(days * DAY)
    rows = [*stay(7, 0, 3 * DAY), *stay(8, back, back + 2 * DAY)]
    assert labels("readmission_30d", rows) == [expected, False]


def test_planned_readmissions_carry_a_flag() -> None:
    back = stay(8, 10 * DAY, 12 * DAY)
    back[0]["item"] = "ELECTIVE"
    cases = built("readmission_60d", [*stay(7, 0, 3 * DAY), *back]).cases
    assert cases["flags"].to_list() == [["planned"], []]
    assert cases["boolean_value"].to_list() == [True, False]


def test_who_died_in_hospital_cannot_come_back() -> None:
    rows = stay(7, 0, 3 * DAY, dies=True)
    assert dropped("readmission_30d", rows) == {"did not leave alive": 1}
    rows = [*stay(7, 0, 3 * DAY), death(3 * DAY)]
    assert dropped("readmission_30d", rows) == {"did not leave alive": 1}


def test_the_ed_is_asked_after_four_hours_or_just_before_departure() -> None:
    rows = [*ed(1, 0, 10 * HOUR), *ed(2, 5 * DAY, 5 * DAY + HOUR)]
    times = built("ed_hospitalization", rows).cases["prediction_time"].to_list()
    leaving = at(5 * DAY + HOUR)
    assert leaving is not None
    assert times == [at(4 * HOUR), leaving - timedelta(microseconds=1)]


def test_an_admission_from_the_ed_is_yes_and_nowhere_in_view() -> None:
    rows = [*ed(1, 0, 6 * HOUR, encounter=7), *stay(7, 3 * HOUR, 3 * DAY)]
    case = built("ed_hospitalization", rows).cases.to_dicts()[0]
    assert case["boolean_value"] is True
    assert case["admission_event"] is None
    assert labels("ed_hospitalization", ed(1, 0, 6 * HOUR)) == [False]


@pytest.mark.parametrize(
    ("after_ed", "expected"), [(12 * HOUR, True), (12 * HOUR + 1, False), (-30, True)]
)
def test_intensive_care_within_12_hours_of_the_ed(after_ed: int, expected: bool) -> None:
    leaves = 6 * HOUR
    rows = [*ed(1, 0, leaves, encounter=7), *stay(7, leaves, 5 * DAY)]
    rows += icu(7, 70, leaves + after_ed, 4 * DAY)
    for task in ("ed_icu_transfer_12h", "ed_critical_outcomes"):
        assert labels(task, rows) == [expected]


def test_who_is_in_intensive_care_already_is_not_asked() -> None:
    rows = [*ed(1, 0, 6 * HOUR, encounter=7), *stay(7, HOUR, 5 * DAY), *icu(7, 70, 3 * HOUR, DAY)]
    assert dropped("ed_icu_transfer_12h", rows) == {"in intensive care at prediction_time": 1}


def test_death_in_the_ed_or_in_the_stay_it_leads_to() -> None:
    visit = ed(1, 0, 6 * HOUR)
    assert labels("ed_inpatient_mortality", [*visit, death(5 * HOUR)]) == [True]
    assert labels("ed_inpatient_mortality", [*visit, death(7 * HOUR)]) == [False]
    admitted = [*ed(1, 0, 6 * HOUR, encounter=7), *stay(7, 6 * HOUR, 3 * DAY, dies=True)]
    assert labels("ed_inpatient_mortality", admitted) == [True]
    assert labels("ed_critical_outcomes", admitted) == [True]


@pytest.mark.parametrize(("hours", "expected"), [(72, True), (72 + 1 / 60, False)])
def test_back_in_the_ed_within_exactly_72_hours(hours: float, expected: bool) -> None:
    back = 2 * HOUR + round(hours * HOUR)
    rows = [*ed(1, 0, 2 * HOUR), *ed(2, back, back + HOUR)]
    assert labels("ed_reattendance_3d", rows) == [expected, False]


def test_the_admitted_are_not_asked_whether_they_come_back() -> None:
    rows = [*ed(1, 0, 6 * HOUR, encounter=7), *stay(7, 6 * HOUR, 3 * DAY)]
    assert dropped("ed_reattendance_3d", rows) == {"admitted": 1}


def test_a_stay_without_an_end_or_that_ends_before_it_starts_is_counted() -> None:
    open_ended = [row("admissions", 0, "URGENT", encounter_id=7), *fillers(7, 10, 20, 30)]
    assert dropped("inpatient_mortality", open_ended) == {"the episode has no end": 1}
    backwards = [row("admissions", 0, "URGENT", encounter_id=7, end=-60), *fillers(7, 10, 20, 30)]
    assert dropped("inpatient_mortality", backwards) == {"the episode ends before it starts": 1}


def test_too_few_events_are_counted() -> None:
    rows = [row("admissions", 0, "URGENT", encounter_id=7, end=3 * DAY)]
    assert dropped("inpatient_mortality", rows) == {"fewer than 3 context events": 1}


def test_length_of_stay_as_released_drops_who_left_by_the_last_event_shown(
    relaxed: dict[str, Task],
) -> None:
    rows = [row("admissions", 0, "URGENT", encounter_id=7, end=10 * HOUR)]
    for minutes, kept in ((9 * HOUR, 1), (10 * HOUR, 0), (11 * HOUR, 0)):
        found = cases_of(
            scene([*rows, *fillers(7, minutes)], "compat"), relaxed["length_of_stay_3d"]
        )
        assert found.cases.height == kept
        assert found.dropped["left before prediction_time"] == 1 - kept


def test_death_as_released_counts_from_midnight(relaxed: dict[str, Task]) -> None:
    rows = [
        row("patients", None, end=3 * DAY),
        row("admissions", 0, "URGENT", encounter_id=7, end=3 * DAY + 60),
        *fillers(7, 10, 20, 30),
    ]
    found = cases_of(scene(rows, "compat"), relaxed["inpatient_mortality"]).cases
    assert found["boolean_value"].to_list() == [True]


def test_icu_mortality_as_released_runs_from_the_last_event_shown(relaxed: dict[str, Task]) -> None:
    rows = [
        row("patients", None, end=3 * DAY + 5 * HOUR),
        row("icustays", 0, "MICU", encounter_id=7, stay_id=70, end=9 * DAY),
        *fillers(7, 10, 23 * HOUR, 25 * HOUR),
    ]
    chart = scene(rows, "compat")
    case = cases_of(chart, relaxed["icu_mortality_3d"]).cases.to_dicts()[0]
    # Of the day of death midnight counts: 49 hours after the last event within 24 hours.
    assert (case["prediction_time"], case["boolean_value"]) == (at(23 * HOUR), True)
    assert cases_of(chart, relaxed["icu_mortality_2d"]).cases["boolean_value"].to_list() == [False]
