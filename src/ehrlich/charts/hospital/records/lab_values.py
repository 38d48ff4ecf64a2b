"""How the hidden course moves labs and vital signs, and what the analyser makes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ehrlich.charts.hospital.arrays import Floats, Ints
from ehrlich.charts.hospital.scene import COMPLICATION, Scene

CHRONIC_SHARE, LARGE = 0.45, 4.0


@dataclass(frozen=True, slots=True)
class Effects:
    """SDs by which each encounter's labs move: principal at severity 3, chronic, complications."""

    acute: Floats
    usual_dose: Floats  # at the principal condition's usual severity
    chronic: Floats
    late: Floats  # one row a complication
    late_of: Ints  # its encounter
    late_from_s: Ints


def effects_of(scene: Scene, effect: Floats, *, share: Floats, rng: np.random.Generator) -> Effects:
    """Which findings each person shows, and by how much (SDs), for labs or vital signs."""
    principal = scene.encounters.condition
    acute = effect[principal] * (rng.random((scene.n, effect.shape[1])) < share[principal])
    chronic = scene.encounters.chronic.astype(float) @ (effect * share) * CHRONIC_SHARE
    problems = scene.problems
    late = np.flatnonzero(problems.role == COMPLICATION)
    what = problems.condition[late]
    shown = effect[what] * (rng.random((len(late), effect.shape[1])) < share[what])
    usual = dose(scene.arrays.severity_mean[principal])
    return Effects(
        acute,
        usual,
        np.clip(chronic, -2.5, 2.5),
        shown,
        problems.encounter[late],
        problems.onset_s[late],
    )


def dose(severity: Floats) -> Floats:
    """How far findings go at a severity: in proportion up to 3, more slowly above."""
    return np.asarray(np.minimum(severity, 3) / 3 + 0.12 * np.maximum(severity - 3, 0))


def moved(
    effects: Effects, encounter: Ints, *, column: Ints, time_s: Ints, severity: Floats
) -> Floats:
    """SDs by which the given measurements are moved."""
    size = effects.acute[encounter, column]
    usual = effects.usual_dose[encounter]
    change = dose(severity) - usual
    # Very large changes (a drink, a pregnancy) hardly follow the severity.
    acute = size * (usual + np.where(np.abs(size) > LARGE, 0.3, 1.0) * change)
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
            gain = effects.late[order[row], column] * dose(np.maximum(severity, 1.5))
            shift = shift + np.where(mine, gain, 0.0)
    return np.asarray(shift)


def lab_values(
    scene: Scene,
    of: tuple[Ints, Ints, Ints],
    *,
    rows: tuple[Ints, Ints],
    rng: np.random.Generator,
) -> Floats:
    """Rounded values of `rows` (draw, lab); `of`: encounter, subject and second of each draw."""
    draw, lab = rows
    arrays, listed = scene.arrays, list(scene.arrays.book.labs.values())
    effects = effects_of(scene, arrays.lab_effect, share=arrays.lab_share, rng=rng)
    baseline = rng.normal(0, 0.45, (len(scene.subject_id), len(listed)))
    person = rng.normal(0, 0.3, (scene.n, len(listed)))
    encounter, subject, time_s = (column[draw] for column in of)
    inside = encounter >= 0
    known = np.where(inside, encounter, 0)
    severity = scene.appearance[scene.hour_row(known, time_s)]
    shift = moved(effects, known, column=lab, time_s=time_s, severity=severity) + person[known, lab]
    z = baseline[subject, lab] + np.where(inside, shift, 0.0) + rng.normal(0, 0.35, len(draw))
    mean, sd = (np.array([getattr(x, name) for x in listed], float)[lab] for name in ("mean", "sd"))
    log = np.array([x.log for x in listed])[lab]
    value = np.where(log, mean * np.exp(np.clip(z * sd, -8, 11)), mean + z * sd)
    floor = np.where(log, 0.0, np.maximum(mean - 7 * sd, 0.05 * np.abs(mean)))
    value = np.maximum(value, np.where(mean > 0, floor, -60.0))
    percent = np.array([x.unit == "%" for x in listed])[lab]
    value = np.where(percent, np.minimum(value, 100.0), value)
    value = _consistent(value, draw, lab, list(arrays.book.labs))
    bounds = np.array([POSSIBLE.get(key, (-1e9, 1e9)) for key in arrays.book.labs])[lab]
    soft = np.where(bounds[:, 1] > 3 * mean, _below(value, bounds[:, 1]), value)
    value = np.clip(soft, bounds[:, 0], bounds[:, 1])
    scale = 10.0 ** np.array([x.decimals for x in listed])[lab]
    return np.asarray(np.round(value * scale) / scale)


# What is compatible with a living patient.
POSSIBLE = {
    "glucose": (18.0, 1150.0),
    "sodium": (102.0, 176.0),
    "potassium": (1.8, 8.9),
    "chloride": (65.0, 140.0),
    "bicarbonate": (4.0, 48.0),
    "creatinine": (0.2, 16.0),
    "urea_nitrogen": (3.0, 190.0),
    "pco2": (12.0, 120.0),
    "hemoglobin": (4.0, 21.0),
    "hba1c": (4.0, 15.8),
    "crp": (0.1, 480.0),
    "ethanol": (0.0, 560.0),
    "ntprobnp": (5.0, 70_000.0),
    "bilirubin_total": (0.1, 45.0),
    "urine_glucose": (0.0, 1300.0),
    "urine_ketone": (0.0, 160.0),
    "d_dimer": (100.0, 24_000.0),
    "ck": (10.0, 120_000.0),
    "hcg": (0.0, 180_000.0),
    "acetaminophen_level": (0.0, 420.0),
    "esr": (1.0, 145.0),
    "beta_hydroxybutyrate": (0.0, 14.0),
    "ph": (6.85, 7.68),
    "wbc": (0.1, 95.0),
    "platelets": (5.0, 1300.0),
    "lactate": (0.4, 20.0),
    "albumin": (1.0, 5.6),
    "calcium": (5.0, 16.0),
    "magnesium": (0.7, 5.0),
    "phosphate": (0.8, 12.0),
}


def _tamed(x: Floats) -> Floats:
    """x at first, never more than 1."""
    return np.asarray(np.log1p(x) / (1 + np.log1p(x)))


def _below(value: Floats, most: Floats) -> Floats:
    """Values that approach a maximum instead of piling up on it."""
    knee = 0.7 * most
    room = most - knee
    excess = np.maximum(value - knee, 0) / np.maximum(room, 1e-9)
    return np.asarray(np.where(value > knee, knee + room * _tamed(excess), value))


# What the analyser computes from other results of the same tube.
_DERIVED = (
    ("hematocrit", ("hemoglobin",), lambda hb: 3.02 * hb),
    ("rbc", ("hematocrit", "mcv"), lambda hct, mcv: 10 * hct / np.maximum(mcv, 50)),
    ("mch", ("hemoglobin", "rbc"), lambda hb, rbc: 10 * hb / np.maximum(rbc, 0.5)),
    ("mchc", ("hemoglobin", "hematocrit"), lambda hb, hct: 100 * hb / np.maximum(hct, 5)),
    (
        "anion_gap",
        ("sodium", "chloride", "bicarbonate"),
        lambda na, cl, co2: np.maximum(na - cl - co2, 3),
    ),
    ("inr", ("pt",), lambda pt: np.maximum(pt / 11.6, 0.8)),
)


def _consistent(value: Floats, draw: Ints, lab: Ints, keys: list[str]) -> Floats:
    """Values with derived results recomputed where all their parts were measured."""
    at = {key: row for row, key in enumerate(keys)}
    count = int(draw[-1]) + 1 if len(draw) else 0
    for target, sources, formula in _DERIVED:
        if target not in at or any(s not in at for s in sources):
            continue
        where = np.full((1 + len(sources), count), -1)
        for line, key in enumerate((target, *sources)):
            mine = lab == at[key]
            where[line, draw[mine]] = np.flatnonzero(mine)
        complete = np.flatnonzero((where >= 0).all(axis=0))
        value[where[0, complete]] = formula(
            *(value[where[1 + i, complete]] for i in range(len(sources)))
        )
    return value
