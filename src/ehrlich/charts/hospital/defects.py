"""The dirt of real exports, each kind counted exactly: nothing here is random in what it claims."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from ehrlich.charts.hospital.records.frames import Tables

SHARE = 0.004


def soil(tables: Tables, rng: np.random.Generator) -> tuple[Tables, dict[str, int]]:
    """The tables with defects, and how many rows of each kind were made."""
    dirty, counts = dict(tables), {}
    for name, action in _ACTIONS:
        dirty, made = action(dirty, rng)
        counts[name] = made
    return dirty, counts


Action = Callable[[Tables, np.random.Generator], tuple[Tables, int]]


def _some(rng: np.random.Generator, n: int, share: float = SHARE) -> list[int]:
    return sorted(rng.choice(n, size=int(np.ceil(share * n)), replace=False).tolist()) if n else []


def _null_times(tables: Tables, rng: np.random.Generator) -> tuple[Tables, int]:
    """Rows whose time is empty."""
    made = 0
    for name, column in (
        ("hosp/labevents", "charttime"),
        ("hosp/prescriptions", "starttime"),
        ("hosp/pharmacy", "starttime"),
        ("ed/vitalsign", "charttime"),
    ):
        frame = tables[name]
        rows = _some(rng, frame.height)
        tables[name] = frame.with_columns(frame[column].scatter(rows, None).alias(column))
        made += len(rows)
    return tables, made


def _duplicates(tables: Tables, rng: np.random.Generator) -> tuple[Tables, int]:
    """Rows that stand twice."""
    made = 0
    for name in ("hosp/labevents", "hosp/emar", "icu/chartevents", "hosp/diagnoses_icd"):
        frame = tables[name]
        rows = _some(rng, frame.height)
        index = np.sort(np.concatenate([np.arange(frame.height), np.array(rows, np.int64)]))
        tables[name] = frame[index]
        made += len(rows)
    return tables, made


def _disorder(tables: Tables, rng: np.random.Generator) -> tuple[Tables, int]:
    """Rows moved to the end of their block."""
    made = 0
    for name in ("hosp/labevents", "hosp/transfers", "icu/inputevents"):
        frame = tables[name]
        rows = np.array(_some(rng, frame.height), np.int64)
        rest = np.setdiff1d(np.arange(frame.height), rows)
        tables[name] = frame[np.concatenate([rest, rows[::-1]])]
        made += len(rows)
    return tables, made


def _late_deaths(tables: Tables, rng: np.random.Generator) -> tuple[Tables, int]:
    """Patients discharged alive whose day of death is the day of discharge."""
    stays = tables["hosp/admissions"]
    last = stays.filter(pl.col("admittime") == pl.col("admittime").max().over("subject_id"))
    alive = last.filter(pl.col("hospital_expire_flag") == 0)
    dead = tables["hosp/patients"].filter(pl.col("dod").is_not_null())["subject_id"]
    alive = alive.filter(~pl.col("subject_id").is_in(dead.implode()))
    chosen = alive[_some(rng, alive.height, 0.01)].select(
        "subject_id", day=pl.col("dischtime").dt.date()
    )
    joined = tables["hosp/patients"].join(
        chosen, on="subject_id", how="left", maintain_order="left"
    )
    tables["hosp/patients"] = joined.with_columns(dod=pl.coalesce("dod", "day")).drop("day")
    return tables, chosen.height


def _negative_stays(tables: Tables, rng: np.random.Generator) -> tuple[Tables, int]:
    """Admissions that end before they begin."""
    frame = tables["hosp/admissions"]
    alive = np.flatnonzero(frame["deathtime"].is_null().to_numpy())
    rows = [int(alive[i]) for i in _some(rng, len(alive), 0.003)]
    before = frame["admittime"].dt.offset_by("-3h")
    tables["hosp/admissions"] = frame.with_columns(
        dischtime=frame["dischtime"].scatter(rows, before.gather(rows))
        if rows
        else frame["dischtime"]
    )
    return tables, len(rows)


_ACTIONS: tuple[tuple[str, Action], ...] = (
    ("null_times", _null_times),
    ("duplicated_rows", _duplicates),
    ("rows_out_of_order", _disorder),
    ("death_on_day_of_discharge", _late_deaths),
    ("negative_stays", _negative_stays),
)
