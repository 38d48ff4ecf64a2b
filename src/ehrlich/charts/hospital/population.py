"""Who comes, with what, when, and what follows: subjects and their encounters, round by round.

Fourth in the flow (it drives `course.py`). A round is the next encounter of every subject who has
one. What follows a discharge is one of: unplanned return, planned return, death at home, late
return, nothing; the probabilities are kept, because risks of readmission are computed from them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np

from ehrlich.charts.hospital.arrays import LEVELS, Arrays, Bools, Floats, Ints
from ehrlich.charts.hospital.course import (
    DEAD,
    ED_EARLY,
    HOUR_S,
    ICU,
    WARD,
    Chain,
    Path,
    Rates,
    build_chain,
    initial_severity,
    sample_paths,
)
from ehrlich.charts.hospital.returns import (
    HOME_DEATH,
    LATE,
    NONE,
    PLANNED,
    REATTEND,
    RETURN,
    RETURN_ADMITTED,
    RETURN_DIRECT,
    delays,
    next_conditions,
)
from ehrlich.charts.hospital.risks import DAY_S, HOME_DEATH_DAYS, HOME_DEATH_MEAN_D, leaving_step

MAX_ROUNDS = 12
# Hospitals also see people who never pass their ED: transfers, and more who come by appointment.
DIRECT, PLANNED_FIRST = 0.5, 14.0
# Those live further away: later illness rarely brings them here.
LATE_FROM_AFAR = 0.2
READMIT = 1.45
ARRIVALS = np.array(
    [
        3,
        2.4,
        2,
        1.7,
        1.5,
        1.6,
        2.1,
        3,
        4.2,
        5.3,
        6,
        6.2,
        6,
        5.8,
        5.7,
        5.6,
        5.6,
        5.6,
        5.5,
        5.3,
        5,
        4.6,
        4.1,
        3.6,
    ]
)
DataT = TypeVar("DataT")


@dataclass(frozen=True, slots=True)
class Subjects:
    """One row a person; `dead_day` is the epoch day of death, or -1."""

    female: Bools
    age0: Floats  # age at the first encounter
    start_s: Ints  # epoch seconds of the first encounter
    dead_day: Ints


@dataclass(frozen=True, slots=True)
class Encounters:
    """One row a visit to the hospital, in rounds; times in epoch seconds."""

    subject: Ints
    condition: Ints
    age: Floats
    chronic: Bools  # n x conditions: diseases that the subject already has
    planned: Bools
    returning: Bools  # within the window of an earlier hospital stay
    start_s: Ints
    start: Ints  # place
    severity_mean: Floats
    severity_sd: Floats
    admit: Floats
    p_return: Floats  # what may follow going home from hospital
    p_planned: Floats
    p_home_death: Floats
    p_reattend: Floats  # and from the ED


@dataclass(frozen=True, slots=True)
class Ends:
    """How each encounter ended: in hospital or not, dead or alive, the second it was left."""

    admitted: Bools
    dead: Bools
    left_s: Ints
    leave_step: Ints
    follows: Ints


def stack(parts: list[DataT]) -> DataT:
    """Rows of the same dataclass, one after the other."""
    kind = type(parts[0])
    names = [f.name for f in fields(parts[0])]  # type: ignore[arg-type]
    return kind(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def draw_block(
    arrays: Arrays, n: int, *, rng: np.random.Generator
) -> tuple[Subjects, Encounters, Chain, Path, Ends]:
    """n subjects, all their encounters, the chains behind them and the courses they took."""
    subjects, current = _first_encounters(arrays, n, rng)
    everything: list[tuple[Encounters, Chain, Path, Ends]] = []
    dead_day = subjects.dead_day.copy()
    offset = 0
    for number in range(MAX_ROUNDS):
        chain = build_chain(rates_of(arrays, current, rng=rng))
        path = sample_paths(chain, rng)
        ends = _ends(current, path, rng, last_round=number == MAX_ROUNDS - 1)
        dead_day[current.subject] = _death_days(current, ends, rng)
        path = replace(path, encounter=path.encounter + offset)
        offset += len(current.subject)
        everything.append((current, chain, path, ends))
        goes_on = np.isin(ends.follows, (RETURN, PLANNED, LATE, REATTEND))
        if not goes_on.any():
            break
        current = _next_encounters(arrays, subjects, (current, ends), rng)
    encounters, chains, paths, ends_ = zip(*everything, strict=True)
    return (
        replace(subjects, dead_day=dead_day),
        stack(list(encounters)),
        stack(list(chains)),
        stack(list(paths)),
        stack(list(ends_)),
    )


def _first_encounters(
    arrays: Arrays, n: int, rng: np.random.Generator
) -> tuple[Subjects, Encounters]:
    share = arrays.weight * (1 + PLANNED_FIRST * arrays.elective)
    condition = rng.choice(len(share), size=n, p=share / share.sum())
    age = np.clip(rng.normal(arrays.age_mean[condition], arrays.age_sd[condition]), 18, 101)
    female = rng.random(n) < arrays.female[condition]
    day = rng.integers(51_200, 84_000, n)  # 2110 to 2199
    start_s = day * DAY_S + _clock(n, rng)
    subjects = Subjects(female, age, start_s, np.full(n, -1))
    none = np.zeros((n, len(arrays.keys)), bool)
    chronic = _with_comorbidities(arrays, (condition, age, female, none), rng)
    planned = rng.random(n) < arrays.elective[condition]
    subjects = replace(subjects, start_s=np.where(planned, _morning(start_s, rng), start_s))
    return subjects, _encounters(
        arrays,
        (np.arange(n), condition, age, chronic),
        (planned, subjects.start_s, np.full(n, NONE), planned & False),
        rng,
    )


def _morning(start_s: Ints, rng: np.random.Generator) -> Ints:
    """When those who come by appointment arrive on that day."""
    return np.asarray(
        start_s // DAY_S * DAY_S + 7 * HOUR_S + 60 * rng.integers(0, 240, len(start_s))
    )


def _clock(n: int, rng: np.random.Generator) -> Ints:
    """Second of the day of an arrival, on a whole minute: few at night, most around noon."""
    hour = rng.choice(24, size=n, p=ARRIVALS / ARRIVALS.sum())
    return np.asarray(hour * HOUR_S + 60 * rng.integers(0, 60, n))


def _with_comorbidities(
    arrays: Arrays, who: tuple[Ints, Floats, Bools, Bools], rng: np.random.Generator
) -> Bools:
    """Chronic diseases known at an encounter: those before, and what its condition brings."""
    condition, age, female, before = who
    p = arrays.comorbid[condition]
    background = 0.5 * np.average(arrays.comorbid, axis=0, weights=arrays.weight + 1e-9)
    p = 1 - (1 - p) * (1 - background)
    p = p * np.clip(np.exp((age[:, None] - arrays.age_mean) / 30), 0.15, 1.3)
    p = p * np.where(
        female[:, None], np.minimum(2 * arrays.female, 1), np.minimum(2 - 2 * arrays.female, 1)
    )
    have = before | ((rng.random(p.shape) < p) & arrays.chronic)
    have[np.arange(len(condition)), condition] &= False
    return np.asarray(_compatible(arrays, condition, have))


def _compatible(arrays: Arrays, condition: Ints, have: Bools) -> Bools:
    """Old diseases without those that a later stage, or what brings them now, rules out."""
    for row in np.flatnonzero(arrays.replaces.any(axis=1)):
        here = have[:, row] & ~arrays.replaces[row, condition]
        have[:, row] = here
        have[here] &= ~arrays.replaces[row]
    return have


def _encounters(
    arrays: Arrays,
    who: tuple[Ints, Ints, Floats, Bools],
    how: tuple[Bools, Ints, Ints, Bools],
    rng: np.random.Generator,
) -> Encounters:
    """Rows of encounters; `how`: planned, start_s, why they come, returning in the window."""
    subject, condition, age, chronic = who
    planned, start_s, why, returning = how
    n, burden = len(subject), chronic.sum(axis=1)
    ill = rng.random(n)
    direct = (
        ~planned
        & (arrays.admit[condition] > 0.5)
        & (ill < DIRECT)
        & ~np.isin(why, (REATTEND, RETURN))
    )
    direct |= (why == RETURN) & (ill < RETURN_DIRECT)
    cardiac = np.isin(arrays.service[condition], ("CSURG",)) & planned
    start = np.where(planned | direct, WARD, ED_EARLY)
    start = np.where(
        (cardiac & (rng.random(n) < 0.85)) | (direct & (rng.random(n) < 0.1)), ICU, start
    )
    target = np.clip(arrays.admit[condition], 0.005, 0.995)
    logit = (
        np.log(target / (1 - target))
        + 0.012 * (age - arrays.age_mean[condition])
        + 0.06 * (burden - 4)
    )
    admit = 1 / (1 + np.exp(-logit))
    admit = np.where(why == RETURN, (RETURN_ADMITTED - RETURN_DIRECT) / (1 - RETURN_DIRECT), admit)
    again = (why == REATTEND) & returning
    mean = (
        arrays.severity_mean[condition]
        + 0.007 * (age - arrays.age_mean[condition])
        + 0.04 * np.minimum(burden - 4, 5)
    )
    mean = np.where(planned, 0.75 * mean, mean)
    frail = np.exp(0.035 * (age - 70) + 0.1 * np.minimum(burden - 4, 6))
    return Encounters(
        subject=subject,
        condition=condition,
        age=age,
        chronic=chronic,
        planned=planned,
        returning=returning,
        start_s=start_s,
        start=start,
        severity_mean=np.where(again, 0.0, np.clip(mean, 0.0, 4.6)),
        severity_sd=np.where(again, 0.4, arrays.severity_sd[condition]),
        admit=np.where(again, 0.0, admit),
        p_return=np.clip(
            READMIT * arrays.readmit[condition] * np.exp(0.06 * (burden - 4)), 0.01, 0.6
        ),
        p_planned=np.where(arrays.elective[condition] > 0.05, 0.07, 0.02),
        p_home_death=np.clip(0.010 * frail * (1 + 6 * arrays.death[condition]), 0.0005, 0.15),
        p_reattend=np.clip(0.035 * np.exp(0.1 * (burden - 3)), 0.01, 0.15),
    )


def rates_of(arrays: Arrays, encounters: Encounters, *, rng: np.random.Generator) -> Rates:
    """Hourly rates of each encounter's chain from its condition, age, burden and the person."""
    condition, burden = encounters.condition, encounters.chronic.sum(axis=1)
    older = (encounters.age - 60) / 10
    load = np.clip(burden - 4, -4, 6)
    resilience = np.exp(rng.normal(0, 0.15, len(condition)))
    surgical = np.isin(arrays.service[condition], ("CSURG", "NSURG", "TRAUM"))
    return Rates(
        improve=arrays.improve[condition] / 24 * resilience * np.exp(-0.05 * older - 0.02 * load),
        worsen=arrays.worsen[condition] / 24 * np.exp(0.08 * older + 0.03 * load) / resilience,
        death=arrays.death[condition] / 24 * np.exp(0.2 * older + 0.04 * load),
        complication=arrays.complication_rate[condition] / 24,
        icu_odds=np.where(surgical, 1.6, 1.0),
        admit=encounters.admit,
        initial=initial_severity(encounters.severity_mean, encounters.severity_sd),
        start=encounters.start,
    )


def _ends(
    encounters: Encounters, path: Path, rng: np.random.Generator, *, last_round: bool
) -> Ends:
    n = len(encounters.subject)
    final = np.flatnonzero(np.diff(path.encounter, append=-1))
    place = path.state[final] // LEVELS
    step = path.last[final] - 1
    dead = path.after[final] == DEAD
    admitted = place >= WARD
    leave = np.where(admitted & ~dead, leaving_step(step, encounters.start_s), step)
    left_s = encounters.start_s + HOUR_S * leave + path.second[final]
    follows = np.where(
        admitted, _after_hospital(encounters, rng.random(n)), _after_ed(encounters, rng.random(n))
    )
    follows = np.where(dead | last_round, NONE, follows)
    return Ends(admitted, dead, left_s // 60 * 60, leave, follows)


def _after_hospital(encounters: Encounters, draw: Floats) -> Ints:
    late = np.clip(0.25 + 0.04 * encounters.chronic.sum(axis=1), 0, 0.5)
    late = late * np.where(encounters.start >= WARD, LATE_FROM_AFAR, 1.0)
    return _branch(
        draw,
        [
            (encounters.p_return, RETURN),
            (encounters.p_planned, PLANNED),
            (encounters.p_home_death, HOME_DEATH),
            (late, LATE),
        ],
    )


def _after_ed(encounters: Encounters, draw: Floats) -> Ints:
    late = np.clip(0.4 + 0.05 * encounters.chronic.sum(axis=1), 0, 0.65)
    return _branch(
        draw,
        [
            (encounters.p_reattend, REATTEND),
            (0.02 * encounters.p_home_death, HOME_DEATH),
            (late, LATE),
        ],
    )


def _branch(draw: Floats, branches: list[tuple[Floats, int]]) -> Ints:
    chosen, below = np.full(len(draw), NONE), np.zeros(len(draw))
    for p, kind in branches:
        chosen = np.where((draw >= below) & (draw < below + p), kind, chosen)
        below = below + p
    return chosen


def _death_days(encounters: Encounters, ends: Ends, rng: np.random.Generator) -> Ints:
    """Epoch day of death of each encounter's subject as known so far, or -1."""
    n = len(encounters.subject)
    left_day = ends.left_s // DAY_S
    whole = -np.expm1(-HOME_DEATH_DAYS / HOME_DEATH_MEAN_D)
    after = np.ceil(-HOME_DEATH_MEAN_D * np.log1p(-rng.random(n) * whole)).astype(np.int64)
    day = np.where(ends.follows == HOME_DEATH, left_day + np.maximum(after, 1), -1)
    later = np.clip(0.05 * np.exp(0.05 * (encounters.age - 65)), 0.002, 0.4)
    dies_later = (ends.follows == NONE) & ~ends.dead & (rng.random(n) < later)
    day = np.where(dies_later, left_day + 60 + rng.integers(1, 300, n), day)
    return np.where(ends.dead, left_day, day)


def _next_encounters(
    arrays: Arrays, subjects: Subjects, last: tuple[Encounters, Ends], rng: np.random.Generator
) -> Encounters:
    before, ends = last
    goes_on = np.isin(ends.follows, (RETURN, PLANNED, LATE, REATTEND))
    rows = np.flatnonzero(goes_on)
    why, subject = ends.follows[rows], before.subject[rows]
    delay = delays(why, rng)
    start_s = ends.left_s[rows] + delay
    age = before.age[rows] + delay / (365.25 * DAY_S)
    condition = next_conditions(
        arrays,
        (before.condition[rows], age, subjects.female[subject]),
        state=(before.chronic[rows], why),
        rng=rng,
    )
    chronic = before.chronic[rows].copy()
    female = subjects.female[subject]
    chronic = np.where(
        (why == LATE)[:, None],
        _with_comorbidities(arrays, (condition, age, female, chronic), rng),
        chronic,
    )
    chronic[np.arange(len(rows)), condition] = False
    planned = (why == PLANNED) | (
        (why == LATE) & (rng.random(len(rows)) < arrays.elective[condition])
    )
    start_s = np.where(planned, _morning(start_s, rng), start_s)
    # An ED return of the window keeps its subject inside it; a new hospital stay opens its own.
    returning = (why == RETURN) | ((why == REATTEND) & before.returning[rows])
    return _encounters(
        arrays, (subject, condition, age, chronic), (planned, start_s, why, returning), rng
    )
