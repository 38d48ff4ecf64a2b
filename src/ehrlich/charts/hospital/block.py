"""One block of subjects from seed to part files: the unit of work, of resume, of parallelism."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ehrlich.base.store import write_aside
from ehrlich.charts.hospital.arrays import load_arrays
from ehrlich.charts.hospital.defects import soil
from ehrlich.charts.hospital.layout import COLUMNS, SHARED
from ehrlich.charts.hospital.records.billing import billing_records
from ehrlich.charts.hospital.records.chart import chart_records
from ehrlich.charts.hospital.records.clinic import clinic_records
from ehrlich.charts.hospital.records.cultures import culture_records
from ehrlich.charts.hospital.records.discharge import discharge_records
from ehrlich.charts.hospital.records.drugs import medication
from ehrlich.charts.hospital.records.emergency import emergency_records
from ehrlich.charts.hospital.records.frames import Tables
from ehrlich.charts.hospital.records.given import given_records
from ehrlich.charts.hospital.records.infusions import infusion_records
from ehrlich.charts.hospital.records.lab_values import VITALS, effects_of, linked_vitals
from ehrlich.charts.hospital.records.labs import lab_records
from ehrlich.charts.hospital.records.orders import order_records
from ehrlich.charts.hospital.records.phrases import said_of
from ehrlich.charts.hospital.records.procedures import procedures_done
from ehrlich.charts.hospital.records.radiology import exams_done, radiology_records
from ehrlich.charts.hospital.records.stays import Stays, stay_records
from ehrlich.charts.hospital.scene import Scene, build_scene
from ehrlich.charts.hospital.truth import truth_frames
from ehrlich.charts.hospital.write import member

TABLES = tuple(name for name in COLUMNS if name not in SHARED)
TRUTH = ("truth/encounters", "truth/risks")


@dataclass(frozen=True, slots=True)
class BlockJob:
    """What a worker needs to write a block."""

    number: int
    subjects: int
    seed: int
    defects: bool
    parts: Path
    textbook: Path | None = None

    def path(self, name: str) -> Path:
        """Part file of a table (csv member) or of the truth (parquet)."""
        kind = "parquet" if name in TRUTH else "csv.gz"
        return self.parts / f"{name.replace('/', '.')}.{self.number:06d}.{kind}"

    @property
    def receipt(self) -> Path:
        """Counts of a finished block; it exists when every part does."""
        return self.parts / f"block.{self.number:06d}.json"


def write_block(job: BlockJob) -> dict[str, Any]:
    """Counts of the block's tables and defects, written unless its receipt says they are."""
    if job.receipt.exists():
        return dict(json.loads(job.receipt.read_text(encoding="utf-8")))
    scene, stays, tables, rng = block_tables(job)
    counts: dict[str, Any] = {"rows": {}, "defects": {}}
    if job.defects:
        tables, counts["defects"] = soil(tables, rng)
    for name in TABLES:
        counts["rows"][name] = tables[name].height
        _write_bytes(job.path(name), member(tables[name]))
    for name, frame in zip(TRUTH, truth_frames(scene, stays), strict=True):
        counts["rows"][name] = frame.height
        with write_aside(job.path(name)) as aside:
            frame.write_parquet(aside, compression="zstd", statistics=False)
    _write_bytes(job.receipt, json.dumps(counts).encode())
    return counts


def _write_bytes(path: Path, content: bytes) -> None:
    with write_aside(path) as aside:
        aside.write_bytes(content)
        os.utime(aside)


def block_tables(job: BlockJob) -> tuple[Scene, Stays, Tables, np.random.Generator]:
    """The block's hidden scene, its stays and its records, before any defect; and the generator."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([job.seed, job.number])))
    arrays = load_arrays(job.textbook)
    scene = build_scene(arrays, job.number, n=job.subjects, rng=rng)
    tables, stays = stay_records(scene, rng)
    seen = arrays.vital_effect, arrays.vital_share
    vitals = effects_of(scene, seen, linked=linked_vitals(arrays), kind=VITALS, rng=rng)
    drugs = medication(scene, rng)
    exams = exams_done(scene, rng)
    done = procedures_done(scene, rng)
    labs, draws = lab_records(scene, drugs.home, rng=rng)
    ordered, links = order_records(scene, drugs.orders, others=(draws, exams[:3]), rng=rng)
    tables |= {"hosp/labevents": labs, "hosp/microbiologyevents": culture_records(scene, rng)}
    tables |= ordered | given_records(scene, drugs, links=links, rng=rng)
    tables |= emergency_records(scene, vitals, rng=rng) | chart_records(
        scene, stays, effects=vitals, rng=rng
    )
    intensive = done.filter(pl.col("item").is_not_null())
    tables |= infusion_records(scene, stays, orders=drugs.orders, done=intensive, rng=rng)
    tables |= billing_records(scene, done, rng=rng) | {"hosp/omr": clinic_records(scene, rng)}
    said = said_of(scene, rng)
    tables |= radiology_records(scene, exams, said=said, rng=rng)
    tables |= discharge_records(
        scene, stays, facts=_for_notes(tables, drugs, done, exams, said), rng=rng
    )
    return scene, stays, tables, rng


def _for_notes(tables: Tables, *others: Any) -> Mapping[str, Any]:
    """What a discharge summary may quote."""
    drugs, done, exams, said = others
    return {"tables": tables, "drugs": drugs, "done": done, "exams": exams, "said": said}
