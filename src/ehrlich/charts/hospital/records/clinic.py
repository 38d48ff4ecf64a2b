"""omr: weights, heights and blood pressures of the clinic, dated to the day."""

from __future__ import annotations

import numpy as np
import polars as pl

from ehrlich.charts.hospital.records.chart import height_cm, weight_kg
from ehrlich.charts.hospital.records.frames import days, table
from ehrlich.charts.hospital.risks import DAY_S
from ehrlich.charts.hospital.scene import Scene

NAMES = ("Weight (Lbs)", "Blood Pressure", "BMI (kg/m2)", "Height (Inches)")


def clinic_records(scene: Scene, rng: np.random.Generator) -> pl.DataFrame:
    """The table: visits before and after encounters, never after death."""
    visits = rng.poisson(1.1 + 0.25 * scene.encounters.chronic.sum(axis=1))
    who = np.repeat(np.arange(scene.n), visits)
    day = scene.encounters.start_s[who] // DAY_S - rng.integers(-60, 300, len(who))
    death = scene.subjects.dead_day[scene.encounters.subject[who]]
    keep = (death < 0) | (day < death)
    who, day = who[keep], day[keep]
    kg = weight_kg(scene)[who] * (1 + rng.normal(0, 0.02, len(who)))
    cm = height_cm(scene)[who]
    pressure = (np.asarray(scene.encounters.chronic[:, _rows(scene, "hypertension")].any(axis=1)))[
        who
    ]
    sbp = np.round(rng.normal(122, 13, len(who)) + 11 * pressure).astype(np.int64)
    dbp = np.round(rng.normal(72, 8, len(who)) + 5 * pressure).astype(np.int64)
    values = [
        pl.Series(np.round(kg * 2.2046, 1)).cast(pl.String).str.replace(r"\.0$", ""),
        pl.select(
            pl.concat_str(pl.Series(sbp), pl.lit("/"), pl.Series(np.minimum(dbp, sbp - 18)))
        ).to_series(),
        pl.Series(np.round(kg / (cm / 100) ** 2, 1)).cast(pl.String),
        pl.Series(np.round(cm / 2.54 * 4) / 4).cast(pl.String).str.replace(r"\.0$", ""),
    ]
    frames = []
    for name, value, share in zip(NAMES, values, (0.9, 0.85, 0.7, 0.35), strict=True):
        rows = np.flatnonzero(rng.random(len(who)) < share)
        frames.append(
            pl.DataFrame(
                {
                    "subject_id": scene.of_subject[who[rows]],
                    "chartdate": days(day[rows] * DAY_S),
                    "result_name": [name] * len(rows),
                    "result_value": value.gather(pl.Series(rows)),
                },
                schema_overrides={"result_name": pl.String},
            )
        )
    frame = pl.concat(frames).sort("subject_id", "chartdate", "result_name", maintain_order=True)
    number = pl.int_range(pl.len()).over("subject_id", "chartdate", "result_name") + 1
    return table("hosp/omr", frame.with_columns(seq_num=number).to_dict())


def _rows(scene: Scene, name: str) -> list[int]:
    return [i for i, key in enumerate(scene.arrays.keys) if name in key]
