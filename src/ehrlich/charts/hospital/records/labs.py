"""labevents: what was drawn when, and values that follow the hidden course through noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import Arrays, Bools, Floats, Ints
from ehrlich.charts.hospital.course import HOUR_S, ICU
from ehrlich.charts.hospital.records.drugs import HomeDrugs
from ehrlich.charts.hospital.records.frames import ids, picked, providers, table, times
from ehrlich.charts.hospital.records.lab_values import lab_effects, lab_values
from ehrlich.charts.hospital.risks import DAY_S
from ehrlich.charts.hospital.scene import BLOCK, Scene, every, scrambled

ROUTINE, STAT = 0, 1
MORNING = (
    ("cbc", 0.9),
    ("chem", 0.94),
    ("minerals", 0.85),
    ("coag", 0.25),
    ("lft", 0.2),
    ("diff", 0.25),
)
NEVER = 1 << 62
ROWS_A_BLOCK = 4_000_000


@dataclass(frozen=True, slots=True)
class Draws:
    """One row a tube: whose (encounter; subject for outpatients), when, which test, how urgent."""

    encounter: Ints
    about: Ints  # the encounter, or for an outpatient the next one: whose old diseases show
    subject: Ints
    time_s: Ints
    test: Ints  # row of `tests_of`
    priority: Ints


def tests_of(arrays: Arrays) -> tuple[str, ...]:
    """Names that an order may carry: panels, then single labs."""
    panels = dict.fromkeys(lab.panel for lab in arrays.book.labs.values())
    return (*panels, *(key for key in arrays.book.labs if key not in panels))


def lab_records(
    scene: Scene, home: HomeDrugs, *, rng: np.random.Generator
) -> tuple[pl.DataFrame, Draws]:
    """labevents, and the draws behind it (orders are written for them)."""
    draws = _draws(scene, rng)
    rows = _results(scene, draws, home, rng)
    return rows, draws


def _draws(scene: Scene, rng: np.random.Generator) -> Draws:
    parts = [
        _first_draws(scene, rng),
        *_daily_draws(scene, rng),
        *_icu_draws(scene, rng),
        _outpatient_draws(scene, rng),
    ]
    encounter, about, subject, time_s, test, priority = (
        np.concatenate(c) for c in zip(*parts, strict=True)
    )
    inside = (encounter < 0) | (time_s < scene.left_s[encounter])
    key = np.lexsort((test, time_s, subject))
    key = key[inside[key]]
    same = np.zeros(len(key), bool)
    columns = (subject, time_s, test)
    same[1:] = np.logical_and.reduce([c[key][1:] == c[key][:-1] for c in columns])
    key = key[~same]
    return Draws(*(c[key] for c in (encounter, about, subject, time_s, test, priority)))


Part = tuple[Ints, Ints, Ints, Ints, Ints, Ints]


def _part(scene: Scene, encounter: Ints, time_s: Ints, test: Ints, priority: int) -> Part:
    subject = scene.encounters.subject[encounter]
    urgent = np.full(len(encounter), priority)
    return encounter, encounter, subject, time_s // 60 * 60, test, urgent


def _condition_tests(scene: Scene, encounter: Ints) -> tuple[Ints, Ints]:
    """(row of `encounter`, test) for every test that the principal condition asks for."""
    names = {name: row for row, name in enumerate(tests_of(scene.arrays))}
    lists = [[names[t] for t in c.tests] for c in scene.arrays.book.conditions.values()]
    count = np.array([len(x) for x in lists])
    flat = np.array([t for x in lists for t in x], np.int64)
    condition = scene.encounters.condition[encounter]
    row = np.repeat(np.arange(len(encounter)), count[condition])
    first = count.cumsum() - count
    step = np.arange(len(row)) - np.repeat(
        count[condition].cumsum() - count[condition], count[condition]
    )
    return row, flat[first[condition][row] + step]


def _named(scene: Scene, name: str) -> int:
    return tests_of(scene.arrays).index(name)


def _first_draws(scene: Scene, rng: np.random.Generator) -> Part:
    """The set drawn on arrival: blood count, chemistry, and what the condition asks for."""
    ill = scene.severity[scene.hours_from[:-1]]
    seen = np.flatnonzero(scene.admitted | (rng.random(scene.n) < 0.45 + 0.2 * ill))
    time_s = scene.encounters.start_s[seen] + 60 * rng.integers(12, 80, len(seen))
    row, test = _condition_tests(scene, seen)
    keep = rng.random(len(row)) < 0.9
    row, test = row[keep], test[keep]
    basic = np.concatenate([np.full(len(seen), _named(scene, t)) for t in ("cbc", "chem")])
    who = np.concatenate([seen[row], seen, seen])
    when = np.concatenate([time_s[row], time_s, time_s])
    return _part(scene, who, when, np.concatenate([test, basic]), STAT)


def _daily_draws(scene: Scene, rng: np.random.Generator) -> list[Part]:
    """Morning labs of inpatients, and the condition's own tests again on some days."""
    stays = np.flatnonzero(scene.admitted)
    first = scene.admit_s[stays] // DAY_S * DAY_S + DAY_S
    row, midnight = every(first, scene.left_s[stays], period_s=DAY_S)
    who = stays[row]
    when = midnight + 5 * HOUR_S + 60 * rng.integers(0, 170, len(who))
    ill = scene.severity[scene.hour_row(who, when)]
    parts = []
    for name, p in MORNING:
        drawn = rng.random(len(who)) < p + 0.05 * ill
        parts.append(
            _part(
                scene,
                who[drawn],
                when[drawn],
                np.full(int(drawn.sum()), _named(scene, name)),
                ROUTINE,
            )
        )
    again, test = _condition_tests(scene, who)
    keep = rng.random(len(again)) < 0.12 + 0.06 * ill[again]
    parts.append(_part(scene, who[again[keep]], when[again[keep]], test[keep], ROUTINE))
    return parts


def _icu_draws(scene: Scene, rng: np.random.Generator) -> list[Part]:
    """Labs every few hours in intensive care; blood gases while ventilated."""
    spells = scene.places
    icu = np.flatnonzero(spells.kind == ICU)
    parts = []
    for name, hours, p in (
        ("chem", 8, 0.7),
        ("cbc", 12, 0.7),
        ("coag", 14, 0.6),
        ("lactate", 10, 0.45),
        ("minerals", 12, 0.7),
        ("lft", 24, 0.4),
    ):
        row, when = every(spells.start_s[icu] + 1800, spells.end_s[icu], period_s=hours * HOUR_S)
        drawn = rng.random(len(row)) < p
        when = when[drawn] + 60 * rng.integers(0, 100, int(drawn.sum()))
        who = spells.encounter[icu[row[drawn]]]
        parts.append(_part(scene, who, when, np.full(len(who), _named(scene, name)), STAT))
    vent = scene.supports[0]
    row, when = every(vent.start_s + 1200, vent.end_s, period_s=6 * HOUR_S)
    when = when + 60 * rng.integers(0, 120, len(row))
    parts.append(
        _part(scene, vent.encounter[row], when, np.full(len(row), _named(scene, "abg")), STAT)
    )
    return parts


def _outpatient_draws(scene: Scene, rng: np.random.Generator) -> Part:
    """Clinic labs in the months before an encounter: no hadm_id."""
    names = [
        t
        for t in ("cbc", "chem", "lipids", "hba1c", "lft", "thyroid")
        if t in tests_of(scene.arrays)
    ]
    count = rng.poisson(0.35, scene.n)
    who = np.repeat(np.arange(scene.n), count)
    before = rng.integers(3, 200, len(who)) * DAY_S
    day = scene.encounters.start_s[who] // DAY_S * DAY_S - before
    when = day + 8 * HOUR_S + 60 * rng.integers(0, 480, len(who))
    earlier = np.full(scene.n, -NEVER)
    follows = np.flatnonzero(np.diff(scene.encounters.subject) == 0) + 1
    earlier[follows] = scene.left_s[follows - 1]
    free = when > earlier[who]
    who, when = np.repeat(who[free], 2), np.repeat(when[free], 2)
    test = np.array([_named(scene, t) for t in names])[rng.integers(0, len(names), len(who))]
    subject = scene.encounters.subject[who]
    none = np.full(len(who), -1)
    return none, who, subject, when // 60 * 60, test, none


def _expanded(scene: Scene, draws: Draws) -> tuple[Ints, Ints, Ints]:
    """(draw, lab, moment) of every result; nothing is measured twice at one moment."""
    labs = {key: row for row, key in enumerate(scene.arrays.book.labs)}
    lists = [[labs[k] for k in scene.arrays.book.labs_of(t)] for t in tests_of(scene.arrays)]
    count = np.array([len(x) for x in lists])
    flat = np.array([k for x in lists for k in x], np.int64)
    n = count[draws.test]
    draw = np.repeat(np.arange(len(n)), n)
    step = np.arange(len(draw)) - np.repeat(n.cumsum() - n, n)
    lab = flat[(count.cumsum() - count)[draws.test][draw] + step]
    new = np.ones(len(draws.test), bool)
    new[1:] = (np.diff(draws.subject) != 0) | (np.diff(draws.time_s) != 0)
    moment = new.cumsum()[draw] - 1
    _, first = np.unique(moment * len(labs) + lab, return_index=True)
    first.sort()
    return draw[first], lab[first], moment[first]


def _measured(
    scene: Scene, draws: Draws, home: HomeDrugs, rng: np.random.Generator
) -> tuple[Ints, Ints, Floats]:
    """(draw, lab, value) of every result that was reported."""
    draw, lab, moment = _expanded(scene, draws)
    of = draws.encounter, draws.about, draws.time_s
    effects = lab_effects(scene, home, rng=rng)
    value = lab_values(scene, of, rows=(draw, lab, moment), effects=effects, rng=rng)
    keep = rng.random(len(draw)) < 0.985
    return draw[keep], lab[keep], value[keep]


def _results(scene: Scene, draws: Draws, home: HomeDrugs, rng: np.random.Generator) -> pl.DataFrame:
    draw, lab, value = _measured(scene, draws, home, rng)
    listed = list(scene.arrays.book.labs.values())
    time_s, encounter = draws.time_s[draw], draws.encounter[draw]
    pace = np.exp(rng.normal(0, 0.35, len(draws.test)))[draw]
    lag = np.array([x.turnaround_h for x in listed])[lab] * HOUR_S * pace
    n = len(draw)
    lost = rng.random(n) < 0.006
    low, high = (
        np.array([np.nan if v is None else v for v in c])
        for c in zip(*((x.ref_low, x.ref_high) for x in listed), strict=True)
    )
    absent = _absent(value, lab, list(scene.arrays.book.labs))
    abnormal = ((value < low[lab]) | (value > high[lab])) & ~lost & ~absent
    position = scene.number * ROWS_A_BLOCK + np.arange(n)
    said = np.where(lost, 0, np.where(rng.random(n) < 0.025, 0, -1))
    fasting = (
        (np.array([x.label == "Glucose" and x.fluid == "Blood" for x in listed])[lab])
        & (said < 0)
        & (rng.random(n) < 0.6)
    )
    order_by = providers(rng, len(draws.test), missing=0.85).gather(pl.Series(draw))
    number = _as_text(value, np.array([x.decimals for x in listed])[lab], lost | absent)
    shown = number.set(pl.Series(absent & ~lost), "NEG")
    return table(
        "hosp/labevents",
        {
            "labevent_id": pl.Series(position + 1),
            "subject_id": pl.Series(scene.subject_id[draws.subject[draw]]),
            "hadm_id": ids(np.where(encounter >= 0, scene.hadm_id[encounter], -1)),
            "specimen_id": pl.Series(
                scrambled(0, scene.number * BLOCK * 2000 + _specimens(draws))[draw]
            ),
            "itemid": pl.Series(np.array([x.itemid for x in listed])[lab]),
            "order_provider_id": order_by,
            "charttime": times(time_s),
            "storetime": times(
                time_s + np.maximum(lag, 300).astype(np.int64) // 60 * 60, rng.random(n) < 0.008
            ),
            "value": shown,
            "valuenum": number.cast(pl.Float64),
            "valueuom": picked([x.unit for x in listed], lab),
            "ref_range_lower": pl.Series(low)[lab].fill_nan(None),
            "ref_range_upper": pl.Series(high)[lab].fill_nan(None),
            "flag": picked(["abnormal"], np.where(abnormal, 0, -1)),
            "priority": picked(
                ["ROUTINE", "STAT"],
                draws.priority[draw],
                null=(draws.priority[draw] < 0) & (rng.random(n) < 0.6),
            ),
            "comments": picked(
                ["___", "IF FASTING, 70-100 NORMAL, >125 PROVISIONAL DIABETES."],
                np.where(fasting, 1, said),
            ),
        },
    )


# Dipstick results below these are read as negative.
DIPSTICK = {"urine_glucose": 50.0, "urine_ketone": 10.0, "urine_protein": 25.0}


def _absent(value: Floats, lab: Ints, keys: list[str]) -> Bools:
    """Results that the laboratory reports as NEG instead of a number."""
    limit = np.array([DIPSTICK.get(key, -1e9) for key in keys])[lab]
    return np.asarray(value < limit)


def _specimens(draws: Draws) -> Ints:
    """Number of the tube of each draw: tests of one moment share tubes of two kinds."""
    new = np.ones(len(draws.test), bool)
    new[1:] = (np.diff(draws.subject) != 0) | (np.diff(draws.time_s) != 0)
    return np.asarray(new.cumsum() * 2 + draws.test % 2)


def _as_text(value: Floats, decimals: Ints, lost: Bools) -> pl.Series:
    """Numbers as the laboratory prints them."""
    frame = pl.DataFrame({"v": value, "d": decimals, "lost": lost})
    shown = pl.when(pl.col("d") == 0).then(pl.col("v").round(0).cast(pl.Int64).cast(pl.String))
    digits = pl.col("d").cast(pl.UInt32)
    unit = 10 ** pl.col("d")
    whole = (pl.col("v").abs() * unit).round(0).cast(pl.Int64)
    exact = pl.concat_str(
        pl.when(pl.col("v") < 0).then(pl.lit("-")).otherwise(pl.lit("")),
        (whole // unit).cast(pl.String),
        pl.lit("."),
        (whole % unit).cast(pl.String).str.zfill(digits),
    )
    printed = shown.when(pl.col("d") > 1).then(exact).otherwise(pl.col("v").cast(pl.String))
    return frame.select(pl.when(pl.col("lost")).then(None).otherwise(printed)).to_series()
