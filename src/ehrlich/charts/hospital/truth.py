"""truth/: the hidden conditions, and the exact risk of every outcome at every hour.

A row of `risks` is either a whole hour after the start of an encounter (`moment` = hour) or the
second at which the ED, an ICU stay or the hospital was left alive (`moment` = exit). An outcome is
null where the subject is not at risk of it. Risks are conditional on the hidden state, so no
reader of the chart can do better; see `risks.py` for what counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ehrlich.charts.hospital import risks
from ehrlich.charts.hospital.arrays import LEVELS, Bools, Floats, Ints
from ehrlich.charts.hospital.course import HOUR_S, ICU, WARD, Chain
from ehrlich.charts.hospital.population import MAX_ROUNDS
from ehrlich.charts.hospital.records.frames import ids, picked, times
from ehrlich.charts.hospital.records.stays import Stays
from ehrlich.charts.hospital.returns import (
    PLANNED_FROM_D,
    PLANNED_TO_D,
    RETURN_ADMITTED,
    RETURN_DAYS,
    RETURN_MEAN_D,
)
from ehrlich.charts.hospital.scene import COMORBID, ROLES, Scene

PLACES = ("", "ED", "ward", "ICU")
STAY_DAYS, DEATH_DAYS, ICU_DAYS = (3, 7), (1, 2, 3, 7, 14), (7, 14)
OUTCOMES = (
    "ed_hospitalization",
    "ed_inpatient_mortality",
    "ed_icu_transfer_12h",
    "ed_critical_outcomes",
    "ed_reattendance_3d",
    "inpatient_mortality",
    *(f"length_of_stay_{d}d" for d in STAY_DAYS),
    *(f"icu_mortality_{d}d" for d in DEATH_DAYS),
    *(f"icu_stay_{d}d" for d in ICU_DAYS),
    "icu_readmission",
    "readmission_30d",
    "readmission_60d",
)


def truth_frames(scene: Scene, stays: Stays) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(encounters, risks)."""
    hours, exits = _hours(scene, stays), _exits(scene, stays)
    both = pl.concat([hours, exits]).sort("subject_id", "time", "moment", maintain_order=True)
    return _encounters(scene), both


def _encounters(scene: Scene) -> pl.DataFrame:
    problems = scene.problems
    who = problems.encounter
    return pl.DataFrame(
        {
            "subject_id": scene.of_subject[who],
            "hadm_id": ids(scene.hadm_id[who]),
            "stay_id": ids(scene.ed_id[who]),
            "condition": picked(scene.arrays.keys, problems.condition),
            "role": picked(ROLES, problems.role),
            "onset": times(problems.onset_s),
            "severity": np.where(
                problems.role == COMORBID,
                np.round(scene.old_severity[scene.encounters.subject[who], problems.condition]),
                scene.severity[scene.hour_row(who, problems.onset_s)],
            ).astype(np.int8),
        }
    )


@dataclass(frozen=True, slots=True)
class Hidden:
    """Every hour of the block: which encounter, hour, state, and whether only waiting to leave."""

    encounter: Ints
    hour: Ints
    state: Ints
    place: Ints
    ready: Bools


def hidden_hours(scene: Scene) -> Hidden:
    """The hourly columns of a scene as rows."""
    length = scene.path.last - scene.path.first
    encounter = np.repeat(np.arange(scene.n), np.diff(scene.hours_from))
    hour = np.arange(len(encounter)) - scene.hours_from[:-1][encounter]
    state = np.full(len(encounter), -1)
    row = np.repeat(scene.hours_from[scene.path.encounter] + scene.path.first, length)
    within = np.arange(len(row)) - np.repeat(length.cumsum() - length, length)
    state[row + within] = np.repeat(scene.path.state, length)
    waiting = scene.ready
    state[waiting] = scene.place[waiting] * LEVELS + scene.severity[waiting]
    return Hidden(encounter, hour, state, scene.place, scene.ready)


def _hours(scene: Scene, stays: Stays) -> pl.DataFrame:
    hidden = hidden_hours(scene)
    n = len(hidden.hour)
    found = {name: np.full(n, np.nan) for name in OUTCOMES}
    time_s = scene.encounters.start_s[hidden.encounter] + HOUR_S * hidden.hour
    _fill_ed(scene, hidden, found)
    _fill_ward(scene, hidden, found, time_s)
    icu_row = _fill_icu(scene, stays, hidden, found)
    stay_id = np.where(hidden.place == 1, scene.ed_id[hidden.encounter], -1)
    stay_id = np.where(icu_row >= 0, stays.transfer_id[np.maximum(icu_row, 0)], stay_id)
    return _frame(
        scene,
        (hidden.encounter, time_s, hidden.place, hidden.state % LEVELS),
        (stay_id, "hour"),
        found,
    )


def _frame(
    scene: Scene,
    where: tuple[Ints, Ints, Ints, Ints],
    which: tuple[Ints, str],
    found: dict[str, Floats],
) -> pl.DataFrame:
    encounter, time_s, place, severity = where
    outcomes = {k: pl.Series(v.astype(np.float32)).fill_nan(None) for k, v in found.items()}
    return pl.DataFrame(
        {
            "subject_id": scene.of_subject[encounter],
            "hadm_id": ids(scene.hadm_id[encounter]),
            "stay_id": ids(which[0]),
            "time": times(time_s),
            "moment": pl.Series([which[1]], dtype=pl.String).new_from_index(0, len(encounter)),
            "place": picked(PLACES, place),
            "severity": severity.astype(np.int8),
            **outcomes,
        }
    )


def _fill_ed(scene: Scene, hidden: Hidden, found: dict[str, Floats]) -> None:
    rows = np.flatnonzero(hidden.place == 1)
    visits = np.flatnonzero(scene.ed_id >= 0)
    number = np.full(scene.n, -1)
    number[visits] = np.arange(len(visits))
    matrix = scene.chain.matrix[visits]
    mortality = risks.death_in_hospital(matrix)
    at = number[hidden.encounter[rows]], hidden.state[rows]
    found["ed_hospitalization"][rows] = risks.admission(matrix)[at]
    found["ed_inpatient_mortality"][rows] = mortality[at]
    found["ed_icu_transfer_12h"][rows] = risks.icu_within_12h(matrix)[at]
    found["ed_critical_outcomes"][rows] = risks.ed_critical(matrix, mortality)[at]


def _fill_ward(scene: Scene, hidden: Hidden, found: dict[str, Floats], time_s: Ints) -> None:
    admitted = np.flatnonzero(scene.admitted)
    number = np.full(scene.n, -1)
    number[admitted] = np.arange(len(admitted))
    matrix = scene.chain.matrix[admitted]
    inside = hidden.place >= WARD
    rows = np.flatnonzero(inside & ~hidden.ready)
    waiting = np.flatnonzero(inside & hidden.ready)
    mortality = risks.death_in_hospital(matrix)
    found["inpatient_mortality"][rows] = mortality[
        number[hidden.encounter[rows]], hidden.state[rows]
    ]
    found["inpatient_mortality"][waiting] = 0.0
    ahead = risks.horizons(matrix, 24 * max(STAY_DAYS) + 26)
    admit = (scene.admit_s - scene.encounters.start_s)[hidden.encounter]
    leave = scene.ends.leave_step[hidden.encounter]
    of = _rows(scene, hidden, rows, number)
    for days in STAY_DAYS:
        # Times are recorded to the minute below: leaving counts up to 59 s after the deadline.
        deadline = admit + days * risks.DAY_S + 59
        name = f"length_of_stay_{days}d"
        found[name][rows] = risks.stays_longer(of, ahead, deadline_s=deadline[rows])
        found[name][waiting] = risks.waits_longer(leave[waiting], deadline[waiting])
        over = inside & (HOUR_S * hidden.hour >= deadline)
        found[name][over] = 1.0


def _rows(scene: Scene, hidden: Hidden, rows: Ints, number: Ints) -> risks.Rows:
    encounter = hidden.encounter[rows]
    return risks.Rows(
        number[encounter],
        hidden.hour[rows],
        hidden.state[rows],
        scene.encounters.start_s[encounter],
    )


def _fill_icu(scene: Scene, stays: Stays, hidden: Hidden, found: dict[str, Floats]) -> Ints:
    """Fills the outcomes of ICU hours; returns the spell of each hour (-1 outside the ICU)."""
    spells = scene.places
    spell = np.full(len(hidden.hour), -1)
    rows = np.flatnonzero(hidden.place == ICU)
    if not rows.size:
        return spell
    of = stays.icu_row
    entered_hour = (
        spells.start_s[of] - scene.encounters.start_s[spells.encounter[of]] + HOUR_S - 1
    ) // HOUR_S
    key = spells.encounter[of] * (1 << 32) + entered_hour
    at = np.searchsorted(key, hidden.encounter[rows] * (1 << 32) + hidden.hour[rows], "right") - 1
    spell[rows] = of[at]
    patients = np.unique(spells.encounter[of])
    number = np.full(scene.n, -1)
    number[patients] = np.arange(len(patients))
    matrix = scene.chain.matrix[patients]
    ahead = risks.horizons(matrix, 24 * max(DEATH_DAYS))
    asked = _rows(scene, hidden, rows, number)
    home_death = scene.encounters.p_home_death[patients]
    for days in DEATH_DAYS:
        found[f"icu_mortality_{days}d"][rows] = risks.dies_within(
            asked, ahead, days=days, home_death=home_death
        )
    survival = risks.icu_survival(matrix, 24 * max(ICU_DAYS) + 2)
    since = (spells.start_s - scene.encounters.start_s[spells.encounter])[spell[rows]]
    for days in ICU_DAYS:
        found[f"icu_stay_{days}d"][rows] = risks.icu_stays(
            asked, survival, deadline_s=since + days * risks.DAY_S
        )
    return spell


def readmission(scene: Scene, days: int) -> Floats:
    """P(admitted again within `days` of discharge) for each encounter, planned returns included."""
    whole = -np.expm1(-RETURN_DAYS / RETURN_MEAN_D)
    unplanned = -np.expm1(-min(days, RETURN_DAYS) / RETURN_MEAN_D) / whole
    # Planned returns fall on whole days; day 29 comes early, day 30 late.
    planned = (min(days, PLANNED_TO_D) - PLANNED_FROM_D) / (PLANNED_TO_D - PLANNED_FROM_D)
    risk = (
        scene.encounters.p_return * RETURN_ADMITTED * unplanned
        + scene.encounters.p_planned * planned
    )
    return np.asarray(np.where(_last_round(scene), 0.0, risk))


def _last_round(scene: Scene) -> Bools:
    """Encounters that are the last the block allows a subject."""
    new = np.append(True, np.diff(scene.encounters.subject) > 0)
    rank = np.arange(scene.n) - np.maximum.accumulate(np.where(new, np.arange(scene.n), 0))
    return np.asarray(rank == MAX_ROUNDS - 1)


def _exits(scene: Scene, stays: Stays) -> pl.DataFrame:
    """Rows at the second of leaving the ED (not admitted), an ICU stay, or the hospital, alive."""
    spells = scene.places
    last_row = scene.hours_from[1:] - 1
    home = np.flatnonzero(~scene.ends.dead)
    from_ed = home[~scene.admitted[home]]
    from_hospital = home[scene.admitted[home]]
    goes_on = np.append(np.diff(spells.encounter) == 0, False)
    icu = stays.icu_row[goes_on[stays.icu_row]]
    who = spells.encounter[icu]
    hour = (spells.end_s[icu] - scene.encounters.start_s[who]) // HOUR_S
    row = np.minimum(scene.hours_from[who] + hour, last_row[who])
    # The state on the ward is the one of the first whole hour there.
    ward = np.minimum(
        scene.hours_from[who]
        + (spells.end_s[icu] - scene.encounters.start_s[who] + HOUR_S - 1) // HOUR_S,
        last_row[who],
    )
    again = _icu_again(scene.chain, who)[np.arange(len(who)), scene.severity[ward]]
    encounter = np.concatenate([from_ed, from_hospital, who])
    found = {name: np.full(len(encounter), np.nan) for name in OUTCOMES}
    a, b = len(from_ed), len(from_ed) + len(from_hospital)
    found["ed_reattendance_3d"][:a] = np.where(
        _last_round(scene), 0.0, scene.encounters.p_reattend
    )[from_ed]
    for days in (30, 60):
        found[f"readmission_{days}d"][a:b] = readmission(scene, days)[from_hospital]
    found["icu_readmission"][b:] = again
    time_s = np.concatenate([scene.left_s[from_ed], scene.left_s[from_hospital], spells.end_s[icu]])
    at = np.concatenate([last_row[from_ed], last_row[from_hospital], row])
    place = np.repeat([1, WARD, ICU], [a, b - a, len(icu)])
    stay_id = np.concatenate([scene.ed_id[from_ed], np.full(b - a, -1), stays.transfer_id[icu]])
    return _frame(scene, (encounter, time_s, place, scene.severity[at]), (stay_id, "exit"), found)


def _icu_again(chain: Chain, encounter: Ints) -> Floats:
    if not encounter.size:
        return np.zeros((0, LEVELS))
    return risks.icu_again(chain.matrix[encounter])
