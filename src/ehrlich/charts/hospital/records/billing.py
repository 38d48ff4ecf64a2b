"""diagnoses_icd, procedures_icd, drgcodes, hcpcsevents: what coders make of a stay after it."""

from __future__ import annotations

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import Bools, Ints
from ehrlich.charts.hospital.course import HOUR_S
from ehrlich.charts.hospital.records.calendar import icd_ten
from ehrlich.charts.hospital.records.frames import Tables, days, picked, table
from ehrlich.charts.hospital.records.procedures import worst_severity
from ehrlich.charts.hospital.risks import DAY_S
from ehrlich.charts.hospital.scene import COMORBID, COMPLICATION, Scene

OBSERVED_H = 24
# Categories of which an old disease adds no code when something acute has one.
ONE_A_STAY = ("E10", "E11", "I48", "I50", "J44", "J45", "F10", "F11", "250", "428", "493", "571")


def billing_records(scene: Scene, done: pl.DataFrame, *, rng: np.random.Generator) -> Tables:
    """The four tables; `done`: procedures of each stay."""
    return {
        "hosp/diagnoses_icd": _diagnoses(scene, rng),
        "hosp/procedures_icd": _procedures(scene, done),
        "hosp/drgcodes": _drg(scene, rng),
        "hosp/hcpcsevents": _hcpcs(scene, rng),
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
    frame = _once_a_category(frame).unique(
        ["encounter", "icd_code"], keep="first", maintain_order=True
    )
    who = frame["encounter"].to_numpy()
    return table(
        "hosp/diagnoses_icd",
        frame.with_columns(
            subject_id=pl.Series(scene.of_subject[who]),
            hadm_id=pl.Series(scene.hadm_id[who]),
            seq_num=pl.int_range(pl.len()).over("encounter") + 1,
        ).to_dict(),
    )


def _once_a_category(frame: pl.DataFrame) -> pl.DataFrame:
    """Diagnoses without the general code of a disease that a more urgent one names already."""
    category = pl.col("icd_code").str.slice(0, 3)
    again = category.is_in(ONE_A_STAY) & (pl.col("role") == 2)
    first = pl.col("role").min().over("encounter", category)
    return frame.filter(~(again & (first < pl.col("role"))))


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
    worst = worst_severity(scene)
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


def _hcpcs(scene: Scene, rng: np.random.Generator) -> pl.DataFrame:
    """Observation of short unplanned stays, and single services of others."""
    brief = scene.left_s - scene.admit_s < OBSERVED_H * HOUR_S
    short: Bools = scene.admitted & ~scene.encounters.planned & brief
    listed = list(scene.arrays.book.hcpcs.values())
    who: list[Ints] = []
    what: list[Ints] = []
    for row, bill in enumerate(listed):
        rows = [scene.arrays.index(c) for c in bill.conditions]
        fits = np.isin(scene.encounters.condition, rows)
        if bill.observed:
            fits = short & (scene.ed_id < 0) if bill.direct else short
        chosen = np.flatnonzero(scene.admitted & fits & (rng.random(scene.n) < bill.p))
        who.append(chosen)
        what.append(np.full(len(chosen), row))
    stay, bill_row = np.concatenate(who), np.concatenate(what)
    order = np.lexsort((bill_row, stay))
    stay, bill_row = stay[order], bill_row[order]
    return table(
        "hosp/hcpcsevents",
        pl.DataFrame(
            {
                "subject_id": scene.of_subject[stay],
                "hadm_id": scene.hadm_id[stay],
                "chartdate": days(scene.admit_s[stay]),
                "hcpcs_cd": picked([b.code for b in listed], bill_row),
                "short_description": picked([b.short for b in listed], bill_row),
            }
        )
        .with_columns(seq_num=pl.int_range(pl.len()).over("hadm_id") + 1)
        .to_dict(),
    )
