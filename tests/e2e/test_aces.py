"""Our cases against those of ACES, run on the same MEDS in an environment of its own.

ACES needs an older polars than ours: `EHRLICH_ACES` names a python that has es-aces 0.7.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest
from tests.e2e.conftest import Door

from ehrlich.charts.timeline import Charts
from ehrlich.cohorts.aces import has_opposite_label, to_aces
from ehrlich.cohorts.build import cases_of
from ehrlich.cohorts.scene import Scene, Source
from ehrlich.cohorts.task import Task, load_tasks

pytestmark = pytest.mark.slow

PATIENTS = 400
KEY = ["subject_id", "prediction_time"]
# Tasks whose cases ACES finds one and all, and the label that it has instead of ours.
SAME_CASES = [
    "inpatient_mortality",
    "length_of_stay_3d",
    "length_of_stay_7d",
    "icu_mortality_1d",
    "icu_mortality_7d",
    "icu_stay_7d",
    "readmission_30d",
    "readmission_60d",
]
# Tasks of which ACES leaves some out, as the head of its file says.
FEWER_CASES = ["ed_icu_transfer_12h", "icu_readmission"]

# Runs inside the other environment: each configuration over each shard, to <task>-<shard>.parquet.
SCRIPT = """
import sys
from pathlib import Path
from types import SimpleNamespace
from aces.config import TaskExtractorConfig
from aces.predicates import get_predicates_df
from aces.query import query
work, shards = Path(sys.argv[1]), sys.argv[2:]
for path in sorted(work.glob("*.yaml")):
    for number, shard in enumerate(shards):
        config = TaskExtractorConfig.load(path)  # a query changes it
        data = SimpleNamespace(path=shard, standard="meds", ts_format=None)
        found = query(config, get_predicates_df(config, data))
        if len(found):
            kept = found.select("subject_id", "index_timestamp", "label")
            kept.write_parquet(work / f"{path.stem}-{number}.parquet")
"""


@pytest.fixture(scope="module")
def aces() -> str:
    """The python that has ACES."""
    named = os.environ.get("EHRLICH_ACES", "")
    if not named:
        pytest.skip("no ACES: name in EHRLICH_ACES a python with 'es-aces>=0.7.3,<0.8'")
    python = shutil.which(named)
    if python is None:
        pytest.skip(f"EHRLICH_ACES names no program: {named}")
    return python


@pytest.fixture
def charts(door: Door, tmp_path: Path) -> Charts:
    hospital, charts = tmp_path / "hospital", tmp_path / "charts"
    assert door("hospital", "--patients", str(PATIENTS), "--out", hospital, "--quiet").code == 0
    assert door("read", hospital, "--out", charts, "--quiet").code == 0
    return Charts(charts)


def ours(task: Task, charts: Charts) -> pl.DataFrame:
    """Our cases, with those of little context: ACES does not count what is in view."""
    context = task.context.model_copy(update={"min_events": 0})
    task = task.model_copy(update={"context": context})
    source = Source.of(charts)
    parts = [
        cases_of(Scene(charts.read(shard, fields=True), source), task).cases
        for shard in charts.shards()
    ]
    return pl.concat(parts).select(*KEY, "boolean_value")


def theirs(task: Task, work: Path) -> pl.DataFrame:
    """The cases of ACES, the label turned where it is the opposite."""
    label = pl.col("label") > 0
    return pl.concat(
        pl.read_parquet(path).select(
            pl.col("subject_id").cast(pl.Int64),
            pl.col("index_timestamp").cast(pl.Datetime("us")).alias("prediction_time"),
            (~label if has_opposite_label(task) else label).alias("theirs"),
        )
        for path in sorted(work.glob(f"{task.task}-*.parquet"))
    )


def test_aces_gives_the_same_labels(aces: str, charts: Charts, tmp_path: Path) -> None:
    tasks = load_tasks()
    work = tmp_path / "aces"
    work.mkdir()
    for name in (*SAME_CASES, *FEWER_CASES):
        (work / f"{name}.yaml").write_text(to_aces(tasks[name], charts.predicates))
    shards = [str(charts.folder / "data" / f"{shard}.parquet") for shard in charts.shards()]
    subprocess.run([aces, "-c", SCRIPT, str(work), *shards], check=True, capture_output=True)
    said = {}
    for name in (*SAME_CASES, *FEWER_CASES):
        mine, other = ours(tasks[name], charts), theirs(tasks[name], work)
        both = mine.join(other, on=KEY, how="full", coalesce=True)
        said[name] = {
            "both": both.drop_nulls().height,
            "yes": int(both.drop_nulls()["theirs"].sum()),
            "other label": both.filter(pl.col("theirs") != pl.col("boolean_value")).height,
            "only ACES": both["boolean_value"].null_count(),
            "only ours": both["theirs"].null_count(),
        }
    report = json.dumps(said, indent=1)
    for name, counts in said.items():
        assert counts["other label"] == 0, report
        assert counts["only ACES"] == 0, report
        assert 0 < counts["yes"] < counts["both"], report
        assert counts["only ours"] == 0 or name in FEWER_CASES, report
