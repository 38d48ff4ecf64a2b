"""Exact risks of every outcome at every hidden state: the recursions of the course's chain.

A change in step k happens u seconds into it, u uniform in 1..3600, so a deadline inside a step is
met with a known share of the hour. Ready patients leave the ward in the next hour that starts
between 9:00 and 18:59. Deaths at home are counted up to the next encounter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ehrlich.charts.hospital.arrays import LEVELS, Floats, Ints
from ehrlich.charts.hospital.course import (
    DEAD,
    HOME,
    HOUR_S,
    ICU,
    TRANSIENT,
    WARD,
)

DAY_S = 24 * HOUR_S
FIRST_HOUR_OUT, LAST_HOUR_OUT = 9, 18
HOME_DEATH_DAYS, HOME_DEATH_MEAN_D = 60, 18.0
# ED departures are recorded to the minute below, ICU arrivals to the second: the share of
# arrivals in the last of the 12 hours that still counts.
LAST_HOUR_SHARE = 1771 / 3600

_WARD = slice(WARD * LEVELS, (WARD + 1) * LEVELS)
_ICU = slice(ICU * LEVELS, (ICU + 1) * LEVELS)
_ED = slice(0, 2 * LEVELS)


@dataclass(frozen=True, slots=True)
class Horizons:
    """P(ready to go home) and P(dead) within j hours (steps + 1 x n x TRANSIENT)."""

    home: Floats
    dead: Floats


def death_in_hospital(matrix: Floats) -> Floats:
    """P(dies in this stay) from each transient state (n x TRANSIENT)."""
    return _absorbed(matrix, slice(0, TRANSIENT), matrix[:, :TRANSIENT, DEAD])


def _absorbed(matrix: Floats, states: slice, gain: Floats) -> Floats:
    """Solve v = Qv + gain on a block of states."""
    within = np.eye(states.stop - states.start) - matrix[:, states, states]
    return np.asarray(np.linalg.solve(within, gain[..., None])[..., 0])


def admission(matrix: Floats) -> Floats:
    """P(the ED visit leads to an admission) from each ED state (n x 12)."""
    return _absorbed(matrix, _ED, matrix[:, _ED, WARD * LEVELS : TRANSIENT].sum(axis=2))


def icu_within_12h(matrix: Floats) -> Floats:
    """P(in the ICU within 12 h of leaving the ED) from each ED state."""
    on_ward = np.zeros((len(matrix), LEVELS))
    enter = matrix[:, _WARD, _ICU].sum(axis=2)
    inside = matrix[:, _WARD, _WARD]
    before = on_ward
    for _ in range(12):
        before, on_ward = on_ward, enter + (inside @ on_ward[..., None])[..., 0]
    value = (1 - LAST_HOUR_SHARE) * before + LAST_HOUR_SHARE * on_ward
    return _from_ed(matrix, on_ward=value, dead=0.0)


def ed_critical(matrix: Floats, mortality: Floats) -> Floats:
    """P(in the ICU within 12 h of leaving the ED, or dies in the ED or in the stay it leads to)."""
    on_ward = mortality[:, _WARD]
    settled = matrix[:, _WARD, _ICU].sum(axis=2) + matrix[:, _WARD, DEAD]
    inside = matrix[:, _WARD, _WARD]
    before = on_ward
    for _ in range(12):
        before, on_ward = on_ward, settled + (inside @ on_ward[..., None])[..., 0]
    value = (1 - LAST_HOUR_SHARE) * before + LAST_HOUR_SHARE * on_ward
    return _from_ed(matrix, on_ward=value, dead=1.0)


def _from_ed(matrix: Floats, *, on_ward: Floats, dead: float) -> Floats:
    gain = (matrix[:, _ED, _WARD] @ on_ward[..., None])[..., 0]
    gain = gain + matrix[:, _ED, _ICU].sum(axis=2) + dead * matrix[:, _ED, DEAD]
    return _absorbed(matrix, _ED, gain)


def icu_again(matrix: Floats) -> Floats:
    """P(another ICU stay in this hospital stay) from each ward state (n x LEVELS)."""
    return _absorbed(matrix, _WARD, matrix[:, _WARD, _ICU].sum(axis=2))


def horizons(matrix: Floats, steps: int) -> Horizons:
    """Absorption within 0..steps hours from each transient state."""
    inside = matrix[:, :TRANSIENT, :TRANSIENT]
    gain = matrix[:, :TRANSIENT][:, :, [HOME, DEAD]]
    table = np.zeros((steps + 1, len(matrix), TRANSIENT, 2))
    for step in range(steps):
        table[step + 1] = inside @ table[step] + gain
    return Horizons(table[..., 0], table[..., 1])


def icu_survival(matrix: Floats, steps: int) -> Floats:
    """P(still in the same ICU stay after j hours), (steps + 1 x n x LEVELS)."""
    table = np.ones((steps + 1, len(matrix), LEVELS))
    for step in range(steps):
        table[step + 1] = (matrix[:, _ICU, _ICU] @ table[step][..., None])[..., 0]
    return table


def leaving_step(ready: Ints, start_s: Ints) -> Ints:
    """Step in which who is ready in step `ready` leaves (start_s: epoch seconds of step 0)."""
    hour = (start_s // HOUR_S + ready) % 24
    wait = np.where(hour < FIRST_HOUR_OUT, FIRST_HOUR_OUT - hour, 0)
    return np.asarray(ready + np.where(hour > LAST_HOUR_OUT, 24 - hour + FIRST_HOUR_OUT, wait))


def ready_before(leave: Ints, start_s: Ints) -> Ints:
    """Number of first steps such that who is ready in one leaves before step `leave`."""
    last = leave - 1
    hour = (start_s // HOUR_S + last) % 24
    back = np.where(hour < FIRST_HOUR_OUT, hour + 24 - LAST_HOUR_OUT, 0)
    back = np.where(hour > LAST_HOUR_OUT, hour - LAST_HOUR_OUT, back)
    return np.asarray(np.maximum(last - back + 1, 0))


@dataclass(frozen=True, slots=True)
class Rows:
    """Hidden hours: which chain, hour since the start, state; start in epoch seconds."""

    encounter: Ints
    hour: Ints
    state: Ints
    start_s: Ints


def stays_longer(rows: Rows, ahead: Horizons, *, deadline_s: Ints) -> Floats:
    """P(still in hospital `deadline_s` seconds after the start of the encounter)."""
    step, share = deadline_s // HOUR_S, (deadline_s % HOUR_S) / HOUR_S
    gone = np.zeros(len(rows.hour))
    for more, part in ((0, 1 - share), (1, share)):
        dead = _reach(ahead.dead, rows, step + more - rows.hour)
        home = _reach(ahead.home, rows, ready_before(step + more, rows.start_s) - rows.hour)
        gone += part * (dead + home)
    return np.asarray(1 - gone)


def waits_longer(leave: Ints, deadline_s: Ints) -> Floats:
    """The same for who is ready and leaves in step `leave`."""
    return np.clip((HOUR_S * (leave + 1) - deadline_s) / HOUR_S, 0.0, 1.0)


def _reach(table: Floats, rows: Rows, steps: Ints) -> Floats:
    """table[steps, encounter, state]; zero steps or fewer are 0."""
    return np.asarray(table[np.clip(steps, 0, len(table) - 1), rows.encounter, rows.state])


def dies_within(rows: Rows, ahead: Horizons, *, days: int, home_death: Floats) -> Floats:
    """P(death within `days` of the hour, in this stay or at home before another encounter)."""
    steps = 24 * days
    risk = np.asarray(ahead.dead[steps, rows.encounter, rows.state]).copy()
    home = ahead.home[: steps + 1, rows.encounter, rows.state]
    ready = np.diff(home, axis=0)  # steps x rows: ready in the j-th hour from now
    j = np.arange(steps)[:, None]
    leave = leaving_step(rows.hour[None, :] + j, rows.start_s[None, :])
    leave_day = (rows.start_s[None, :] + HOUR_S * leave) // DAY_S
    now_s = rows.start_s + HOUR_S * rows.hour
    last_day = (now_s + days * DAY_S + 1) // DAY_S - 1
    within = home_death_by(last_day[None, :] - leave_day)
    return np.asarray(risk + home_death[rows.encounter] * (ready * within).sum(axis=0))


def home_death_by(day: Ints) -> Floats:
    """P(dead at home by the end of the n-th day after discharge), of those who die at home."""
    day = np.clip(day, 0, HOME_DEATH_DAYS)
    whole = -np.expm1(-HOME_DEATH_DAYS / HOME_DEATH_MEAN_D)
    return np.asarray(-np.expm1(-day / HOME_DEATH_MEAN_D) / whole)


def icu_stays(rows: Rows, survival: Floats, *, deadline_s: Ints) -> Floats:
    """P(the ICU stay lasts until `deadline_s` seconds after the start of the encounter)."""
    step, second = deadline_s // HOUR_S, deadline_s % HOUR_S
    level = rows.state - ICU * LEVELS
    left = np.clip(step - rows.hour, -1, len(survival) - 2)
    here = np.where(left < 0, 1.0, survival[np.maximum(left, 0), rows.encounter, level])
    next_ = np.where(left < 0, 1.0, survival[np.maximum(left, 0) + 1, rows.encounter, level])
    share = np.minimum((HOUR_S - second + 1) / HOUR_S, 1.0)
    return np.asarray(next_ + share * (here - next_))
