"""What released rows call our tasks, and which task a row is of: by name, key, or instruction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ehrlich.cohorts.task import Label, Task

# Columns that the released code takes answers from, where they are not called item_name.
TARGET_KEYS = {
    "admissions": "admission_type", "transfers": "eventtype", "services": "curr_service",
    "omr": "result_name", "microbiologyevents": "test_name", "radiology": "exam_name",
    "diagnoses_icd": "diagnoses", "procedures_icd": "procedures", "diagnosis": "icd_title",
    "poe": "order_type", "emar": "medication", "prescriptions": "drug", "medrecon": "name",
    "pyxis": "name", "next_event": "file_name", "discharge": "text",
}  # fmt: skip
CODED_KEYS = {"ccs": "CCS Type", "atc": "ATC Type"}
RECALLED = {"diagnoses_icd", "procedures_icd", "diagnosis", "prescriptions", "medrecon"}
METRICS = {"auroc": "aucroc", "accuracy": "acc", "rouge_l": "rouge"}
EPISODES = {"ed": "edstays", "hospital": "admissions", "icu": "icustays"}
RISK_METRICS = ("aucroc", "auroc")

_HORIZON = re.compile(r"(\d{1,4})[\s-]*(hour|day)", re.IGNORECASE)
_AGAIN = re.compile(r"\b(?:re-?admi|re-?attend|return|again\b|comes? back)", re.IGNORECASE)
_DEATH = re.compile(r"\b(?:dies?\b|death|dead|mortality|surviv)", re.IGNORECASE)
_ICU = re.compile(r"\b(?:icu\b|intensive care)", re.IGNORECASE)
_ADMITTED = re.compile(r"\b(?:hospitali[sz]|admit|admission)", re.IGNORECASE)


class ReleasedInfo(NamedTuple):
    """The task_info of released rows: target_key is None for risk; metric in released words."""

    name: str
    event: str
    target_key: str | None
    metric: str


class Signs(NamedTuple):
    """What a yes-or-no question asks: of which outcomes, within how many hours (None: unsaid)."""

    outcomes: frozenset[str]
    within_h: float | None


def released_info(task: Task) -> ReleasedInfo:
    """How released rows describe the task; a task of the user's own keeps its names."""
    name = task.compat.name or task.task
    anchor = task.under("compat").anchor
    event = EPISODES[anchor.episode] if anchor.episode else str(anchor.table).replace("*", "any")
    if task.answer is None:
        return ReleasedInfo(name, event, None, METRICS["auroc"])
    column = task.answer.column
    plain = TARGET_KEYS.get(task.task, "item_name" if column == "item" else column)
    sets = "recall" if event in RECALLED else "em"
    key = CODED_KEYS.get(column, plain)
    return ReleasedInfo(name, event, key, METRICS.get(task.metric, sets))


@dataclass(frozen=True, slots=True)
class ReleasedTasks:
    """Tasks as released rows may mean them. `names`: released and own, case-folded → ours."""

    names: Mapping[str, str]
    infos: Mapping[str, ReleasedInfo]
    signs: Mapping[str, Signs]

    @classmethod
    def of(cls, tasks: Mapping[str, Task]) -> ReleasedTasks:
        """Of these tasks."""
        infos = {name: released_info(task) for name, task in tasks.items()}
        names = {name.casefold(): name for name in tasks}
        names |= {info.name.casefold(): name for name, info in infos.items()}
        signs = {name: signs_of(task.label) for name, task in tasks.items() if task.label}
        return cls(names, infos, signs)

    def find(self, info: Mapping[str, Any], instruction: str) -> str | None:
        """Our name of a row's task; None where nothing, or more than one task, fits.

        By its name if the row states one; else a decision by event, target_key and metric, a risk
        by its event and what the instruction asks.
        """
        stated = info.get("task")
        if isinstance(stated, str):
            return self.names.get(stated.strip().casefold())
        event = _event(info)
        key, metric = info.get("target_key"), info.get("metric")
        if metric in RISK_METRICS or (metric is None and key is None):
            asked = signs_in(instruction)
            fits = [name for name, signs in self.signs.items() if signs == asked]
        else:
            fits = [
                name for name, known in self.infos.items()
                if name not in self.signs
                and key in (None, known.target_key) and metric in (None, known.metric)
            ]  # fmt: skip
        if event is not None:
            there = [name for name in fits if self.infos[name].event == event]
            fits = there or [name for name in fits if name == self.names.get(event.casefold())]
        return fits[0] if len(fits) == 1 else None


def _event(info: Mapping[str, Any]) -> str | None:
    """The one event that a row names, as text or as a list of one."""
    found = info.get("event", info.get("events"))
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    return found if isinstance(found, str) and found else None


def signs_of(label: Label) -> Signs:
    """What a label asks."""
    if label.any_of:
        parts = [signs_of(part) for part in label.any_of]
        hours = [part.within_h for part in parts if part.within_h is not None]
        outcomes = frozenset().union(*(part.outcomes for part in parts))
        return Signs(outcomes, max(hours, default=None))
    if label.follows:
        return Signs(frozenset({"again"}), label.follows.within_h)
    if label.leads_to_admission:
        return Signs(frozenset({"admitted"}), None)
    if label.icu_within_h is not None:
        return Signs(frozenset({"icu"}), label.icu_within_h)
    if label.dies_in_stay or label.dies_within_h is not None:
        return Signs(frozenset({"death"}), label.dies_within_h)
    longest = label.longer_than_h or label.at_least_h
    return Signs(frozenset({"stay"} if longest else ()), longest)


def signs_in(instruction: str) -> Signs:
    """What an instruction asks, by the words that every wording of it must have."""
    found = _HORIZON.search(instruction)
    in_days = found is not None and found[2].lower() == "day"
    within_h = float(found[1]) * (24 if in_days else 1) if found else None
    # "in the ICU for more than 7 days" asks of the stay, "to the ICU within 12 hours" of the ICU.
    to_icu = bool(_ICU.search(instruction)) and found is not None and not in_days
    if _AGAIN.search(instruction):
        outcomes = {"again"}
    elif _DEATH.search(instruction):
        outcomes = {"death", "icu"} if to_icu else {"death"}
    elif to_icu:
        outcomes = {"icu"}
    elif in_days:
        outcomes = {"stay"}
    else:
        outcomes = {"admitted"} if _ADMITTED.search(instruction) else set()
    return Signs(frozenset(outcomes), within_h)
