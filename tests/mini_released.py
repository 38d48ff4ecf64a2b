"""Rows in the layout of released EHR-Bench and EHR-Ins, of made-up text; no released row is here.

The wordings are ours: only keys, and what a task's row says of itself, are as released.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ehrlich.cohorts.task import Task
from ehrlich.prompts.released_tasks import released_info

CHART = "## Demographics [None]\n- Age: 70\n\n\n\n## Lab [2150-01-01 10:00:00]\n- Item: Lactate"

# What each risk asks, put otherwise than its authors and otherwise than ehrlich put it.
RISK_WORDING = {
    "ed_hospitalization": "State if the visit ends with the person hospitalized.",
    "ed_inpatient_mortality": "State if the person dies before leaving.",
    "ed_icu_transfer_12h": "State if the person moves to the ICU within 12 hours.",
    "ed_reattendance_3d": "State if the person returns within 72 hours.",
    "ed_critical_outcomes": "State if the person dies, or moves to the ICU within 12 hours.",
    "inpatient_mortality": "State if the person dies before leaving.",
    "length_of_stay_3d": "State if the stay exceeds 3 days.",
    "length_of_stay_7d": "State if the stay exceeds 7 days",
    "icu_mortality_1d": "State if the person dies within 1 day.",
    "icu_mortality_2d": "State if the person dies within 2 day.",
    "icu_mortality_3d": "State if the person dies within 3 days.",
    "icu_mortality_7d": "State if the person dies within 7 days.",
    "icu_mortality_14d": "State if the person dies within 14 days.",
    "icu_stay_7d": "State if the stay in the ICU exceeds 7 days.",
    "icu_stay_14d": "State if the stay in the ICU exceeds 14 days.",
    "icu_readmission": "State if the person is admitted to the ICU again in this stay.",
    "readmission_30d": "State if the person is readmitted within 30 days",
    "readmission_60d": "State if the person is readmitted within 60 days",
}


def wording(task: Task) -> str:
    """A made-up instruction of the task."""
    return RISK_WORDING.get(task.task, f"List what comes next: {task.title.lower()}.")


def released_row(task: Task, answer: list[str], *, idx: int = 0, named: bool = True) -> Any:
    """A row; not `named`: task_info says no task, as a reader of the benchmark describes it."""
    info = released_info(task)
    risk = task.kind == "risk"
    about: dict[str, Any] = {
        "target_key": info.target_key,
        "events": info.event,
        "metric": info.metric,
        "target": answer[0] if risk else str(answer),
        "label": answer[0] if risk else answer,
    }
    return {
        "idx": idx,
        "instruction": wording(task),
        "input": f"{CHART} {idx}",
        "output": "\n".join(answer),
        "candidates": ["yes", "no"] if risk else [*answer, "Wrong"],
        "task_info": about | ({"task": info.name} if named else {}),
    }


def write_rows(path: Path, rows: Iterable[Any]) -> Path:
    """Rows as JSON lines (text as it is); compressed where the name says so."""
    text = "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
    body = text.encode("utf-8", "surrogatepass")
    path.write_bytes(gzip.compress(body) if path.suffix == ".gz" else body)
    return path
