"""Procedures of each stay: those of its conditions, and organ support as it was really given."""

from __future__ import annotations

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import LEVELS, Ints
from ehrlich.charts.hospital.course import HOUR_S
from ehrlich.charts.hospital.records.frames import picked
from ehrlich.charts.hospital.scene import COMORBID, Scene
from ehrlich.charts.hospital.textbook import Procedure, Textbook

# Coded from what was done, not from what a condition usually needs.
SUPPORT_ITEMS = ("intubation", "invasive_ventilation", "dialysis_crrt")
LONG_H, LONGEST_H = 24, 96
INTUBATION, SHORT, LONG, LONGEST, CRRT = range(5)
SUPPORT = tuple(
    Procedure(icd10=icd10, icd9=icd9, title=title, p=1.0, item=item)
    for icd10, icd9, title, item in (
        (
            "0BH17EZ",
            "9604",
            "Insertion of Endotracheal Airway into Trachea, Via Natural or Artificial Opening",
            "intubation",
        ),
        (
            "5A1935Z",
            "9671",
            "Respiratory Ventilation, Less than 24 Consecutive Hours",
            "invasive_ventilation",
        ),
        (
            "5A1945Z",
            "9671",
            "Respiratory Ventilation, 24-96 Consecutive Hours",
            "invasive_ventilation",
        ),
        (
            "5A1955Z",
            "9672",
            "Respiratory Ventilation, Greater than 96 Consecutive Hours",
            "invasive_ventilation",
        ),
        (
            "5A1D90Z",
            "3995",
            "Performance of Urinary Filtration, Continuous, Greater than 18 hours Per Day",
            "dialysis_crrt",
        ),
    )
)


def procedures_of(book: Textbook) -> list[Procedure]:
    """Every procedure of the hospital: the textbook's in order, then organ support."""
    return [*(p for c in book.conditions.values() for p in c.procedures), *SUPPORT]


def procedures_done(scene: Scene, rng: np.random.Generator) -> pl.DataFrame:
    """Procedures of each stay: encounter, second, codes, title, ICU item or null."""
    worst = worst_severity(scene)
    who, second, what = [], [], []
    number = 0
    for row, condition in enumerate(scene.arrays.book.conditions.values()):
        for procedure in condition.procedures:
            if procedure.item not in SUPPORT_ITEMS:
                of, when = _chosen(scene, row, procedure, worst, rng)
                who.append(of)
                second.append(when)
                what.append(np.full(len(of), number))
            number += 1
    for code, of, when in _supports(scene):
        who.append(of)
        second.append(when)
        what.append(number + code)
    listed = procedures_of(scene.arrays.book)
    code = np.concatenate(what)
    frame = pl.DataFrame(
        {
            "encounter": np.concatenate(who),
            "second": np.concatenate(second),
            "icd10": picked([p.icd10 for p in listed], code),
            "icd9": picked([p.icd9 for p in listed], code),
            "title": picked([p.title for p in listed], code),
            "item": picked([p.item for p in listed], code),
        }
    ).sort("encounter", "second", "icd10")
    return frame.unique(["encounter", "icd10"], keep="first", maintain_order=True)


def worst_severity(scene: Scene) -> Ints:
    """The highest severity of each encounter."""
    worst = np.zeros(scene.n, np.int64)
    np.maximum.at(worst, np.repeat(np.arange(scene.n), np.diff(scene.hours_from)), scene.severity)
    return np.minimum(worst, LEVELS - 1)


def _chosen(
    scene: Scene, row: int, procedure: Procedure, worst: Ints, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """(encounter, second) of one procedure of a condition; dialysis goes on in old disease."""
    problems = scene.problems
    active = (problems.role != COMORBID) | scene.arrays.chronic[row]
    mine = np.flatnonzero((problems.condition == row) & active & scene.admitted[problems.encounter])
    of = problems.encounter[mine]
    chosen = (rng.random(len(mine)) < procedure.p) & (worst[of] >= procedure.from_severity)
    of = of[chosen]
    begin = np.maximum(problems.onset_s[mine][chosen], scene.admit_s[of])
    room = np.minimum(scene.left_s[of] - begin, 40 * HOUR_S) * rng.uniform(0.02, 0.8, len(of))
    return of, (begin + room).astype(np.int64) // 60 * 60


def _supports(scene: Scene) -> list[tuple[Ints, Ints, Ints]]:
    """(code, encounter, second) of ventilation, by its longest run, and of renal replacement."""
    vent, _, crrt = scene.supports
    hours = (vent.end_s - vent.start_s) / HOUR_S
    order = np.lexsort((-hours, vent.encounter))
    who, first = np.unique(vent.encounter[order], return_index=True)
    run = order[first]
    length = np.select([hours[run] < LONG_H, hours[run] <= LONGEST_H], [SHORT, LONG], LONGEST)
    start = vent.start_s[run] // 60 * 60
    kidney, at = np.unique(crrt.encounter, return_index=True)
    return [
        (np.full(len(who), INTUBATION), who, start),
        (length, who, start),
        (np.full(len(kidney), CRRT), kidney, crrt.start_s[at] // 60 * 60),
    ]
