"""The textbook as dense arrays, one row a condition, so that a block is computed at once.

Second in the hospital's flow: textbook -> arrays -> population, course, records.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ehrlich.charts.hospital.textbook import Condition, Textbook, load_textbook

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
LEVELS = 6


@dataclass(frozen=True, slots=True)
class Arrays:
    """Columns of the conditions (C rows), and their effects on labs (C x L) and vitals (C x V)."""

    book: Textbook
    keys: tuple[str, ...]
    chronic: Bools
    weight: Floats
    age_mean: Floats
    age_sd: Floats
    female: Floats
    elective: Floats
    admit: Floats
    severity_mean: Floats
    severity_sd: Floats
    improve: Floats
    worsen: Floats
    death: Floats
    complication_rate: Floats  # C x LEVELS, per day
    readmit: Floats
    comorbid: Floats  # C x C, probability of the second given the first
    odds: Floats  # C x C, log odds of the first given the second
    replaces: Bools  # C x C: nobody with the first has the second
    lab_effect: Floats  # C x L, SDs at severity 3
    lab_share: Floats  # C x L
    vital_effect: Floats
    vital_share: Floats
    service: NDArray[np.str_]
    supports: Floats  # C x (vent, pressor, crrt) x (from_severity, p)

    def index(self, key: str) -> int:
        """Row of a condition."""
        return self.keys.index(key)


@lru_cache(maxsize=4)
def load_arrays(folder: Path | None = None) -> Arrays:
    """Arrays of the textbook in `folder` (default: the one that ships)."""
    book = load_textbook(folder)
    conditions = list(book.conditions.values())
    keys = tuple(book.conditions)
    at = {key: row for row, key in enumerate(keys)}
    lab_effect, lab_share = _effects(conditions, "labs", list(book.labs))
    vital_effect, vital_share = _effects(conditions, "vitals", list(book.vitals))
    comorbid = np.zeros((len(keys), len(keys)))
    odds = np.zeros((len(keys), len(keys)))
    replaces = np.zeros((len(keys), len(keys)), bool)
    for row, condition in enumerate(conditions):
        for other, p in condition.comorbid.items():
            comorbid[row, at[other]] = p
        replaces[row, [at[other] for other in condition.replaces]] = True
        for other, ratio in condition.risk_factors.items():
            odds[row, at[other]] = np.log(max(ratio, 1e-3))
    return Arrays(
        book=book,
        keys=keys,
        chronic=np.array([c.kind == "chronic" for c in conditions]),
        weight=np.array([c.weight for c in conditions], float),
        age_mean=np.array([c.age.mean for c in conditions], float),
        age_sd=np.array([c.age.sd for c in conditions], float),
        female=np.array([c.female for c in conditions], float),
        elective=np.array([c.elective for c in conditions], float),
        admit=np.array([c.admit for c in conditions], float),
        severity_mean=np.array([c.severity.mean for c in conditions], float),
        severity_sd=np.array([c.severity.sd for c in conditions], float),
        improve=np.array([c.drift.improve_per_day for c in conditions], float),
        worsen=np.array([c.drift.worsen_per_day for c in conditions], float),
        death=np.array([c.drift.death_at_5_per_day for c in conditions], float),
        complication_rate=np.array([_complication_rate(c) for c in conditions]),
        readmit=np.array([c.readmit_30d for c in conditions], float),
        comorbid=comorbid,
        odds=odds,
        replaces=replaces,
        lab_effect=lab_effect,
        lab_share=lab_share,
        vital_effect=vital_effect,
        vital_share=vital_share,
        service=np.array([c.services[0] for c in conditions]),
        supports=np.array(
            [
                [[s.from_severity, s.p] for s in (c.icu.vent, c.icu.pressor, c.icu.crrt)]
                for c in conditions
            ]
        ),
    )


def _effects(conditions: list[Condition], part: str, names: list[str]) -> tuple[Floats, Floats]:
    """(signed effect in SDs at severity 3, share of patients) of every condition on every name."""
    effect = np.zeros((len(conditions), len(names)))
    share = np.zeros_like(effect)
    at = {name: column for column, name in enumerate(names)}
    for row, condition in enumerate(conditions):
        found: dict[str, Any] = getattr(condition.findings, part)
        for name, finding in found.items():
            sign = 1.0 if finding.direction == "high" else -1.0
            effect[row, at[name]] = sign * finding.size
            share[row, at[name]] = finding.p
    return effect, share


def _complication_rate(condition: Condition) -> list[float]:
    """Complications per day at each severity level."""
    return [
        sum(c.per_day for c in condition.complications if level >= c.from_severity)
        for level in range(LEVELS)
    ]
