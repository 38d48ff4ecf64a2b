"""A finished `cases/` folder as later stages read it: whose charts, which tasks, which samples."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import polars as pl

from ehrlich.base.errors import DataError
from ehrlich.base.store import Manifest, read_manifest
from ehrlich.charts.timeline import Charts
from ehrlich.cohorts.task import Task

SAMPLES = ("ehr_ins", "ehr_bench")


class Inputs(NamedTuple):
    """Folders that `ehrlich read` and `ehrlich cases` wrote."""

    charts: Path
    cases: Path


def cases_manifest(folder: Path, charts: Charts) -> Manifest:
    """Manifest of the cases. Raises DataError where they were built from other charts."""
    manifest = read_manifest(folder)
    if manifest.step != "cases":
        raise DataError("holds no cases", where=str(folder), got=manifest.step)
    if manifest.config["charts"] != charts.manifest.config_fingerprint:
        raise DataError(
            "the cases were built from other charts",
            where=str(folder),
            do="Give the charts that `ehrlich cases` was given.",
        )
    return manifest


def tasks_of(manifest: Manifest) -> dict[str, Task]:
    """The tasks by name, as the cases were built from them."""
    return {stated["task"]: Task.model_validate(stated) for stated in manifest.config["tasks"]}


def sample_ids(folder: Path, sample: str, *, task: str) -> pl.Series:
    """case_id of a task's cases in a sample; of the file no more is read than that."""
    listed = _sample(folder, sample).filter(pl.col("task") == task)
    return listed.select("case_id").collect()["case_id"]


def sample_size(folder: Path, sample: str) -> int:
    """How many cases a sample has."""
    return int(_sample(folder, sample).select(pl.len()).collect().item())


def _sample(folder: Path, sample: str) -> pl.LazyFrame:
    return pl.scan_parquet(folder / "samples" / f"{sample}.parquet")
