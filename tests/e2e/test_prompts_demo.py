"""Compat prompts of the open MIMIC-IV demo against those of the paper's released code."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ehrlich.charts.readers import ReadConfig, read_source
from ehrlich.charts.timeline import Charts
from ehrlich.cohorts.build import cases_of
from ehrlich.cohorts.reference import without_filters, written_maps
from ehrlich.cohorts.scene import Scene, Source
from ehrlich.cohorts.task import Task, load_tasks
from ehrlich.prompts.blocks import blocks_of
from ehrlich.prompts.config import whole_tables
from ehrlich.prompts.counting import Counter
from ehrlich.prompts.plan import Planner, Reader
from ehrlich.prompts.questions import questions_of, with_questions
from ehrlich.prompts.render import Writer
from ehrlich.prompts.style import load_style


@pytest.fixture(scope="module")
def golden(shared: Path) -> Path:
    folder = shared / "data/ehr-r1-golden"
    if not (folder / "prompts.jsonl.gz").is_file():
        pytest.skip("ehr-r1-golden is not among the shared data")
    return folder


@pytest.fixture(scope="module")
def compat(shared: Path, golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Charts:
    demo = shared / "data/mimic-iv-demo-2.2"
    if not demo.is_dir():
        pytest.skip("mimic-iv-demo-2.2 is not among the shared data")
    folder = tmp_path_factory.mktemp("prompts_demo")
    maps = written_maps(golden / "index_mapping", folder / "maps")
    read_source(ReadConfig(policy="compat", maps=maps, workers=1, quiet=True), demo, folder / "out")
    return Charts(folder / "out")


def released(golden: Path) -> dict[str, list[dict[str, Any]]]:
    """The released prompts by their task's name."""
    found: dict[str, list[dict[str, Any]]] = {}
    with gzip.open(golden / "prompts.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            found.setdefault(row["task"], []).append(row)
    return found


def ours(scene: Scene, task: Task, subjects: list[int]) -> pl.DataFrame:
    """The subjects' cases, with their question."""
    cases = cases_of(scene, task).cases.filter(pl.col("subject_id").is_in(subjects))
    return with_questions(cases, questions_of([task]))


@pytest.mark.slow
def test_all_released_prompts_are_written_byte_for_byte(golden: Path, compat: Charts) -> None:
    source, style = Source.of(compat), load_style("compat")
    writer = Writer(style, source.tables, whole_tables(compat, style), strict=False)
    rows = pl.concat([compat.read(shard, fields=True) for shard in compat.shards()])
    blocks = blocks_of(
        rows, writer, source=source, hidden=pl.lit(False), counter=Counter("none")
    )  # fmt: skip
    scene = Scene(rows, source)
    by_name = {task.compat.name: without_filters(task) for task in load_tasks().values()}
    reader = Reader(writer, {task.task: task for task in by_name.values()})
    planner = Planner(scene, blocks, reader)
    missing, total = [], 0
    for name, prompts in released(golden).items():
        task = by_name[name]
        cases = ours(scene, task, [int(row["subject_id"]) for row in prompts])
        texts = reader.charts(planner.plan(cases, task), blocks).to_list()
        for row in prompts:
            total += 1
            if row["input"] not in texts:
                missing.append((name, row["row"]))
    assert total == 48
    assert missing == []
