"""Charts of a few rows, made by hand, as tasks see them: MIMIC-IV tables, times in minutes.

Minute 0 is midnight of 1 January 2150. A row is `row(table, minute, ...)`; the order and the
events follow from the policy, as the reader would have it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Any

import polars as pl

from ehrlich.base.contracts import measurement_schema
from ehrlich.charts.readers.dictionary import load_dictionary
from ehrlich.charts.readers.metadata import tables_of
from ehrlich.charts.readers.order import in_order, number_events
from ehrlich.charts.timeline import FIELDS
from ehrlich.cohorts.scene import Scene, Source
from ehrlich.cohorts.task import Policy, Task, load_tasks

START = datetime(2150, 1, 1)
HOUR = 60
DAY = 24 * HOUR
CODES = {
    "patients": "GENDER//F",
    "births": "MEDS_BIRTH",
    "admissions": "HOSPITAL_ADMISSION//URGENT//UNK",
    "hospital_discharges": "HOSPITAL_DISCHARGE//HOME",
    "icustays": "ICU_ADMISSION//MICU",
    "icu_discharges": "ICU_DISCHARGE//MICU",
    "edstays": "ED_REGISTRATION//WALK IN",
    "ed_discharges": "ED_OUT//HOME",
    "deaths": "MEDS_DEATH",
}
Row = dict[str, Any]


def at(minute: float | None) -> datetime | None:
    """The time of a minute."""
    return None if minute is None else START + timedelta(minutes=minute)


def row(table: str, minute: float | None, item: str | None = None, **more: Any) -> Row:
    """A measurement; `end`, `known` (avail_time) in minutes, other columns by their names."""
    code = CODES.get(table, f"{table.upper()}//{item or 'UNK'}")
    times = {"end_time": at(more.pop("end", None)), "avail_time": at(more.pop("known", None))}
    base: Row = {"subject_id": 1, "table": table, "time": at(minute), "item": item, "code": code}
    return base | times | more


@cache
def source(policy: Policy = "strict") -> Source:
    """That of MIMIC-IV."""
    dictionary = load_dictionary("mimic_iv")
    return Source(dictionary.predicates, tables_of(dictionary, policy), policy)


def measurements(rows: list[Row], policy: Policy = "strict") -> pl.DataFrame:
    """Rows in the contract's order, with events; the source row is the place in the list."""
    schema = measurement_schema() | {FIELDS: pl.List(pl.String)}
    del schema["event"]
    placed = [line | {"row_id": place} for place, line in enumerate(rows)]
    frame = pl.DataFrame(placed, schema=schema)
    ranks = dict(source(policy).tables.select("table", "rank").iter_rows())
    rank = pl.col("table").replace_strict(ranks, default=99, return_dtype=pl.Int64)
    ordered = in_order(frame.with_columns(row_id=rank * (1 << 48) + pl.col("row_id")))
    numbered = number_events(ordered, split_gaps=policy == "strict")
    return numbered.select(*measurement_schema(), FIELDS)


def scene(rows: list[Row], policy: Policy = "strict") -> Scene:
    """The rows as tasks see them."""
    return Scene(measurements(rows, policy), source(policy))


@cache
def tasks() -> dict[str, Task]:
    """Every shipped task."""
    return load_tasks()


def fillers(encounter: int | None, *minutes: float, subject: int = 1) -> list[Row]:
    """Events that only fill a context: alternating tables, so that each is its own."""
    names = ("vitalsign", "poe")
    return [
        row(names[place % 2], minute, "filler", encounter_id=encounter, subject_id=subject)
        for place, minute in enumerate(minutes)
    ]


def stay(encounter: int, start: float, end: float, *, dies: bool = False) -> list[Row]:
    """A hospital stay, with three events in its first hour, three in its last, few between."""
    return [
        row("admissions", start, "URGENT", encounter_id=encounter, end=end),
        *fillers(encounter, start + 10, start + 20, start + 30),
        *fillers(encounter, *range(int(start) + 20 * HOUR, int(end), 20 * HOUR)),
        *fillers(encounter, end - 35, end - 25, end - 15),
        row("hospital_discharges", end, "HOME", encounter_id=encounter, numeric_value=float(dies)),
    ]


def icu(encounter: int, stay_id: int, start: float, end: float) -> list[Row]:
    """An intensive care stay, with an event every six hours."""
    return [
        row("icustays", start, "MICU", encounter_id=encounter, stay_id=stay_id, end=end),
        *fillers(encounter, *range(int(start) + 5, int(end), 6 * HOUR)),
        row("icu_discharges", end, "MICU", encounter_id=encounter, stay_id=stay_id),
    ]


def ed(stay_id: int, start: float, end: float, encounter: int | None = None) -> list[Row]:
    """An ED visit of three events."""
    own = {"encounter_id": encounter, "stay_id": stay_id}
    return [
        row("edstays", start, "WALK IN", end=end, **own),
        row("triage", start + 1 / 60, "Fever", **own),
        row("vitalsign", start + 10, "Sinus", **own),
        row("medrecon", start + 20, "Aspirin", **own),
        row("ed_discharges", end, "HOME", **own),
    ]
