"""When people come back, and with what.

Used by `population.py` between two rounds of encounters; `truth.py` uses the same constants, so
that the risk of a readmission is exactly the probability of what is drawn here.
"""

from __future__ import annotations

import numpy as np

from ehrlich.charts.hospital.arrays import Arrays, Bools, Floats, Ints
from ehrlich.charts.hospital.risks import DAY_S

RETURN_DAYS, RETURN_MEAN_D = 60, 14.0
RETURN_ADMITTED, RETURN_DIRECT = 0.75, 0.15
REATTEND_HOURS, REATTEND_MEAN_H = 72, 30.0
PLANNED_FROM_D, PLANNED_TO_D = 10, 55
NONE, RETURN, PLANNED, HOME_DEATH, LATE, REATTEND = range(6)


def delays(why: Ints, rng: np.random.Generator) -> Ints:
    """Seconds from leaving to coming back, whole minutes."""
    n = len(why)
    draw = rng.random(n)
    days = -RETURN_MEAN_D * np.log1p(draw * np.expm1(-RETURN_DAYS / RETURN_MEAN_D))
    # Arrival and admission may be hours apart: nobody arrives on the last day of a window.
    days = np.where((days > 29) & (days <= 30), days - 1, days)
    days = np.clip(np.where(days > 59, days - 1, days), 0.25, None)
    hours = (
        -REATTEND_MEAN_H * np.log1p(draw * np.expm1(-(REATTEND_HOURS - 1.5) / REATTEND_MEAN_H)) + 1
    )
    planned = rng.integers(PLANNED_FROM_D, PLANNED_TO_D, n).astype(float)
    planned = np.select([planned == 29, planned == 30], [28.0, 31.0], planned)
    late = 61 + rng.exponential(300, n)
    days = np.select(
        [why == RETURN, why == REATTEND, why == PLANNED], [days, hours / 24, planned], late
    )
    return np.asarray((days * DAY_S // 60 * 60).astype(np.int64))


def next_conditions(
    arrays: Arrays,
    who: tuple[Ints, Floats, Bools],
    *,
    state: tuple[Bools, Ints],
    rng: np.random.Generator,
) -> Ints:
    """What brings them back: often the same, else what age, sex and their diseases make likely."""
    condition, age, female = who
    chronic, why = state
    z = (age[:, None] - arrays.age_mean) / arrays.age_sd
    sex = np.where(female[:, None], arrays.female, 1 - arrays.female)
    score = np.log(arrays.weight + 1e-12) - 0.5 * z**2 - np.log(arrays.age_sd) + np.log(sex + 1e-12)
    score = score + chronic.astype(float) @ arrays.odds.T
    score = np.where(chronic @ arrays.replaces, -np.inf, score)
    score = score + np.where(
        (why == PLANNED)[:, None], np.log(arrays.elective + 0.002), np.log(1.02 - arrays.elective)
    )
    fresh = (score + rng.gumbel(size=score.shape)).argmax(axis=1)
    elective = arrays.elective[condition] > 0.5
    # Courses of treatment are repeated, operations and acute illness are not planned twice.
    course = np.where(elective & (arrays.service[condition] == "OMED"), 0.9, 0.0)
    again = np.select([why == RETURN, why == REATTEND, why == PLANNED], [0.45, 0.7, course], 0.2)
    same = rng.random(len(condition)) < np.where(elective & (why != PLANNED), 0.0, again)
    return np.where(same, condition, fresh)
