"""triage, vitalsign, diagnosis of the ED."""

from __future__ import annotations

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import Floats, Ints
from ehrlich.charts.hospital.course import HOUR_S
from ehrlich.charts.hospital.records.calendar import icd_ten
from ehrlich.charts.hospital.records.frames import Tables, picked, table, times
from ehrlich.charts.hospital.records.lab_values import Effects, moved
from ehrlich.charts.hospital.scene import COMORBID, Scene, every


def vital_values(
    scene: Scene, effects: Effects, *, asked: tuple[Ints, Ints], key: str, rng: np.random.Generator
) -> Floats:
    """Values of one vital sign at (encounter, second), rounded as a monitor shows them."""
    encounter, second = asked
    vitals = list(scene.arrays.book.vitals)
    column = vitals.index(key)
    vital = scene.arrays.book.vitals[key]
    severity = scene.appearance[scene.hour_row(encounter, second)]
    shift = moved(
        effects, encounter, column=np.full(len(encounter), column), time_s=second, severity=severity
    )
    most = STRONG.get(key, 3.5)
    over = np.sign(shift) * (most + 0.4 * (np.abs(shift) - most))
    shift = np.where(np.abs(shift) > most, over, shift) + effects.person[encounter, column]
    value = vital.mean + vital.sd * (shift + rng.normal(0, 0.45, len(encounter)))
    low, high = LIMITS.get(key, (0.0, 300.0))
    digits = 1 if key == "temperature" else 0
    return np.asarray(np.round(np.clip(value, low, high), digits))


# Beyond this many SDs findings of several problems no longer add up.
STRONG = {"temperature": 6.0}
LIMITS = {
    "heart_rate": (28.0, 205.0),
    "sbp": (52.0, 245.0),
    "dbp": (25.0, 150.0),
    "map": (35.0, 170.0),
    "sbp_arterial": (52.0, 245.0),
    "dbp_arterial": (25.0, 150.0),
    "map_arterial": (35.0, 170.0),
    "resp_rate": (5.0, 52.0),
    "spo2": (62.0, 100.0),
    "temperature": (90.5, 106.5),
    "gcs_eye": (1.0, 4.0),
    "gcs_verbal": (1.0, 5.0),
    "gcs_motor": (1.0, 6.0),
    "pain": (0.0, 10.0),
}


def emergency_records(scene: Scene, effects: Effects, *, rng: np.random.Generator) -> Tables:
    """The three tables."""
    return {
        "ed/triage": _triage(scene, effects, rng),
        "ed/vitalsign": _vitalsign(scene, effects, rng),
        "ed/diagnosis": _diagnosis(scene, rng),
    }


def _columns(
    scene: Scene, effects: Effects, asked: tuple[Ints, Ints], rng: np.random.Generator
) -> dict[str, pl.Series]:
    found: dict[str, pl.Series] = {}
    for key, vital in scene.arrays.book.vitals.items():
        if not vital.ed_column:
            continue
        value = vital_values(scene, effects, asked=asked, key=key, rng=rng)
        series = pl.Series(value)
        if key == "pain":
            words = rng.random(len(value))
            said = pl.select(
                pl.when(pl.Series(words < 0.04))
                .then(pl.lit("UTA"))
                .when(pl.Series(words < 0.07))
                .then(pl.lit("Critical"))
                .otherwise(series.cast(pl.Int64).cast(pl.String))
            )
            series = said.to_series()
        found[vital.ed_column] = series.set(pl.Series(rng.random(len(value)) < 0.05), None)
    return _ordered_pressures(found)


def _ordered_pressures(columns: dict[str, pl.Series]) -> dict[str, pl.Series]:
    """Diastolic stays below systolic."""
    if "sbp" in columns and "dbp" in columns:
        both = pl.DataFrame({"s": columns["sbp"], "d": columns["dbp"]})
        columns["dbp"] = both.select(
            pl.when(pl.col("d") > pl.col("s") - 15)
            .then((0.62 * pl.col("s")).round(0))
            .otherwise(pl.col("d"))
        ).to_series()
    return columns


def _triage(scene: Scene, effects: Effects, rng: np.random.Generator) -> pl.DataFrame:
    rows = np.flatnonzero(scene.ed_id >= 0)
    second = scene.encounters.start_s[rows] + 1
    shown = scene.appearance[scene.hours_from[rows]]
    acuity = np.clip(np.round(3.6 - 0.55 * shown + rng.normal(0, 0.45, len(rows))), 1, 5).astype(
        np.int64
    )
    return table(
        "ed/triage",
        {
            "subject_id": pl.Series(scene.of_subject[rows]),
            "stay_id": pl.Series(scene.ed_id[rows]),
            **_columns(scene, effects, (rows, second), rng),
            "acuity": pl.Series(acuity).set(pl.Series(rng.random(len(rows)) < 0.015), None),
            "chiefcomplaint": complaints(scene, rows, rng=rng),
        },
    )


def complaints(scene: Scene, rows: Ints, *, rng: np.random.Generator) -> pl.Series:
    """What brought them: one or two of the condition's complaints."""
    listed = [c.chief_complaints or (c.title,) for c in scene.arrays.book.conditions.values()]
    count = np.array([len(x) for x in listed])
    first = np.concatenate([[0], count.cumsum()[:-1]])
    flat = [text for x in listed for text in x]
    condition = scene.encounters.condition[rows]
    one = (rng.random(len(rows)) ** 1.7 * count[condition]).astype(np.int64)
    two = (one + 1 + rng.integers(0, 3, len(rows))) % count[condition]
    both = (rng.random(len(rows)) < 0.3) & (two != one)
    lead = picked(flat, first[condition] + one)
    tail = picked(flat, np.where(both, first[condition] + two, -1))
    return (
        pl.DataFrame({"a": lead, "b": tail})
        .select(pl.concat_str("a", "b", separator=", ", ignore_nulls=True))
        .to_series()
    )


def _vitalsign(scene: Scene, effects: Effects, rng: np.random.Generator) -> pl.DataFrame:
    rows = np.flatnonzero(scene.ed_id >= 0)
    row, second = every(
        scene.encounters.start_s[rows] + 1500, scene.ed_out_s[rows], period_s=110 * 60
    )
    who = rows[row]
    second = np.minimum(second + 60 * rng.integers(0, 70, len(who)), scene.ed_out_s[who])
    rhythm = rng.random(len(who))
    columns = _columns(scene, effects, (who, second), rng)
    for name in ("temperature",):
        columns[name] = columns[name].set(pl.Series(rng.random(len(who)) < 0.3), None)
    frame = {
        "subject_id": pl.Series(scene.of_subject[who]),
        "stay_id": pl.Series(scene.ed_id[who]),
        "charttime": times(second),
        **columns,
        "rhythm": picked(
            ["Sinus Rhythm", "Atrial Fibrillation"],
            np.where(rhythm < 0.035, 0, np.where(rhythm < 0.04, 1, -1)),
        ),
    }
    return table("ed/vitalsign", frame)


def _diagnosis(scene: Scene, rng: np.random.Generator) -> pl.DataFrame:
    """Codes of the ED: the principal problem, then some of what is known."""
    problems = scene.problems
    book = scene.arrays.book
    keep = (scene.ed_id[problems.encounter] >= 0) & (
        (problems.role != COMORBID) | (rng.random(len(problems.role)) < 0.25)
    )
    keep &= problems.onset_s <= scene.ed_out_s[problems.encounter] + HOUR_S * 0
    who, condition = problems.encounter[keep], problems.condition[keep]
    first = np.append(True, np.diff(who) > 0)[: len(who)]
    seq = np.arange(len(who)) - np.maximum.accumulate(np.where(first, np.arange(len(who)), 0)) + 1
    ten = icd_ten(scene)[who]
    listed = list(book.conditions.values())
    codes = [(9, c.icd9[0]) for c in listed] + [(10, c.icd10[0]) for c in listed]
    at = condition + np.where(ten, len(listed), 0)
    return table(
        "ed/diagnosis",
        {
            "subject_id": pl.Series(scene.of_subject[who]),
            "stay_id": pl.Series(scene.ed_id[who]),
            "seq_num": pl.Series(seq),
            "icd_code": picked([c for _, c in codes], at),
            "icd_version": pl.Series(np.where(ten, 10, 9)),
            "icd_title": picked([book.titles[(v, c)].upper() for v, c in codes], at),
        },
    )
