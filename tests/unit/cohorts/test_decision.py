"""Decision tasks on charts made by hand: anchors, answers, what was already in view."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.mini_charts import DAY, HOUR, Row, at, fillers, row, scene, stay, tasks

from ehrlich.cohorts.build import Built, cases_of
from ehrlich.cohorts.task import Task

JUST = timedelta(microseconds=1)


def lab(minute: float, *items: str | None, known: float | None = None, of: int = 7) -> list[Row]:
    return [row("labevents", minute, item, encounter_id=of, known=known) for item in items]


def built(name: str, rows: list[Row]) -> Built:
    found = cases_of(scene(rows), tasks()[name])
    assert found.anchors == found.cases.height + found.dropped.total()
    return found


def test_an_answer_is_what_the_event_holds_once_sorted_and_stripped() -> None:
    rows = [*fillers(7, 0, 10, 20), *lab(30, " Sodium", "Glucose", "Sodium", "", None)]
    case = built("labevents", rows).cases.to_dicts()[0]
    assert case["answer"] == ["Glucose", "Sodium"]
    assert case["answer_seen"] == [False, False]
    drawn = at(30)
    assert drawn is not None
    assert case["prediction_time"] == drawn - JUST


def test_an_event_without_items_gives_no_case_and_is_counted() -> None:
    found = built("labevents", [*fillers(7, 0, 10, 20), *lab(30, None, "  ")])
    assert found.cases.is_empty()
    assert found.dropped == {"no answer": 1}


def test_a_draw_within_an_hour_of_the_first_is_the_same_event() -> None:
    rows = [*fillers(7, 0, 10, 20), *lab(30, "Sodium"), *lab(90, "Glucose"), *lab(91, "Lactate")]
    answers = built("labevents", rows).cases["answer"].to_list()
    assert answers == [["Glucose", "Sodium"], ["Lactate"]]


@pytest.mark.parametrize(("ago", "kept"), [(DAY - 1, 1), (DAY, 0)])
def test_the_window_does_not_hold_its_far_end(ago: int, kept: int) -> None:
    # The third event stands 24 hours before the question, which is asked just before the draw.
    question = 2 * DAY
    rows = [*fillers(7, question - ago, question - 20, question - 10), *lab(question, "Sodium")]
    rows[0]["time"] -= JUST
    assert built("labevents", rows).cases.height == kept


def test_rows_of_the_question_s_own_moment_are_not_in_view() -> None:
    rows = [*fillers(7, 0, 10, 30), *lab(30, "Sodium")]
    assert built("labevents", rows).dropped == {"fewer than 3 context events": 1}


def test_events_of_other_encounters_do_not_count() -> None:
    rows = [*fillers(8, 0, 10, 20), *fillers(None, 5, 15), *lab(30, "Sodium")]
    assert built("labevents", rows).dropped == {"fewer than 3 context events": 1}


@pytest.mark.parametrize(("known", "seen"), [(50, True), (90, True), (100, False)])
def test_an_item_is_seen_once_its_row_is_known(known: int, seen: bool) -> None:
    rows = [*fillers(7, 0, 10, 20), *lab(30, "sodium", known=known), *fillers(7, 60)]
    rows += lab(95, "Sodium")
    case = built("labevents", rows).cases.to_dicts()[-1]
    assert case["answer_seen"] == [seen]


def test_a_late_row_of_an_event_leaves_the_window_with_it() -> None:
    # The event began 24 h 10 min ago; its second row is 23 h 50 min old.
    rows = [*lab(0, "Glucose"), *lab(20, "Sodium"), *fillers(7, HOUR, 3 * HOUR, 5 * HOUR)]
    rows += lab(DAY + 10, "Sodium")
    case = built("labevents", rows).cases.to_dicts()[-1]
    assert case["answer_seen"] == [False]


def test_billing_codes_are_asked_for_once_a_stay_at_its_end() -> None:
    rows = stay(7, 0, 3 * DAY)
    rows += [row("diagnoses_icd", 3 * DAY, item, encounter_id=7) for item in ("Sepsis", "Gout")]
    cases = built("diagnoses_icd", rows).cases.to_dicts()
    end = at(3 * DAY)
    assert end is not None
    assert [(case["prediction_time"], case["answer"]) for case in cases] == [
        (end - JUST, ["Gout", "Sepsis"])
    ]


def test_procedures_of_several_days_are_one_case() -> None:
    rows = stay(7, 0, 3 * DAY)
    rows += [
        row("procedures_icd", DAY - 1 / 60, "Biopsy", encounter_id=7, known=3 * DAY),
        row("procedures_icd", 2 * DAY - 1 / 60, "Suture", encounter_id=7, known=3 * DAY),
    ]
    assert built("procedures_icd", rows).cases["answer"].to_list() == [["Biopsy", "Suture"]]


def test_codes_of_a_stay_without_an_end_are_counted() -> None:
    rows = [row("diagnoses_icd", 30, "Sepsis", encounter_id=7), *fillers(7, 0, 10, 20)]
    assert built("diagnoses_icd", rows).dropped == {"no end of its encounter": 1}


def test_the_next_admission_does_not_show_itself() -> None:
    rows = [*fillers(7, 0, 10, 20), row("admissions", 30, "URGENT", encounter_id=7, end=DAY)]
    case = built("admissions", rows).cases.to_dicts()[0]
    assert (case["answer"], case["admission_event"]) == (["URGENT"], None)


def test_several_names_in_one_item_are_several_answers() -> None:
    rows = [*fillers(7, 0, 10, 20), row("radiology", 30, "CT HEAD\nCT NECK", encounter_id=7)]
    assert built("radiology", rows).cases["answer"].to_list() == [["CT HEAD", "CT NECK"]]


def test_an_answer_may_be_a_field_of_the_table() -> None:
    codes = {"fields": [None, "Septicemia", None, "A419", "10", "1"]}
    rows = [*stay(7, 0, 3 * DAY), row("diagnoses_icd", 3 * DAY, "Sepsis", encounter_id=7, **codes)]
    assert built("diagnoses_ccs", rows).cases["answer"].to_list() == [["Septicemia"]]


def test_chart_events_of_many_items_are_left_out() -> None:
    charted = [row("chartevents", 30, f"item {n}", encounter_id=7, stay_id=70) for n in range(10)]
    assert built("chartevents", [*fillers(7, 0, 10, 20), *charted]).dropped == {
        "too many answers": 1
    }
    assert built("chartevents", [*fillers(7, 0, 10, 20), *charted[:9]]).cases.height == 1


def test_next_event_asks_of_every_event_for_its_table() -> None:
    found = built("next_event", fillers(7, 0, 10, 20, 30, 40))
    assert found.cases["answer"].to_list() == [["poe"], ["vitalsign"]]
    assert found.anchors == 5


def test_as_released_the_question_stands_at_the_anchor_s_time_and_shows_what_lies_between(
    relaxed: dict[str, Task],
) -> None:
    rows = [*fillers(7, 0, 10), *fillers(8, 20), *lab(30, "Sodium"), *fillers(7, 60)]
    rows += lab(70, "Sodium", "Glucose")
    cases = cases_of(scene(rows, "compat"), relaxed["labevents"]).cases.to_dicts()
    assert [case["prediction_time"] for case in cases] == [at(30), at(70)]
    assert [case["context_events"] for case in cases] == [3, 5]
    assert [case["answer_seen"] for case in cases] == [[False], [False, True]]


def test_as_released_codes_take_the_time_of_the_event_before_them(
    relaxed: dict[str, Task],
) -> None:
    rows = [*fillers(7, 0, 10, 20), row("diagnoses_icd", 25, "Sepsis", encounter_id=7)]
    cases = cases_of(scene(rows, "compat"), relaxed["diagnoses_icd"]).cases
    assert cases["prediction_time"].to_list() == [at(20)]
