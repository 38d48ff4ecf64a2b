"""Charts → cases by the verbs: every task, its counts, the samples, the labels for other tools."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import meds
import polars as pl
import pyarrow.parquet as pq
import pytest

from ehrlich.cohorts.task import load_suite, load_tasks


def ehrlich(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ehrlich", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    for arguments in (
        ("hospital", "--patients", "400", "--seed", "5", "--out", folder / "hospital"),
        ("read", folder / "hospital", "--out", folder / "charts"),
    ):
        ended = ehrlich(*arguments, "--quiet")
        assert ended.returncode == 0, ended.stderr
    return folder / "charts"


@pytest.fixture(scope="module")
def cases(charts: Path) -> Path:
    out = charts.with_name("cases")
    ended = ehrlich("cases", charts, "--out", out, "--suite", "all", "--quiet",
                    "--labels", charts.with_name("labels"))  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return out


def counts(cases: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((cases / "manifest.json").read_text())["counts"]
    return found


def test_every_task_has_cases_and_every_anchor_is_accounted_for(cases: Path) -> None:
    said = counts(cases)
    assert said["skipped"] == {}
    assert set(said["tasks"]) == set(load_suite("all").tasks)
    for name, line in said["tasks"].items():
        assert line["cases"] > 0 or name not in load_suite("all").headline, name
        assert line["in"] == line["cases"] + sum(line["dropped"].values()), name


def test_cases_are_named_once_and_their_subjects_keep_their_split(
    cases: Path, charts: Path
) -> None:
    found = pl.read_parquet(cases / "*" / "*-*.parquet")
    assert not found["case_id"].is_duplicated().any()
    splits = pl.read_parquet(charts / "metadata" / "subject_splits.parquet")
    joined = found.join(splits, on="subject_id", how="left", suffix="_of_subject")
    assert (joined["split"] == joined["split_of_subject"]).all()


def test_a_case_looks_only_at_events_that_begin_by_its_time(cases: Path, charts: Path) -> None:
    rows = pl.read_parquet(charts / "data" / "**" / "*.parquet")
    starts = rows.group_by("subject_id", "event").agg(pl.col("time").first())
    for path in cases.glob("*/*-*.parquet"):
        found = pl.read_parquet(path).drop_nulls("context_last")
        last = found.join(
            starts, left_on=["subject_id", "context_last"], right_on=["subject_id", "event"]
        )
        assert (last["time"] <= last["prediction_time"]).all(), path.parent.name


def test_samples_hold_what_they_may(cases: Path) -> None:
    tasks = load_tasks()
    training = pl.read_parquet(cases / "samples" / "ehr_ins.parquet")
    assert set(training["split"]) == {"train"}
    for name, rows in training.group_by("task").len().iter_rows():
        cap = tasks[name].cap_train
        assert cap is None or rows <= cap
    bench = pl.read_parquet(cases / "samples" / "ehr_bench.parquet")
    assert set(bench["split"]) == {"held_out"}
    assert bench.group_by("task").len()["len"].max() <= 500  # type: ignore[operator]


def test_labels_are_valid_meds(cases: Path, charts: Path) -> None:
    files = sorted(charts.with_name("labels").rglob("*.parquet"))
    assert {path.parent.parent.name for path in files} == {
        name for name, task in load_tasks().items() if task.kind == "risk"
    }
    for path in files:
        meds.LabelSchema.validate(pq.read_table(path))


def test_a_suite_of_another_policy_is_refused_in_one_sentence(charts: Path, tmp_path: Path) -> None:
    ended = ehrlich("cases", charts, "--out", tmp_path / "x", "--suite", "ehr_bench_compat")
    assert ended.returncode == 2
    assert "--policy compat" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "x").exists()


def test_an_unknown_task_is_told_the_nearest_one(charts: Path, tmp_path: Path) -> None:
    ended = ehrlich("cases", charts, "--out", tmp_path / "x", "--task", "labevnts")
    assert ended.returncode == 2
    assert "Did you mean 'labevents'?" in ended.stderr


def test_the_verbs_of_tasks_answer(tmp_path: Path) -> None:
    for arguments, expected in (
        (("tasks", "list"), "readmission_30d"),
        (("tasks", "show", "readmission_30d"), "What it is not"),
        (("tasks", "check"), "no problem found"),
        (("tasks", "export", "inpatient_mortality"), "predicates"),
    ):
        ended = ehrlich(*arguments)
        assert ended.returncode == 0, ended.stderr
        assert expected in ended.stdout
