"""The tables as written against the risks stated in truth/, outcome by outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ehrlich.charts.hospital import HospitalConfig, run
from ehrlich.charts.hospital.truth import OUTCOMES

FAR = 4.0
TIME = "%Y-%m-%d %H:%M:%S"
Label = Callable[["Written"], pl.DataFrame]


@dataclass(frozen=True)
class Written:
    """Stays as the csv files give them, times parsed; `risks` one row a stay at its first hour."""

    stays: pl.DataFrame
    visits: pl.DataFrame
    icu: pl.DataFrame
    hours: pl.DataFrame
    exits: pl.DataFrame


def table(folder: Path, name: str, *times: str) -> pl.DataFrame:
    frame = pl.read_csv(folder / f"{name}.csv.gz", infer_schema=False)
    ids = [c for c in ("subject_id", "hadm_id", "stay_id") if c in frame.columns]
    return frame.with_columns(
        pl.col(ids).cast(pl.Int64), *(pl.col(t).str.to_datetime(TIME) for t in times)
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    out = tmp_path_factory.mktemp("agreement") / "out"
    run(HospitalConfig(patients=1500, seed=29, quiet=True, workers=2), out)
    people = table(out, "hosp/patients").select(
        "subject_id", dod=pl.col("dod").str.to_date().cast(pl.Datetime("us"))
    )
    stays = table(out, "hosp/admissions", "admittime", "dischtime", "edregtime").sort("admittime")
    stays = stays.join(people, on="subject_id").with_columns(
        died=pl.col("hospital_expire_flag") == "1",
        next_admit=pl.col("admittime").shift(-1).over("subject_id"),
    )
    visits = table(out, "ed/edstays", "intime", "outtime").sort("intime")
    last = pl.concat(
        [
            stays.select("subject_id", at="admittime"),
            visits.select("subject_id", at="intime"),
        ]
    )
    last = last.group_by("subject_id").agg(last_seen=pl.col("at").max())
    icu = table(out, "icu/icustays", "intime", "outtime").sort("intime")
    risks = pl.read_parquet(out / "truth" / "risks.parquet")
    return Written(
        stays=stays.join(last, on="subject_id"),
        visits=visits.with_columns(next_visit=pl.col("intime").shift(-1).over("subject_id")),
        icu=icu.with_columns(again=pl.col("intime").shift(-1).over("hadm_id").is_not_null()),
        hours=risks.filter(pl.col("moment") == "hour").sort("time"),
        exits=risks.filter(pl.col("moment") == "exit"),
    )


def in_ed(w: Written) -> pl.DataFrame:
    first = w.hours.filter(pl.col("place") == "ED").unique("stay_id", keep="first")
    toward = w.icu.group_by("hadm_id").agg(to_icu=pl.col("intime").min())
    rows = first.join(w.visits.drop("hadm_id"), on="stay_id").join(toward, on="hadm_id", how="left")
    rows = rows.join(w.stays.select("hadm_id", "died"), on="hadm_id", how="left")
    dead = pl.col("died").fill_null(False) | (pl.col("disposition") == "EXPIRED")
    soon = (pl.col("to_icu") <= pl.col("outtime") + pl.duration(hours=12)).fill_null(False)
    return rows.with_columns(
        ed_hospitalization_=pl.col("hadm_id").is_not_null(),
        ed_inpatient_mortality_=dead,
        ed_icu_transfer_12h_=soon,
        ed_critical_outcomes_=soon | dead,
    )


def in_hospital(w: Written) -> pl.DataFrame:
    first = w.hours.filter(pl.col("place") != "ED").unique("hadm_id", keep="first")
    rows = first.join(w.stays.drop("subject_id"), on="hadm_id")
    length = pl.col("dischtime") - pl.col("admittime")
    return rows.with_columns(
        inpatient_mortality_=pl.col("died"),
        **{f"length_of_stay_{d}d_": length > pl.duration(days=d) for d in (3, 7)},
    )


def in_icu(w: Written) -> pl.DataFrame:
    first = w.hours.filter(pl.col("place") == "ICU").unique("stay_id", keep="first")
    rows = first.join(w.icu.select("stay_id", "intime", "outtime"), on="stay_id")
    rows = rows.join(w.stays.drop("subject_id"), on="hadm_id")
    at_home = (
        ~pl.col("died") & (pl.col("last_seen") <= pl.col("dischtime")) & pl.col("dod").is_not_null()
    )
    last_second = pl.col("dod") + pl.duration(days=1, seconds=-1)
    death = pl.when("died").then("dischtime").when(at_home).then(last_second)
    stayed = pl.col("outtime") - pl.col("intime")
    return rows.with_columns(
        **{
            f"icu_mortality_{d}d_": (death <= pl.col("time") + pl.duration(days=d)).fill_null(False)
            for d in (1, 2, 3, 7, 14)
        },
        **{f"icu_stay_{d}d_": stayed >= pl.duration(days=d) for d in (7, 14)},
    )


def on_leaving(w: Written) -> pl.DataFrame:
    home = w.exits.filter(pl.col("place") == "ward").join(w.stays.drop("subject_id"), on="hadm_id")
    back = pl.col("next_admit") - pl.col("dischtime")
    home = home.with_columns(
        **{f"readmission_{d}d_": (back <= pl.duration(days=d)).fill_null(False) for d in (30, 60)}
    )
    ed = w.exits.filter(pl.col("place") == "ED").join(w.visits.drop("hadm_id"), on="stay_id")
    soon = pl.col("next_visit") - pl.col("outtime") <= pl.duration(days=3)
    ed = ed.with_columns(ed_reattendance_3d_=soon.fill_null(False))
    icu = w.exits.filter(pl.col("place") == "ICU").join(
        w.icu.select("stay_id", "again"), on="stay_id"
    )
    icu = icu.with_columns(icu_readmission_=pl.col("again"))
    return pl.concat([home, ed, icu], how="diagonal_relaxed")


RULES: dict[str, Label] = {
    **dict.fromkeys(OUTCOMES[:4], in_ed),
    "ed_reattendance_3d": on_leaving,
    **dict.fromkeys(OUTCOMES[5:8], in_hospital),
    **dict.fromkeys(OUTCOMES[8:15], in_icu),
    **dict.fromkeys(OUTCOMES[15:], on_leaving),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_what_is_written_happens_as_often_as_truth_says(written: Written, outcome: str) -> None:
    rows = RULES[outcome](written).drop_nulls([outcome, f"{outcome}_"])
    risk = rows[outcome].cast(pl.Float64).to_numpy()
    happened = rows[f"{outcome}_"].to_numpy().sum()
    assert len(risk) > 50
    error = np.sqrt((risk * (1 - risk)).sum())
    assert abs(happened - risk.sum()) <= FAR * error + 0.5, (happened, risk.sum(), error)
