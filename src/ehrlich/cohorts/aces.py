"""A risk task as an ACES configuration (es-aces 0.7), where ACES can say it.

ACES counts predicates in windows of a subject's time. It knows no hospital stays or visits, cannot
say `not`, and takes the label from one window; what follows from that stands in each file's header.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from ehrlich.base.errors import TaskError
from ehrlich.charts.readers.dictionary import Predicate
from ehrlich.cohorts.scene import ENDS
from ehrlich.cohorts.task import Label, Task

NONE_OF_IT = "(None, 0)"
Window = dict[str, Any]


class Target(NamedTuple):
    """What follows prediction_time: the window of the label, and those that lead to it."""

    windows: dict[str, Window]
    derived: dict[str, str] = {}


def to_aces(task: Task, predicates: Mapping[str, Predicate]) -> str:
    """The task as the text of an ACES file. Raises TaskError where ACES cannot say it.

    `predicates`: what the dictionary of the data binds (`Charts.predicates`). The label is the
    task's own or, if `has_opposite_label`, its opposite.
    """
    if why := _cannot(task):
        raise TaskError(f"ACES cannot say '{task.task}': {why}")
    begins, ends = ENDS[task.anchor.episode or "hospital"]
    target = _target(task, begins, ends)
    windows = {**_until_asked(task, ends, predicates), **target.windows}
    trigger = _trigger(task)
    document = {
        "description": task.description,
        "metadata": {
            "task": task.task,
            "version": task.version,
            "opposite_label": has_opposite_label(task),
        },
        "predicates": _predicates(_named(trigger, windows), target.derived, predicates, task),
        "trigger": trigger,
        "windows": windows,
    }
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=96)
    return "\n".join([*(f"# {line}" for line in _header(task)), text])


def has_opposite_label(task: Task) -> bool:
    """Whether the ACES label is the task's `no`: that a stay is over in time, not that it lasts."""
    return task.label is not None and (
        task.label.longer_than_h is not None or task.label.at_least_h is not None
    )


def _cannot(task: Task) -> str:
    """Why ACES has no words for the task; empty where it has."""
    label, predict = task.label, task.predict
    if label is None or predict is None or task.anchor.episode is None:
        return "its answer is a set of items, ACES has yes or no"
    if label.any_of:
        return "it is an OR of windows that end at different times"
    if label.leads_to_admission:
        return "it needs to know which hospital stay a visit belongs to"
    if label.dies_in_stay and task.anchor.episode != "hospital":
        return "it needs to know which hospital stay the episode belongs to"
    if label.dead_by_midnight_of_end or label.dies_within_h_of_context is not None:
        return "it counts from a date or from the last event shown"
    if predict.at == "end" and predict.plus_h:
        return "it is asked after the episode's end"
    return _cannot_count(label, at_end=predict.at == "end")


def _cannot_count(label: Label, *, at_end: bool) -> str:
    if at_end and label.follows is None and label.dies_within_h is None:
        return "its outcome lies before its prediction_time"
    if not at_end and label.follows is not None:
        return "it is asked before the end that its outcome is counted from"
    if label.follows and label.follows.same_encounter and label.follows.within_h is not None:
        return "its window ends at two times, whichever comes first"
    return ""


def _trigger(task: Task) -> str:
    assert task.anchor.episode is not None
    assert task.predict is not None
    return ENDS[task.anchor.episode][0 if task.predict.at == "start" else 1]


def _window(start: str | None, end: str | None, **more: Any) -> Window:
    """A window of ACES, open at its start and closed at its end unless `more` says otherwise."""
    return {"start": start, "end": end, "start_inclusive": False, "end_inclusive": True, **more}


def _until_asked(task: Task, ends: str, known: Mapping[str, Predicate]) -> dict[str, Window]:
    """`input`, which ends at prediction_time, and `gap`, from the episode's start until then."""
    assert task.predict is not None
    hours = task.predict.plus_h
    at_start = task.predict.at == "start"
    end = f"trigger + {_hours(hours)}" if hours else "trigger"
    past = _window(None, end, start_inclusive=True, index_timestamp="end")
    absent = ["death"] if {"alive", "left_alive"} & set(task.at_risk) else []
    if "left_alive" in task.at_risk:
        flagged = "ed_death" if task.anchor.episode == "ed" else "hospital_death"
        absent += [flagged] if flagged in known else []
    if absent:
        past["has"] = dict.fromkeys(absent, NONE_OF_IT)
    if not (at_start and hours):
        return {"input": past}
    inside = [ends] if "in_episode" in task.at_risk or task.predict.before_end else []
    inside += ["icu_in"] if "not_in_icu" in task.at_risk else []
    gap = _window("trigger", f"start + {_hours(hours)}")
    if inside:
        gap["has"] = dict.fromkeys(inside, NONE_OF_IT)
    return {"input": past, "gap": gap}


def _target(task: Task, begins: str, ends: str) -> Target:
    """The windows after prediction_time."""
    label, predict = task.label, task.predict
    assert label is not None
    assert predict is not None
    start = "gap.end" if predict.at == "start" and predict.plus_h else "trigger"
    if label.follows is not None:
        return _following(task, start)
    if label.icu_within_h is not None:
        visit = _window(start, f"start -> {ends}", end_inclusive=False, has={"icu_in": NONE_OF_IT})
        after = f"start + {_hours(label.icu_within_h)}"
        target = _window("visit.end", after, start_inclusive=True, label="icu_in")
        return Target({"visit": visit, "target": target})
    if label.dies_in_stay:
        return Target({"target": _window(start, f"start -> {ends}", label="hospital_death")})
    if label.dies_within_h is not None:
        end = f"start + {_hours(label.dies_within_h)}"
        return Target({"target": _window(start, end, label="death")})
    longest = label.longer_than_h if label.longer_than_h is not None else label.at_least_h
    end = f"start + {_hours((longest or 0) - predict.plus_h)}"
    exact = label.longer_than_h is not None
    return Target({"target": _window(start, end, end_inclusive=exact, label=ends)})


def _following(task: Task, start: str) -> Target:
    assert task.label is not None
    assert task.label.follows is not None
    rule = task.label.follows
    begins = ENDS[rule.episode][0]
    if rule.same_encounter:
        over = {"stay_is_over": "or(discharge, admission)"}
        window = _window(
            start, "start -> stay_is_over", start_inclusive=True, end_inclusive=False, label=begins
        )
        return Target({"target": window}, over)
    end = None if rule.within_h is None else f"start + {_hours(rule.within_h)}"
    return Target({"target": _window(start, end, start_inclusive=True, label=begins)})


def _hours(hours: float) -> str:
    return f"{hours / 24:g} days" if hours >= 48 and hours % 24 == 0 else f"{hours:g}h"


def _named(trigger: str, windows: Mapping[str, Window]) -> list[str]:
    """Predicates that the trigger and the windows name, each once, in order."""
    names = [trigger]
    for window in windows.values():
        names += [*window.get("has", {}), *([window["label"]] if "label" in window else [])]
        names += [part[1].strip() for part in [str(window["end"]).split("->")] if len(part) == 2]
    return list(dict.fromkeys(names))


def _predicates(
    names: list[str], derived: Mapping[str, str], known: Mapping[str, Predicate], task: Task
) -> dict[str, Any]:
    """ACES predicates: regexes on codes, then what is derived from them."""
    parts = [expr[expr.index("(") + 1 : -1].split(", ") for expr in derived.values()]
    plain = dict.fromkeys([*names, *(name for part in parts for name in part)])
    wanted = [name for name in plain if name not in derived]
    if missing := [name for name in wanted if name not in known]:
        raise TaskError(
            f"'{task.task}' needs predicates that the dictionary does not bind",
            got=", ".join(missing),
            expected=f"one of {', '.join(known)}",
        )
    stated = {name: _plain(known[name]) for name in wanted}
    return {**stated, **{name: {"expr": expr} for name, expr in derived.items()}}


def _plain(rule: Predicate) -> dict[str, Any]:
    stated: dict[str, Any] = {"code": {"regex": rule.code}}
    if rule.numeric_value is not None:
        number = rule.numeric_value
        stated |= {"value_min": number, "value_min_inclusive": True}
        stated |= {"value_max": number, "value_max_inclusive": True}
    return stated


def _header(task: Task) -> Iterator[str]:
    """What the file is, and where its cases are not exactly the task's."""
    assert task.predict is not None
    yield f"{task.title} ({task.task}), for ACES (es-aces 0.7). Written by ehrlich."
    if has_opposite_label(task):
        yield "The label is the OPPOSITE of the task's: true means that the stay is over in time."
    yield "ACES knows no stays: where two of a kind overlap, one may take the other's end."
    yield "Cases with little in their context are not left out here."
    if task.predict.before_end:
        yield f"Visits that end within {task.predict.plus_h:g} hours are left out here."
    if task.label is not None and task.label.icu_within_h is not None:
        yield "So are visits during which intensive care begins."
    if "not_admitted" in task.at_risk:
        yield "Visits that led to admission are cases here."
    if task.label is not None and task.label.follows and task.label.follows.same_encounter:
        yield "Stays after which nothing is recorded, not even a discharge, are left out here."
