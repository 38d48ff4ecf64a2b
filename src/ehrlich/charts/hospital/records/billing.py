"""diagnoses_icd, procedures_icd, drgcodes, hcpcsevents: what coders make of a stay after it."""

from __future__ import annotations

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import LEVELS, Ints
from ehrlich.charts.hospital.records.calendar import icd_ten
from ehrlich.charts.hospital.records.frames import Tables, days, ids, picked, table
from ehrlich.charts.hospital.risks import DAY_S
from ehrlich.charts.hospital.scene import COMORBID, COMPLICATION, Scene

OBSERVED_H = 48
OBSERVATION = ("G0378", "Hospital observation service, per hour", "Hospital observation per hr")


def billing_records(scene: Scene, done: pl.DataFrame, *, rng: np.random.Generator) -> Tables:
    """The four tables; `done`: procedures of each stay."""
    return {
        "hosp/diagnoses_icd": _diagnoses(scene, rng),
        "hosp/procedures_icd": _procedures(scene, done),
        "hosp/drgcodes": _drg(scene, rng),
        "hosp/hcpcsevents": _hcpcs(scene),
    }


def _diagnoses(scene: Scene, rng: np.random.Generator) -> pl.DataFrame:
    """Codes of every problem: principal first, then what came up, then what was known."""
    problems, listed = scene.problems, list(scene.arrays.book.conditions.values())
    ten = icd_ten(scene)[problems.encounter]
    noted = (problems.role != COMORBID) | (rng.random(len(problems.role)) < 0.93)
    parts = []
    for place in range(3):
        codes = [c.icd9[place] if place < len(c.icd9) else None for c in listed]
        codes += [c.icd10[place] if place < len(c.icd10) else None for c in listed]
        has = np.array([code is not None for code in codes])
        at = problems.condition + np.where(ten, len(listed), 0)
        rows = np.flatnonzero(scene.admitted[problems.encounter] & noted & has[at])
        parts.append((rows, np.full(len(rows), place), picked(codes, at[rows])))
    row = np.concatenate([p[0] for p in parts])
    rank = np.concatenate([p[1] for p in parts])
    frame = pl.DataFrame(
        {
            "encounter": problems.encounter[row],
            # Complications are coded before old diseases.
            "role": np.select(
                [problems.role[row] == 0, problems.role[row] == COMPLICATION], [0, 1], 2
            ),
            "rank": rank,
            "icd_code": pl.concat([p[2] for p in parts]),
            "icd_version": np.where(ten[row], 10, 9),
        }
    ).sort("encounter", "role", "rank", maintain_order=True)
    frame = frame.unique(["encounter", "icd_code"], keep="first", maintain_order=True)
    who = frame["encounter"].to_numpy()
    return table(
        "hosp/diagnoses_icd",
        frame.with_columns(
            subject_id=pl.Series(scene.of_subject[who]),
            hadm_id=pl.Series(scene.hadm_id[who]),
            seq_num=pl.int_range(pl.len()).over("encounter") + 1,
        ).to_dict(),
    )


def procedures_done(scene: Scene, rng: np.random.Generator) -> pl.DataFrame:
    """Procedures of each stay: encounter, second, codes, title, ICU item or null."""
    problems = scene.problems
    worst = np.zeros(scene.n, np.int64)
    np.maximum.at(worst, np.repeat(np.arange(scene.n), np.diff(scene.hours_from)), scene.severity)
    worst = np.minimum(worst, LEVELS - 1)
    who: list[Ints] = []
    second: list[Ints] = []
    what: list[Ints] = []
    number = 0
    for row, condition in enumerate(scene.arrays.book.conditions.values()):
        mine = np.flatnonzero(
            (problems.condition == row)
            & (problems.role != COMORBID)
            & scene.admitted[problems.encounter]
        )
        for procedure in condition.procedures:
            of = problems.encounter[mine]
            chosen = (rng.random(len(mine)) < procedure.p) & (worst[of] >= procedure.from_severity)
            of = of[chosen]
            begin = np.maximum(problems.onset_s[mine][chosen], scene.admit_s[of])
            room = np.minimum(scene.left_s[of] - begin, 40 * 3600) * rng.uniform(0.02, 0.8, len(of))
            who.append(of)
            second.append((begin + room).astype(np.int64) // 60 * 60)
            what.append(np.full(len(of), number))
            number += 1
    listed = [(p, c.key) for c in scene.arrays.book.conditions.values() for p in c.procedures]
    code = np.concatenate([*what, np.zeros(0, np.int64)]).astype(np.int64)
    return pl.DataFrame(
        {
            "encounter": np.concatenate([*who, np.zeros(0, np.int64)]).astype(np.int64),
            "second": np.concatenate([*second, np.zeros(0, np.int64)]).astype(np.int64),
            "icd10": picked([p.icd10 for p, _ in listed], code),
            "icd9": picked([p.icd9 for p, _ in listed], code),
            "title": picked([p.title for p, _ in listed], code),
            "item": picked([p.item for p, _ in listed], code),
        }
    ).sort("encounter", "second", "icd10")


def _procedures(scene: Scene, done: pl.DataFrame) -> pl.DataFrame:
    who = done["encounter"].to_numpy()
    ten = pl.Series(icd_ten(scene)[who])
    frame = done.with_columns(
        icd_code=pl.when(ten).then("icd10").otherwise("icd9"),
        icd_version=pl.when(ten).then(10).otherwise(9),
        subject_id=pl.Series(scene.of_subject[who]),
        hadm_id=pl.Series(scene.hadm_id[who]),
        chartdate=days(done["second"].to_numpy()),
    ).unique(["encounter", "icd_code"], keep="first", maintain_order=True)
    return table(
        "hosp/procedures_icd",
        frame.with_columns(seq_num=pl.int_range(pl.len()).over("encounter") + 1).to_dict(),
    )


def _drg(scene: Scene, rng: np.random.Generator) -> pl.DataFrame:
    """One HCFA and, for most, one APR group of each stay."""
    stays = np.flatnonzero(scene.admitted & (scene.left_s - scene.admit_s > DAY_S // 2))
    condition = scene.encounters.condition[stays]
    burden = scene.encounters.chronic[stays].sum(axis=1)
    worst = np.zeros(scene.n, np.int64)
    np.maximum.at(worst, np.repeat(np.arange(scene.n), np.diff(scene.hours_from)), scene.severity)
    level = np.clip(np.round(0.6 * worst[stays] + 0.25 * burden), 1, 4).astype(np.int64)
    titles = [c.title.upper() for c in scene.arrays.book.conditions.values()]
    base = np.array([20 + (sum(map(ord, c)) * 37) % 900 for c in scene.arrays.keys])[condition]
    endings = (" W/O CC/MCC", " W CC", " W MCC", " W MCC")
    title = picked(titles, condition)
    common = {
        "subject_id": pl.Series(scene.of_subject[stays]),
        "hadm_id": pl.Series(scene.hadm_id[stays]),
    }
    hcfa = common | {
        "drg_type": pl.Series(["HCFA"] * len(stays), dtype=pl.String),
        "drg_code": pl.Series(
            [f"{x:03d}" for x in (base + 3 - level).clip(1, 999).tolist()], dtype=pl.String
        ),
        "description": title + picked(endings, level - 1),
    }
    some = np.flatnonzero(rng.random(len(stays)) < 0.75)
    take = pl.Series(some)
    apr = {name: column.gather(take) for name, column in common.items()} | {
        "drg_type": pl.Series(["APR"] * len(some), dtype=pl.String),
        "drg_code": pl.Series([f"{x:03d}" for x in base[some].tolist()], dtype=pl.String),
        "description": title.gather(take),
        "drg_severity": pl.Series(level[some]),
        "drg_mortality": pl.Series(np.clip(level[some] + rng.integers(-1, 1, len(some)), 1, 4)),
    }
    scores = [pl.col(c).cast(pl.Int64) for c in ("drg_severity", "drg_mortality")]
    frames = [table("hosp/drgcodes", part).with_columns(scores) for part in (hcfa, apr)]
    return pl.concat(frames).sort("subject_id", "hadm_id", "drg_type", maintain_order=True)


def _hcpcs(scene: Scene) -> pl.DataFrame:
    """Observation hours of short unplanned stays."""
    short = (
        scene.admitted
        & ~scene.encounters.planned
        & (scene.left_s - scene.admit_s < OBSERVED_H * 1800)
    )
    rows = np.flatnonzero(short)
    n = len(rows)
    return table(
        "hosp/hcpcsevents",
        {
            "subject_id": pl.Series(scene.of_subject[rows]),
            "hadm_id": ids(scene.hadm_id[rows]),
            "chartdate": days(scene.admit_s[rows]),
            "hcpcs_cd": pl.Series([OBSERVATION[0]] * n, dtype=pl.String),
            "seq_num": pl.Series(np.ones(n, np.int64)),
            "short_description": pl.Series([OBSERVATION[2]] * n, dtype=pl.String),
        },
    )
