"""How the hidden course moves labs and vital signs, and what the analyser makes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ehrlich.charts.hospital.arrays import Arrays, Bools, Floats, Ints
from ehrlich.charts.hospital.course import HOUR_S
from ehrlich.charts.hospital.records.chemistry import (
    LINKED,
    POSSIBLE,
    TWINS,
    agreeing,
    below,
    whole_gap,
)
from ehrlich.charts.hospital.records.drugs import HomeDrugs
from ehrlich.charts.hospital.scene import COMPLICATION, Scene

# Beyond LARGE SDs findings hardly follow the severity of the moment; they all fade with recovery.
LARGE, STEADY, CHRONIC_MOST = 4.0, 0.3, 12.0
OPERATED_S = 5 * HOUR_S
# Of several old diseases the strongest shows in full, the others add this share.
ADDED = 0.3


@dataclass(frozen=True, slots=True)
class Kind:
    """What sets labs and vital signs apart: how much people differ, how fast a change shows."""

    spread: float
    rise_s: int


LABS, VITALS = Kind(0.3, 36 * HOUR_S), Kind(0.6, HOUR_S)


@dataclass(frozen=True, slots=True)
class Effects:
    """SDs by which each encounter's labs move: principal at severity 3, chronic, complications."""

    acute: Floats
    acute_from_s: Ints  # from when they show: what an operation does shows after it
    usual_dose: Floats  # at the principal condition's usual severity
    first_dose: Floats  # as it showed on arrival
    chronic: Floats
    person: Floats  # what is usual for this person at this time
    late: Floats  # one row a complication
    late_of: Ints  # its encounter
    late_from_s: Ints
    late_dose: Floats  # at its usual severity
    rise_s: int  # how long a complication takes to show in full


def effects_of(
    scene: Scene,
    findings: tuple[Floats, Floats],
    *,
    linked: Ints | None = None,
    kind: Kind,
    rng: np.random.Generator,
) -> Effects:
    """Which findings each person shows, and by how much (SDs), for labs or vital signs.

    `findings`: effect and share of every condition. `linked`: the column whose presence decides.
    """
    effect, share = findings
    width = effect.shape[1]
    link = np.arange(width) if linked is None else linked
    principal = scene.encounters.condition
    acute = effect[principal] * (rng.random((scene.n, width))[:, link] < share[principal])
    problems = scene.problems
    late = np.flatnonzero(problems.role == COMPLICATION)
    what = problems.condition[late]
    shown = effect[what] * (rng.random((len(late), width))[:, link] < share[what])
    return Effects(
        acute=acute,
        acute_from_s=scene.encounters.start_s + np.where(scene.encounters.planned, OPERATED_S, 0),
        usual_dose=dose(scene.arrays.severity_mean[principal]),
        first_dose=dose(scene.appearance[scene.hours_from[:-1]]),
        chronic=_carried(scene, findings, link, rng),
        person=rng.normal(0, kind.spread, (scene.n, width)),
        late=shown,
        late_of=problems.encounter[late],
        late_from_s=problems.onset_s[late],
        late_dose=dose(scene.arrays.severity_mean[what]),
        rise_s=kind.rise_s,
    )


def _carried(
    scene: Scene, findings: tuple[Floats, Floats], link: Ints, rng: np.random.Generator
) -> Floats:
    """What old diseases do all the time (n x columns); a person shows the same at every visit."""
    effect, share = findings
    subject, had = scene.encounters.subject, scene.encounters.chronic
    usual = scene.arrays.severity_mean
    total = np.zeros((2, scene.n, effect.shape[1]))
    most = np.zeros_like(total)
    for row in np.flatnonzero(had.any(axis=0) & share.any(axis=1)):
        rows = np.flatnonzero(had[:, row])
        shows = rng.random((len(scene.subject_id), effect.shape[1]))[:, link] < share[row]
        stage = np.clip(0.5 + 0.5 * scene.old_severity[:, row] / usual[row], 0.75, 1.3)
        size = (effect[row] * shows * stage[:, None])[subject[rows]]
        for side, one in enumerate((np.maximum(size, 0), np.minimum(size, 0))):
            total[side, rows] += one
            most[side, rows] = np.where(
                np.abs(one) > np.abs(most[side, rows]), one, most[side, rows]
            )
    return np.asarray((most + ADDED * (total - most)).sum(axis=0))


def with_drugs(
    scene: Scene, effects: Effects, *, home: HomeDrugs, rng: np.random.Generator
) -> Effects:
    """The same with what the drugs taken at home do: an anticoagulated person has a long PT."""
    chronic, labs = effects.chronic.copy(), list(scene.arrays.book.labs)
    for row, drug in enumerate(scene.arrays.book.drugs.values()):
        for key, finding in drug.labs.items():
            own = finding.size * rng.uniform(0.6, 1.4, len(scene.subject_id))
            own = own * (rng.random(len(own)) < finding.p)
            takes = home.encounter[home.drug == row]
            sign = 1.0 if finding.direction == "high" else -1.0
            chronic[takes, labs.index(key)] += sign * own[scene.encounters.subject[takes]]
    return replace(effects, chronic=np.clip(chronic, -CHRONIC_MOST, CHRONIC_MOST))


def dose(severity: Floats) -> Floats:
    """How far findings go at a severity: in proportion up to 3, more slowly above."""
    return np.asarray(np.minimum(severity, 3) / 3 + 0.12 * np.maximum(severity - 3, 0))


def moved(
    effects: Effects, encounter: Ints, *, column: Ints, time_s: Ints, severity: Floats
) -> Floats:
    """SDs by which the given measurements are moved."""
    size, now = effects.acute[encounter, column], dose(severity)
    acute = size * np.where(np.abs(size) > LARGE, _steady(effects, encounter, now), now)
    acute = np.where(time_s < effects.acute_from_s[encounter], 0.0, acute)
    chronic = effects.chronic[encounter, column]
    # The same change from two causes does not double.
    same = acute * chronic > 0
    less = np.where(np.abs(acute) < np.abs(chronic), acute, chronic)
    shift = acute + chronic - np.where(same, 0.7 * less, 0.0)
    if len(effects.late_of):
        order = np.argsort(effects.late_of, kind="stable")
        owner = effects.late_of[order]
        first = np.searchsorted(owner, encounter)
        for ahead in range(int(np.bincount(owner).max())):
            row = np.minimum(first + ahead, len(owner) - 1)
            mine = (owner[row] == encounter) & (effects.late_from_s[order[row]] <= time_s)
            change = effects.late[order[row], column]
            usual = effects.late_dose[order[row]]
            far = np.where(np.abs(change) > LARGE, usual, dose(np.maximum(severity, 1.5)))
            since = (time_s - effects.late_from_s[order[row]]) / effects.rise_s
            shift = shift + np.where(mine, change * far * np.clip(since, 0.1, 1.0), 0.0)
    return np.asarray(shift)


def _steady(effects: Effects, encounter: Ints, now: Floats) -> Floats:
    """Dose of a large finding: near the usual one on arrival, fading as the patient recovers."""
    usual, first = effects.usual_dose[encounter], effects.first_dose[encounter]
    change = np.where(
        now > first, 1 + STEADY * (now - first) / (first + 0.1), (now + 0.1) / (first + 0.1)
    )
    return np.asarray((usual + STEADY * (first - usual)) * change)


def lab_effects(scene: Scene, home: HomeDrugs, *, rng: np.random.Generator) -> Effects:
    """Effects on the labs, of diseases and of home drugs."""
    keys, arrays = list(scene.arrays.book.labs), scene.arrays
    linked = _mapped(keys, LINKED)
    found = effects_of(
        scene, (arrays.lab_effect, arrays.lab_share), linked=linked, kind=LABS, rng=rng
    )
    return with_drugs(scene, found, home=home, rng=rng)


def linked_vitals(arrays: Arrays) -> Ints:
    """Columns whose presence decides for the others: the pressures go together."""
    return _mapped(list(arrays.book.vitals), {"dbp": "sbp", "map": "sbp"})


def _mapped(keys: list[str], to: dict[str, str]) -> Ints:
    return np.array([keys.index(to.get(key, key)) for key in keys])


def lab_values(
    scene: Scene,
    of: tuple[Ints, Ints, Ints],
    *,
    rows: tuple[Ints, Ints, Ints],
    effects: Effects,
    rng: np.random.Generator,
) -> Floats:
    """Rounded values of `rows` (draw, lab, moment); `of`: encounter or -1, the encounter
    whose diseases show, and the second of a draw.
    """
    draw, lab, moment = rows
    listed, keys = list(scene.arrays.book.labs.values()), list(scene.arrays.book.labs)
    # The same substance in another tube: whole blood potassium and serum potassium.
    column = _mapped(keys, TWINS)[lab]
    baseline = rng.normal(0, 0.45, (len(scene.subject_id), len(listed)))
    encounter, known, time_s = (c[draw] for c in of)
    severity = scene.appearance[scene.hour_row(known, time_s)]
    shift = moved(effects, known, column=column, time_s=time_s, severity=severity)
    shift = np.where(encounter >= 0, shift, effects.chronic[known, column])
    usual = baseline[scene.encounters.subject[known], column] + effects.person[known, column]
    z = usual + shift + rng.normal(0, 0.35, len(draw))
    value = agreeing(_within(scene.arrays, lab, z), moment, lab=lab, keys=keys)
    scale = 10.0 ** np.array([x.decimals for x in listed])[lab]
    return whole_gap(np.asarray(np.round(value * scale) / scale), moment, lab=lab, keys=keys)


def _within(arrays: Arrays, lab: Ints, z: Floats) -> Floats:
    """Values at so many SDs, within what a living patient can have."""
    listed = list(arrays.book.labs.values())
    mean, sd = (np.array([getattr(x, name) for x in listed], float)[lab] for name in ("mean", "sd"))
    log: Bools = np.array([x.log for x in listed])[lab]
    value = np.where(log, mean * np.exp(np.clip(z * sd, -8, 11)), mean + z * sd)
    floor = np.where(log, 0.0, np.maximum(mean - 7 * sd, 0.05 * np.abs(mean)))
    value = np.maximum(value, np.where(mean > 0, floor, -60.0))
    percent = np.array([x.unit == "%" for x in listed])[lab]
    value = np.where(percent, np.minimum(value, 100.0), value)
    bounds = np.array([POSSIBLE.get(key, (-1e9, 1e9)) for key in arrays.book.labs])[lab]
    soft = np.where(bounds[:, 1] > 3 * mean, below(value, bounds[:, 1]), value)
    return np.asarray(np.clip(soft, bounds[:, 0], bounds[:, 1]))
