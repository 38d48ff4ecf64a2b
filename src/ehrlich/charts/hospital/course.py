"""The hidden course: an hourly Markov chain over place and severity.

Third in the hospital's flow: population -> course -> truth and records. State = place (the ED in
two phases, ward, ICU) x severity 0..5, then two ends: ready to go home, dead. Each encounter has
its own matrix; it does not change with time, so every risk is a short recursion (`risks.py`).
A change in step k happens u seconds into it (u uniform in 1..3600) and is recorded at that second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ehrlich.charts.hospital.arrays import LEVELS, Floats, Ints

ED_EARLY, ED_LATE, WARD, ICU = range(4)
TRANSIENT = 4 * LEVELS
HOME, DEAD = TRANSIENT, TRANSIENT + 1
STATES = TRANSIENT + 2
HOUR_S = 3600

ED_EARLY_PER_H, ED_LATE_PER_H = 1 / 2.3, 1 / 3.0
ICU_SHARE = np.array([0.001, 0.006, 0.05, 0.2, 0.6, 0.9])
HOME_PER_H = np.array([1 / 24, 1 / 90, 1 / 700, 0.0, 0.0, 0.0])
TO_ICU_PER_H = np.array([0.0, 0.00005, 0.0003, 0.002, 0.03, 0.14])
FROM_ICU_PER_H = np.array([1 / 11, 1 / 17, 1 / 30, 1 / 130, 0.0, 0.0])
# The textbook's drift is that of an untreated patient; care is densest where it is needed most.
IMPROVE_BY_LEVEL = np.array([0.0, 1.0, 1.1, 1.3, 1.6, 2.0])
WORSEN_BY_LEVEL = np.array([0.3, 0.7, 0.9, 1.0, 1.0, 0.0])
DEATH_BY_LEVEL = np.array([0.0, 0.0, 0.0005, 0.004, 0.055, 0.6])
COMPLICATION_SHARE = 0.3  # of complications make the patient a level worse
ADMIT_SLOPE = 1.3


@dataclass(frozen=True, slots=True)
class Chain:
    """Transition probabilities an hour (n x STATES x STATES) and where each encounter starts."""

    matrix: Floats
    initial: Floats  # n x LEVELS: distribution of the severity at the start
    start: Ints  # n: place at the start


@dataclass(frozen=True, slots=True)
class Rates:
    """What makes a chain, one row an encounter; rates are per hour."""

    improve: Floats
    worsen: Floats
    death: Floats
    complication: Floats  # n x LEVELS
    icu_odds: Floats
    admit: Floats  # probability that the ED visit leads to an admission, over all its courses
    initial: Floats
    start: Ints


@dataclass(frozen=True, slots=True)
class Path:
    """Segments of constant state, sorted by encounter and time; the last one leads to an end.

    State `state` holds at hours `first` .. `last - 1`; it is left in step `last - 1`, `second`
    seconds into that hour, for `after`.
    """

    encounter: Ints
    state: Ints
    first: Ints
    last: Ints
    second: Ints
    after: Ints


def build_chain(rates: Rates) -> Chain:
    """The chains of n encounters."""
    n = len(rates.start)
    hazard = np.zeros((n, STATES, STATES))
    for place in range(4):
        _severity_moves(hazard, rates, place)
    for level in range(LEVELS):
        hazard[:, level, ED_LATE * LEVELS + level] = ED_EARLY_PER_H
        hazard[:, WARD * LEVELS + level, HOME] = HOME_PER_H[level]
        to_icu = TO_ICU_PER_H[level] * rates.icu_odds
        hazard[:, WARD * LEVELS + level, ICU * LEVELS + level] = to_icu
        hazard[:, ICU * LEVELS + level, WARD * LEVELS + level] = FROM_ICU_PER_H[level]
        hazard[:, ED_LATE * LEVELS + level, HOME] = ED_LATE_PER_H
    matrix = _probabilities(hazard)
    _split_ed_exits(matrix, rates)
    return Chain(matrix, rates.initial, rates.start)


def _severity_moves(hazard: Floats, rates: Rates, place: int) -> None:
    """Better, worse, complicated or dead, at every level of one place."""
    inpatient = float(place >= WARD)
    for level in range(LEVELS):
        state = place * LEVELS + level
        if level < LEVELS - 1:
            worse = rates.worsen * WORSEN_BY_LEVEL[level]
            worse = worse + inpatient * COMPLICATION_SHARE * rates.complication[:, level]
            hazard[:, state, state + 1] = worse
        if level > 0:
            hazard[:, state, state - 1] = rates.improve * IMPROVE_BY_LEVEL[level]
        hazard[:, state, DEAD] = rates.death * DEATH_BY_LEVEL[level] * (1.0 if inpatient else 0.5)


def _probabilities(hazard: Floats) -> Floats:
    """Hazards of competing events as probabilities of one hour."""
    total = hazard.sum(axis=2, keepdims=True)
    matrix = hazard * np.where(total > 0, -np.expm1(-total) / np.where(total > 0, total, 1.0), 0.0)
    diagonal = np.arange(STATES)
    matrix[:, diagonal, diagonal] = 1.0 - matrix.sum(axis=2)
    return matrix


def _split_ed_exits(matrix: Floats, rates: Rates) -> None:
    """Divide who leaves the ED between home, ward and ICU so that `rates.admit` is met exactly."""
    leaving = leaving_severity(matrix, rates.initial)
    share = admitted_share(leaving, np.minimum(rates.admit, 0.97 * leaving.sum(axis=1)))
    icu = np.clip(ICU_SHARE * rates.icu_odds[:, None], 0.0, 0.97)
    for level in range(LEVELS):
        state = ED_LATE * LEVELS + level
        leave = matrix[:, state, HOME].copy()
        admitted = leave * share[:, level]
        matrix[:, state, HOME] = leave - admitted
        matrix[:, state, ICU * LEVELS + level] = admitted * icu[:, level]
        matrix[:, state, WARD * LEVELS + level] = admitted * (1 - icu[:, level])


def leaving_severity(matrix: Floats, initial: Floats) -> Floats:
    """Distribution (n x LEVELS) of the severity at which the ED is left alive."""
    ed = 2 * LEVELS
    start = np.zeros((len(matrix), ed))
    start[:, :LEVELS] = initial
    within = np.eye(ed) - matrix[:, :ed, :ed]
    visits = np.linalg.solve(within.transpose(0, 2, 1), start[..., None])[..., 0]
    exits = matrix[:, LEVELS:ed, HOME]
    return np.asarray(visits[:, LEVELS:ed] * exits)


def admitted_share(leaving: Floats, target: Floats) -> Floats:
    """Share admitted at each severity, logistic in severity, with `target` admitted over all."""
    low, high = np.full(len(target), -30.0), np.full(len(target), 20.0)
    level = ADMIT_SLOPE * np.arange(LEVELS)
    for _ in range(60):
        middle = (low + high) / 2
        share = 1 / (1 + np.exp(-(middle[:, None] + level)))
        too_many = (share * leaving).sum(axis=1) > target
        high, low = np.where(too_many, middle, high), np.where(too_many, low, middle)
    return np.asarray(1 / (1 + np.exp(-(low[:, None] + level))))


def sample_paths(chain: Chain, rng: np.random.Generator) -> Path:
    """One course of every encounter, jump by jump: how long a state is held, then the next."""
    n = len(chain.start)
    cumulative = chain.initial.cumsum(axis=1)
    level = (rng.random(n)[:, None] > cumulative / cumulative[:, -1:]).sum(axis=1)
    state = chain.start * LEVELS + np.minimum(level, LEVELS - 1)
    jumps = chain.matrix.copy()
    diagonal = np.arange(STATES)
    stay = chain.matrix[:, diagonal, diagonal]
    jumps[:, diagonal, diagonal] = 0.0
    jumps = jumps.cumsum(axis=2)
    active, hour = np.arange(n), np.zeros(n, np.int64)
    parts: list[tuple[Ints, ...]] = []
    while active.size:
        held = stay[active, state]
        length = 1 + np.floor(np.log1p(-rng.random(active.size)) / np.log(held)).astype(np.int64)
        rows = jumps[active, state]
        after = (rng.random(active.size)[:, None] * rows[:, -1:] >= rows).sum(axis=1)
        second = rng.integers(1, HOUR_S + 1, active.size)
        parts.append((active, state, hour, hour + length, second, after))
        goes_on = after < TRANSIENT
        active, state, hour = active[goes_on], after[goes_on], (hour + length)[goes_on]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.lexsort((columns[2], columns[0]))
    return Path(*(column[order] for column in columns))


def initial_severity(mean: Floats, sd: Floats) -> Floats:
    """A normal severity cut into levels (n x LEVELS)."""
    from math import sqrt

    edges = np.arange(LEVELS - 1) + 0.5
    z = (edges[None, :] - mean[:, None]) / (sd[:, None] * sqrt(2.0))
    below = 0.5 * (1 + _erf(z))
    ends = np.ones((len(mean), 1))
    return np.diff(np.concatenate([np.zeros_like(ends), below, ends], axis=1), axis=1)


def _erf(x: Floats) -> Floats:
    """The error function to 1e-7 (Abramowitz and Stegun 7.1.26)."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    poly = t * (
        0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))
    )
    return np.asarray(np.sign(x) * (1 - poly * np.exp(-x * x)))
