"""ACES files: which tasks they can hold, and how. That ACES reads them: tests/e2e/test_aces.py."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ehrlich.base.errors import TaskError
from ehrlich.charts.readers.dictionary import load_dictionary
from ehrlich.cohorts.aces import has_opposite_label, to_aces
from ehrlich.cohorts.task import Following, Label, Predict, load_tasks

TASKS = load_tasks()
PREDICATES = load_dictionary("mimic_iv").predicates
OPPOSITE = {"length_of_stay_3d", "length_of_stay_7d", "icu_stay_7d", "icu_stay_14d"}
REFUSED = {"ed_hospitalization", "ed_inpatient_mortality", "ed_critical_outcomes"}
RISKS = [name for name, task in TASKS.items() if task.kind == "risk"]


def aces(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(to_aces(TASKS[name], PREDICATES))
    return found


@pytest.mark.parametrize("name", sorted(set(RISKS) - REFUSED))
def test_fifteen_risks_can_be_said(name: str) -> None:
    config = aces(name)
    windows = config["windows"]
    named = {config["trigger"], *(w["label"] for w in windows.values() if "label" in w)}
    named |= {predicate for w in windows.values() for predicate in w.get("has", {})}
    assert named <= set(config["predicates"])
    assert sum("label" in window for window in windows.values()) == 1
    assert windows["input"]["index_timestamp"] == "end"
    assert config["metadata"] == {
        "task": name, "version": 1, "opposite_label": name in OPPOSITE,
    }  # fmt: skip
    assert has_opposite_label(TASKS[name]) == (name in OPPOSITE)
    assert ("OPPOSITE" in to_aces(TASKS[name], PREDICATES)) == (name in OPPOSITE)


def test_fifteen_of_eighteen() -> None:
    assert len(RISKS) - len(REFUSED) == 15


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ed_hospitalization", "which hospital stay a visit belongs to"),
        ("ed_inpatient_mortality", "which hospital stay the episode belongs to"),
        ("ed_critical_outcomes", "OR of windows"),
        ("labevents", "a set of items"),
    ],
)
def test_what_aces_cannot_say_is_refused_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(TaskError, match=why):
        to_aces(TASKS[name], PREDICATES)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"label": Label(dies_within_h_of_context=24)}, "last event shown"),
        ({"label": Label(dead_by_midnight_of_end=True)}, "counts from a date"),
        ({"label": Label(follows=Following(episode="icu"))}, "before the end"),
        ({"predict": Predict(at="end", plus_h=2)}, "after the episode's end"),
        ({"predict": Predict(at="end")}, "before its prediction_time"),
    ],
)
def test_other_labels_are_refused_too(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(TaskError, match=why):
        to_aces(TASKS["inpatient_mortality"].model_copy(update=changes), PREDICATES)


def test_a_window_of_two_ends_is_refused() -> None:
    both = Label(follows=Following(episode="icu", within_h=24, same_encounter=True))
    with pytest.raises(TaskError, match="two times"):
        to_aces(TASKS["icu_readmission"].model_copy(update={"label": both}), PREDICATES)


def test_a_predicate_that_is_not_bound_is_named() -> None:
    known = {name: rule for name, rule in PREDICATES.items() if name != "icu_out"}
    with pytest.raises(TaskError, match="icu_out"):
        to_aces(TASKS["icu_stay_7d"], known)


def test_bounds_are_those_of_the_task() -> None:
    longer, at_least = (aces(n)["windows"]["target"] for n in ("length_of_stay_3d", "icu_stay_7d"))
    assert (longer["end"], longer["end_inclusive"]) == ("start + 2 days", True)
    assert (at_least["end"], at_least["end_inclusive"]) == ("start + 6 days", False)
    assert aces("inpatient_mortality")["windows"]["gap"]["has"] == {"discharge": "(None, 0)"}
    assert aces("readmission_30d")["windows"]["input"]["has"] == {
        "death": "(None, 0)", "hospital_death": "(None, 0)",
    }  # fmt: skip


def test_death_in_hospital_is_the_flag_not_the_place() -> None:
    assert aces("inpatient_mortality")["predicates"]["hospital_death"] == {
        "code": {"regex": "^HOSPITAL_DISCHARGE//"},
        "value_min": 1, "value_min_inclusive": True,
        "value_max": 1, "value_max_inclusive": True,
    }  # fmt: skip


def test_what_aces_leaves_out_stands_in_the_head() -> None:
    assert "Visits that end within 4 hours are left out" in to_aces(
        TASKS["ed_icu_transfer_12h"], PREDICATES
    )
    assert "Visits that led to admission are cases here" in to_aces(
        TASKS["ed_reattendance_3d"], PREDICATES
    )
