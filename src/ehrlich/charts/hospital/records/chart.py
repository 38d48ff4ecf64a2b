"""chartevents, outputevents, datetimeevents: what intensive care nurses chart, hour by hour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import Bools, Floats, Ints
from ehrlich.charts.hospital.catalog import IcuItem, Vital
from ehrlich.charts.hospital.course import HOUR_S
from ehrlich.charts.hospital.records.emergency import vital_values
from ehrlich.charts.hospital.records.frames import Tables, caregivers, picked, table, times
from ehrlich.charts.hospital.records.lab_values import Effects
from ehrlich.charts.hospital.records.pressures import charted_pressures
from ehrlich.charts.hospital.records.stays import Stays
from ehrlich.charts.hospital.scene import Scene, Spells, every

SCORES = {
    "gcs_eye": ("None", "To Pain", "To Speech", "Spontaneously"),
    "gcs_verbal": (
        "No Response",
        "Incomprehensible sounds",
        "Inappropriate Words",
        "Confused",
        "Oriented",
    ),
    "gcs_motor": (
        "No response",
        "Abnormal extension",
        "Abnormal Flexion",
        "Flex-withdraws",
        "Localizes Pain",
        "Obeys Commands",
    ),
}
EVERY_H = {"temperature": 4, "gcs_eye": 4, "gcs_verbal": 4, "gcs_motor": 4, "pain": 4}
INTUBATED = "No Response-ETT"
# Numbers of the ventilator and the like: mean, spread, decimals.
SETTINGS = {
    "peep": (6.5, 1.6, 0),
    "tidal_volume_set": (440, 45, 0),
    "tidal_volume_observed": (445, 60, 0),
    "resp_rate_set": (17, 3, 0),
    "minute_volume": (8.4, 1.5, 1),
    "peak_pressure": (23, 5, 0),
    "plateau_pressure": (19, 4, 0),
    "fio2": (46, 9, 0),
    "cvp": (10, 3.5, 0),
    "blood_flow": (160, 22, 0),
    "glucose_fingerstick": (138, 34, 0),
    "o2_flow": (3, 1.3, 0),
}


@dataclass(frozen=True, slots=True)
class IcuTime:
    """(ICU spell, second) pairs at which something may be charted, and what holds there."""

    spell: Ints
    encounter: Ints
    second: Ints
    severity: Floats
    vent: Bools
    pressor: Bools
    crrt: Bools


@dataclass(frozen=True, slots=True)
class Charted:
    """Rows of one item."""

    at: Ints  # rows of an IcuTime
    itemid: int
    value: pl.Series
    number: pl.Series
    unit: str | None


def chart_records(
    scene: Scene, stays: Stays, *, effects: Effects, rng: np.random.Generator
) -> Tables:
    """The three tables."""
    hourly = icu_time(scene, stays, every_h=1)
    return {
        "icu/chartevents": _chartevents(scene, stays, effects, rng),
        "icu/outputevents": _outputs(scene, stays, hourly, rng),
        "icu/datetimeevents": _dates(scene, stays, rng),
    }


def icu_time(scene: Scene, stays: Stays, *, every_h: int) -> IcuTime:
    """Whole hours of ICU stays, every so many."""
    spells = scene.places
    rows = stays.icu_row
    first = spells.start_s[rows] // HOUR_S * HOUR_S + HOUR_S
    row, second = every(first, spells.end_s[rows], period_s=every_h * HOUR_S)
    spell = rows[row]
    encounter = spells.encounter[spell]
    vent, pressor, crrt = (_inside(s, encounter, second) for s in scene.supports)
    severity = scene.appearance[scene.hour_row(encounter, second)]
    return IcuTime(spell, encounter, second, severity, vent, pressor, crrt)


def _inside(spells: Spells, encounter: Ints, second: Ints) -> Bools:
    """Whether each (encounter, second) lies in a spell."""
    if not len(spells.encounter):
        return np.zeros(len(encounter), bool)
    big = 1 << 40
    key = spells.encounter * big + spells.start_s
    at = np.searchsorted(key, encounter * big + second, "right") - 1
    at_ = np.maximum(at, 0)
    return np.asarray(
        (at >= 0) & (spells.encounter[at_] == encounter) & (second < spells.end_s[at_])
    )


def _chartevents(
    scene: Scene, stays: Stays, effects: Effects, rng: np.random.Generator
) -> pl.DataFrame:
    clocks = {hours: icu_time(scene, stays, every_h=hours) for hours in (1, 2, 4, 6, 8, 12, 24)}
    parts = [
        *_vitals(scene, effects, clocks, rng),
        *_items(scene, clocks, rng),
        *_body(scene, clocks[24]),
    ]
    frames = []
    for clock, row in parts:
        frames.append(_rows(scene, stays, clock, row))
    frame = pl.concat(frames).sort(
        "subject_id", "stay_id", "charttime", "itemid", maintain_order=True
    )
    n = frame.height
    lag = pl.Series(60 * rng.integers(0, 55, n) * 1_000_000).cast(pl.Duration("us"))
    frame = frame.with_columns(
        caregiver_id=caregivers(rng, n),
        storetime=pl.col("charttime") + lag,
        warning=pl.Series((rng.random(n) < 0.01).astype(int)),
    )
    return table("icu/chartevents", frame.to_dict())


def _rows(scene: Scene, stays: Stays, clock: IcuTime, row: Charted) -> pl.DataFrame:
    spell, n = clock.spell[row.at], len(row.at)
    who = clock.encounter[row.at]
    return pl.DataFrame(
        {
            "subject_id": scene.of_subject[who],
            "hadm_id": scene.hadm_id[who],
            "stay_id": stays.transfer_id[spell],
            "charttime": times(clock.second[row.at]),
            "itemid": np.full(n, row.itemid),
            "value": row.value.cast(pl.String),
            "valuenum": row.number.cast(pl.Float64),
            "valueuom": pl.Series([row.unit], dtype=pl.String).new_from_index(0, n),
        }
    )


def _vitals(
    scene: Scene, effects: Effects, clocks: dict[int, IcuTime], rng: np.random.Generator
) -> list[tuple[IcuTime, Charted]]:
    parts = []
    hourly = clocks[1]
    charted = {"": rng.random(len(hourly.spell)) < 0.97}
    charted["cuff"] = charted[""] & (~hourly.pressor | (rng.random(len(hourly.spell)) < 0.1))
    charted["artery"] = charted[""] & hourly.pressor
    asked = hourly.encounter, hourly.second
    pressures = charted_pressures(scene, effects, asked=asked, titrated=hourly.pressor, rng=rng)
    for key, vital in scene.arrays.book.vitals.items():
        clock = clocks[EVERY_H.get(key, 1)]
        if key in pressures:
            at = np.flatnonzero(charted["artery" if key.endswith("_arterial") else "cuff"])
            value = pressures[key][at]
        else:
            at = np.flatnonzero(rng.random(len(clock.spell)) < 0.97)
            asked = (clock.encounter[at], clock.second[at])
            value = vital_values(scene, effects, asked=asked, key=key, rng=rng)
        parts.append((clock, _as_charted(clock, at, (key, vital), value)))
    return parts


def _as_charted(clock: IcuTime, at: Ints, what: tuple[str, Vital], value: Floats) -> Charted:
    """Numbers as they are charted; scores also in words."""
    key, vital = what
    number = pl.Series(value)
    text = number.cast(pl.String) if key == "temperature" else number.cast(pl.Int64).cast(pl.String)
    if key in SCORES:
        words = SCORES[key]
        tube = clock.vent[at] & (key == "gcs_verbal")
        sedated = np.where(clock.vent[at], 1 + clock.severity[at] / 3, 0)
        level = np.where(
            tube, 1, np.clip(np.round(value - sedated), 1, len(words)).astype(np.int64)
        )
        text = picked([*words, INTUBATED], np.where(tube, len(words), level - 1))
        number = pl.Series(level)
    return Charted(at, vital.itemid, text, number, vital.unitname)


def _items(
    scene: Scene, clocks: dict[int, IcuTime], rng: np.random.Generator
) -> list[tuple[IcuTime, Charted]]:
    parts = []
    for item in scene.arrays.book.icu_items.values():
        if item.linksto != "chartevents" or not item.every_h:
            continue
        clock = clocks[int(item.every_h)]
        at = np.flatnonzero((rng.random(len(clock.spell)) < 0.9) & _applies(clock, item))
        if item.values:
            level = _level(scene, clock, at, item, rng)
            numbers = (
                pl.Series(list(item.numbers), dtype=pl.Float64).gather(pl.Series(level))
                if item.numbers
                else pl.Series([None], dtype=pl.Float64).new_from_index(0, len(at))
            )
            parts.append(
                (
                    clock,
                    Charted(at, item.itemid, picked(item.values, level), numbers, item.unitname),
                )
            )
        elif item.key in SETTINGS:
            mean, sd, digits = SETTINGS[item.key]
            person = rng.normal(0, 0.7, scene.n)[clock.encounter[at]]
            value = np.round(
                np.maximum(
                    mean
                    + sd * (person + rng.normal(0, 0.4, len(at)) + 0.2 * (clock.severity[at] - 3)),
                    0,
                ),
                digits,
            )
            text = (
                pl.Series(value).cast(pl.Int64).cast(pl.String)
                if digits == 0
                else pl.Series(value).cast(pl.String)
            )
            parts.append((clock, Charted(at, item.itemid, text, pl.Series(value), item.unitname)))
    return parts


def _applies(clock: IcuTime, item: IcuItem) -> Bools:
    needed = {"vent": clock.vent, "pressor": clock.pressor, "crrt": clock.crrt}
    on = needed.get(item.when, np.ones(len(clock.spell), bool))
    return on & ~clock.vent if item.key == "o2_flow" else on


def _level(scene: Scene, clock: IcuTime, at: Ints, item: IcuItem, rng: np.random.Generator) -> Ints:
    """Which of an item's texts (from well to ill) is charted."""
    n = len(item.values)
    habit = rng.normal(0, 0.5, scene.n)[clock.encounter[at]]
    ill = (clock.severity[at] - 1.2) / 4 * (n - 1) + habit + rng.normal(0, 0.35, len(at))
    level = np.clip(np.round(ill), 0, n - 1).astype(np.int64)
    vent = clock.vent[at]
    if item.key == "o2_device":
        return np.where(vent, n - 1, np.minimum(level, n - 2))
    if item.key == "rass":
        return np.where(vent, np.clip(level + 1, 1, n - 1), np.clip(level - 1, 0, 1))
    if item.key == "heart_rhythm":
        fibrillating = _has(scene, "atrial_fibrillation")[clock.encounter[at]]
        return np.where(fibrillating & (habit > 0), 2, (ill > 1).astype(np.int64))
    if item.key == "code_status":
        return np.where(habit > 0.75, 1, 0)
    return level


def _has(scene: Scene, name: str) -> Bools:
    """Encounters in which a condition of this name is a problem."""
    rows = [i for i, key in enumerate(scene.arrays.keys) if name in key]
    found = np.zeros(scene.n, bool)
    problems = scene.problems
    found[problems.encounter[np.isin(problems.condition, rows)]] = True
    return found


def weight_kg(scene: Scene) -> Floats:
    """Body weight of each encounter: fixed for a person."""
    unit = (scene.subject_id % 997) / 997
    spread = np.sqrt(-2 * np.log((scene.subject_id % 991 + 1) / 992)) * np.cos(2 * np.pi * unit)
    mean = np.where(scene.subjects.female, 71.0, 84.0)
    return np.asarray(np.round(np.clip(mean + 15 * spread, 40, 170), 1)[scene.encounters.subject])


def height_cm(scene: Scene) -> Floats:
    """Height of each encounter's subject."""
    spread = (scene.subject_id % 37 - 18) / 9
    return np.asarray(
        np.round(np.where(scene.subjects.female, 161, 175) + 4.5 * spread)[scene.encounters.subject]
    )


def _body(scene: Scene, clock: IcuTime) -> list[tuple[IcuTime, Charted]]:
    """Weight and height on the first day, weight on the others."""
    items = scene.arrays.book.icu_items
    first = np.append(True, np.diff(clock.spell) > 0)[: len(clock.spell)]
    kg, cm = (
        pl.Series(weight_kg(scene)[clock.encounter]),
        pl.Series(height_cm(scene)[clock.encounter]),
    )
    parts = []
    for key, at, value in (
        ("admission_weight", first, kg),
        ("height", first, cm),
        ("daily_weight", ~first, kg),
    ):
        rows = np.flatnonzero(at)
        chosen = value.gather(pl.Series(rows))
        parts.append((clock, Charted(rows, items[key].itemid, chosen, chosen, items[key].unitname)))
    return parts


def _outputs(scene: Scene, stays: Stays, hourly: IcuTime, rng: np.random.Generator) -> pl.DataFrame:
    """Urine by the hour, less of it the sicker the patient; other drains now and then."""
    items = scene.arrays.book.icu_items
    catheter = rng.random(scene.n)[hourly.encounter] < 0.25 + 0.17 * hourly.severity
    n = len(hourly.spell)
    urine = np.exp(rng.normal(4.3, 0.5, n) - 0.16 * (hourly.severity - 2))
    draw = rng.random(n)
    rows = [
        (np.flatnonzero(catheter & (draw < 0.92)), "out_foley", urine),
        (np.flatnonzero(~catheter & (draw < 0.22)), "out_void", 3.4 * urine),
        (np.flatnonzero(draw > 0.992), "out_stool", np.full(n, 150.0)),
        (np.flatnonzero(hourly.vent & (draw > 0.96)), "out_oral_gastric", 0.6 * urine),
    ]
    at = np.concatenate([r[0] for r in rows])
    itemid = np.concatenate([np.full(len(r[0]), items[r[1]].itemid) for r in rows])
    value = np.concatenate([np.round(r[2][r[0]] / 5) * 5 for r in rows])
    order = np.lexsort((itemid, hourly.second[at], hourly.spell[at]))
    at, itemid, value = at[order], itemid[order], value[order]
    who = hourly.encounter[at]
    return table(
        "icu/outputevents",
        {
            "subject_id": pl.Series(scene.of_subject[who]),
            "hadm_id": pl.Series(scene.hadm_id[who]),
            "stay_id": pl.Series(stays.transfer_id[hourly.spell[at]]),
            "caregiver_id": caregivers(rng, len(at)),
            "charttime": times(hourly.second[at]),
            "storetime": times(hourly.second[at] + 60 * rng.integers(0, 50, len(at))),
            "itemid": pl.Series(itemid),
            "value": pl.Series(value),
            "valueuom": pl.Series(["ml"] * len(at), dtype=pl.String),
        },
    )


def _dates(scene: Scene, stays: Stays, rng: np.random.Generator) -> pl.DataFrame:
    """Insertion and dressing dates of lines, charted once a shift while the line is in."""
    clock = icu_time(scene, stays, every_h=12)
    started = scene.places.start_s[clock.spell]
    parts = []
    for item in scene.arrays.book.icu_items.values():
        if item.linksto != "datetimeevents":
            continue
        on = (
            _applies(clock, item)
            if item.when in ("pressor", "crrt", "vent")
            else np.ones(len(clock.spell), bool)
        )
        on &= clock.pressor | clock.vent if item.when == "line" else True
        willing = rng.random(scene.n)[clock.encounter] < (0.7 if item.when != "always" else 0.45)
        at = np.flatnonzero(on & willing & (rng.random(len(clock.spell)) < 0.8))
        value = started[at] if "Insertion" in item.label else clock.second[at] // 86_400 * 86_400
        parts.append((at, np.full(len(at), item.itemid), value // 86_400 * 86_400))
    at, itemid, value = (np.concatenate(c) for c in zip(*parts, strict=True))
    order = np.lexsort((itemid, clock.second[at], clock.spell[at]))
    at, itemid, value = at[order], itemid[order], value[order]
    who = clock.encounter[at]
    return table(
        "icu/datetimeevents",
        {
            "subject_id": pl.Series(scene.of_subject[who]),
            "hadm_id": pl.Series(scene.hadm_id[who]),
            "stay_id": pl.Series(stays.transfer_id[clock.spell[at]]),
            "caregiver_id": caregivers(rng, len(at)),
            "charttime": times(clock.second[at]),
            "storetime": times(clock.second[at] + 60 * rng.integers(0, 50, len(at))),
            "itemid": pl.Series(itemid),
            "value": times(value),
            "valueuom": pl.Series(["Date"] * len(at), dtype=pl.String),
            "warning": pl.Series(np.zeros(len(at), np.int64)),
        },
    )
