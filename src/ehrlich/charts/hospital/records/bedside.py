"""procedureevents: lines and organ supports as intervals; imaging and cultures as tasks."""

from __future__ import annotations

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import Ints
from ehrlich.charts.hospital.records.chart import icu_time, weight_kg
from ehrlich.charts.hospital.records.frames import caregivers, picked, table, times
from ehrlich.charts.hospital.records.stays import Stays
from ehrlich.charts.hospital.scene import BLOCK, Scene, Spells, scrambled

PERIPHERAL = (("20_gauge", 0.75), ("18_gauge", 0.45), ("foley_catheter", 0.35), ("picc_line", 0.1))
TASKS = (
    ("chest_x_ray", 0.35),
    ("ekg", 0.2),
    ("family_updated_by_rn", 0.12),
    ("family_updated_by_md", 0.06),
    ("blood_cultured", 0.1),
    ("urine_culture", 0.06),
    ("ct_scan", 0.06),
    ("transthoracic_echo", 0.05),
    ("ultrasound", 0.03),
)
# Charted with the support itself, not with its code.
SUPPORTS = {"intubation", "invasive_ventilation", "dialysis_crrt"}
# Item, ICU spell, from, to, and 1 for an interval.
Part = tuple[str, Ints, Ints, Ints, int]


def procedure_records(
    scene: Scene, stays: Stays, *, done: pl.DataFrame, rng: np.random.Generator
) -> pl.DataFrame:
    """The table; `done`: coded procedures with an ICU item."""
    parts = [
        *_lines(scene, stays, rng),
        *_supports(scene, stays, rng),
        *_tasks(scene, stays, rng),
        *_coded(scene, stays, done),
    ]
    return _procedure_table(scene, stays, parts, rng)


def _lines(scene: Scene, stays: Stays, rng: np.random.Generator) -> list[Part]:
    spells, rows, parts = scene.places, stays.icu_row, []
    for key, p in PERIPHERAL:
        at = rows[rng.random(len(rows)) < p]
        held = (spells.end_s - spells.start_s)[at] * rng.uniform(0.4, 0.99, len(at))
        start = spells.start_s[at]
        parts.append((key, at, start + 600, start + held.astype(np.int64), 1))
    return parts


def _supports(scene: Scene, stays: Stays, rng: np.random.Generator) -> list[Part]:
    vent, pressor, crrt = scene.supports
    parts: list[Part] = []
    for key, support, p in (
        ("invasive_ventilation", vent, 1.0),
        ("arterial_line", pressor, 0.85),
        ("multi_lumen", pressor, 0.6),
        ("dialysis_crrt", crrt, 1.0),
        ("dialysis_catheter", crrt, 0.9),
    ):
        at = np.flatnonzero(rng.random(len(support.encounter)) < p)
        spell = _spell_at(scene, stays, support, at)
        parts.append((key, spell, support.start_s[at], support.end_s[at], 1))
    spell = _spell_at(scene, stays, vent, np.arange(len(vent.encounter)))
    parts.append(("intubation", spell, vent.start_s, vent.start_s + 60, 0))
    to_the_end = scene.ends.dead[vent.encounter] & (vent.end_s >= scene.left_s[vent.encounter])
    at = np.flatnonzero(~to_the_end)
    parts.append(("extubation", spell[at], vent.end_s[at] - 60, vent.end_s[at], 0))
    return parts


def _tasks(scene: Scene, stays: Stays, rng: np.random.Generator) -> list[Part]:
    clock = icu_time(scene, stays, every_h=12)
    parts: list[Part] = []
    for key, p in TASKS:
        at = np.flatnonzero(rng.random(len(clock.spell)) < p)
        second = clock.second[at] + 60 * rng.integers(0, 600, len(at))
        inside = second < scene.places.end_s[clock.spell[at]]
        parts.append((key, clock.spell[at][inside], second[inside], second[inside] + 60, 0))
    return parts


def _coded(scene: Scene, stays: Stays, done: pl.DataFrame) -> list[Part]:
    parts: list[Part] = []
    for key in sorted(set(done["item"].to_list()) - SUPPORTS):
        mine = done.filter(pl.col("item") == key)
        who, second = mine["encounter"].to_numpy(), mine["second"].to_numpy()
        spell = _spell_of(scene, stays, who, second)
        ok = spell >= 0
        parts.append((key, spell[ok], second[ok], second[ok] + 60, 0))
    return parts


def _spell_of(scene: Scene, stays: Stays, encounter: Ints, second: Ints) -> Ints:
    """ICU spell that holds each (encounter, second), or -1."""
    rows, big = stays.icu_row, 1 << 40
    if not len(rows):
        return np.full(len(encounter), -1)
    key = scene.places.encounter[rows] * big + scene.places.start_s[rows]
    at = np.maximum(np.searchsorted(key, encounter * big + second, "right") - 1, 0)
    ok = (
        (scene.places.encounter[rows[at]] == encounter)
        & (second < scene.places.end_s[rows[at]])
        & (second >= scene.places.start_s[rows[at]])
    )
    return np.where(ok, rows[at], -1)


def _spell_at(scene: Scene, stays: Stays, support: Spells, at: Ints) -> Ints:
    spell = _spell_of(scene, stays, support.encounter[at], support.end_s[at] - 1)
    before = _spell_of(scene, stays, support.encounter[at], support.start_s[at])
    return np.where(before >= 0, before, spell)


LOCATIONS = {
    "Peripheral Lines": (("Right Antecubital", "Left Antecubital", "Left Forearm"), "Peripheral"),
    "Invasive Lines": (("Right IJ", "Left IJ", "Right Radial"), "Invasive Venous"),
    "Tubes": (("Urethral",), "Catheter, GU"),
}


def _procedure_table(
    scene: Scene,
    stays: Stays,
    parts: list[Part],
    rng: np.random.Generator,
) -> pl.DataFrame:
    items = scene.arrays.book.icu_items
    keys = list(items)
    spell = np.concatenate([p[1] for p in parts])
    start = np.concatenate([p[2] for p in parts]) // 60 * 60
    end = np.concatenate([p[3] for p in parts]) // 60 * 60
    item = np.concatenate([np.full(len(p[1]), keys.index(p[0])) for p in parts])
    long = np.concatenate([np.full(len(p[1]), p[4]) for p in parts])
    keep = (spell >= 0) & (end > start)
    order = np.flatnonzero(keep)
    order = order[np.lexsort((item[order], start[order], spell[order]))]
    spell, start, end, item, long = (c[order] for c in (spell, start, end, item, long))
    n, who = len(spell), scene.places.encounter[spell]
    category = picked([x.order or "Procedures" for x in items.values()], item)
    location, site = _sites(scene, item, rng)
    minutes = (end - start) / 60
    order_id = scrambled(0, scene.number * BLOCK * 400 + 150_000 + np.arange(n))
    return table(
        "icu/procedureevents",
        {
            "subject_id": pl.Series(scene.of_subject[who]),
            "hadm_id": pl.Series(scene.hadm_id[who]),
            "stay_id": pl.Series(stays.transfer_id[spell]),
            "caregiver_id": caregivers(rng, n),
            "starttime": times(start),
            "endtime": times(end),
            "storetime": times(end + 60 * rng.integers(0, 90, n)),
            "itemid": pl.Series(np.array([x.itemid for x in items.values()])[item]),
            "value": pl.Series(np.where(long == 1, minutes, 1.0)),
            "valueuom": picked(["None", "min"], long),
            "location": location,
            "locationcategory": site,
            "orderid": pl.Series(order_id),
            "linkorderid": pl.Series(order_id),
            "ordercategoryname": category,
            "ordercategorydescription": picked(["Task", "ContinuousProcess"], long),
            "patientweight": pl.Series(weight_kg(scene)[who]),
            "isopenbag": pl.Series(long),
            "continueinnextdept": pl.Series(np.zeros(n, np.int64)),
            "statusdescription": pl.Series(["FinishedRunning"], dtype=pl.String).new_from_index(
                0, n
            ),
            "ORIGINALAMOUNT": pl.Series(np.where(long == 1, minutes, 1.0)),
            "ORIGINALRATE": pl.Series(long),
        },
    )


def _sites(scene: Scene, item: Ints, rng: np.random.Generator) -> tuple[pl.Series, pl.Series]:
    """Where a line lies, and what kind of place that is; null for what has no place."""
    items = scene.arrays.book.icu_items
    spots = [LOCATIONS.get(x.order or "", ((), None)) for x in items.values()]
    listed = [spot for places, _ in spots for spot in places]
    first = np.cumsum([0, *(len(places) for places, _ in spots)])[:-1][item]
    count = np.array([len(places) for places, _ in spots])[item]
    radial = item == list(items).index("arterial_line")
    # The last place of an invasive line is the artery's, and only the artery's.
    pick = (rng.random(len(item)) * np.clip(count, 1, 2)).astype(np.int64)
    pick = np.minimum(np.where(radial, 2, pick), np.maximum(count - 1, 0))
    site = picked([kind for _, kind in spots], item).set(pl.Series(radial), "Invasive Arterial")
    return picked(listed, np.where(count > 0, first + pick, -1)), site
