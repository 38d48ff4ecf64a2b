"""Strict against compat: cases are paired by source row, differences counted and explained."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.mini_charts import tasks

from ehrlich.base.errors import DataError
from ehrlich.base.store import read_manifest
from ehrlich.cohorts.compare import (
    compare,
    compare_text,
    label_reason,
    paired,
    unfiltered_tasks,
)
from ehrlich.cohorts.reference import without_filters
from ehrlich.cohorts.task import load_tasks


@pytest.fixture(scope="module")
def compared(hospital_cases: dict[str, Path]) -> pl.DataFrame:
    return compare(hospital_cases["strict"], hospital_cases["compat"])


def test_every_case_is_counted_once(
    compared: pl.DataFrame, hospital_cases: dict[str, Path]
) -> None:
    for policy in ("strict", "compat"):
        counts = read_manifest(hospital_cases[policy]).counts["tasks"]
        for name, cases in compared.select("task", policy).iter_rows():
            assert cases == counts[name]["cases"], name


def test_differences_are_parts_of_the_pairs(compared: pl.DataFrame) -> None:
    for line in compared.to_dicts():
        assert max(line["labels"], line["answers"], line["contexts"]) <= line["both"]
        parts = line["other_time"] + line["reaches_back"] + line["other_events"]
        assert parts == line["contexts"], line["task"]
        assert bool(line["why_labels"]) == (line["labels"] > 0)
    pairs = dict(compared.select("task", "both").iter_rows())
    assert pairs["labevents"] > 100
    assert pairs["readmission_30d"] > 10


def test_the_text_has_every_task(compared: pl.DataFrame) -> None:
    text = compare_text(compared)
    assert all(f"\n{name} " in text for name in compared["task"])
    assert "compat drops" in text


def test_the_order_of_the_folders_is_checked(hospital_cases: dict[str, Path]) -> None:
    with pytest.raises(DataError, match="strict folder, then a compat one"):
        compare(hospital_cases["compat"], hospital_cases["strict"])


def frame(anchors: list[tuple[str, int, int]]) -> pl.DataFrame:
    rows = [
        {"case_id": case, "subject_id": 1, "encounter_id": 7, "table": "labevents",
         "source": source, "anchor_event": event, "prediction_time": None}
        for case, source, event in anchors
    ]  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"prediction_time": pl.Datetime("us")})


def test_events_that_the_released_code_joins_are_said_to_be_grouped() -> None:
    strict = frame([("a", 1, 3), ("b", 5, 5), ("c", 9, 8)])
    compat = frame([("x", 1, 2), ("y", 20, 7)])
    places = pl.DataFrame(
        {"subject_id": 1, "table": "labevents", "source": [1, 5, 9, 20], "there": [2, 2, 4, 7]},
    )
    found = paired(strict, compat, places=places, task=tasks()["labevents"])
    sides = dict(found.select(pl.coalesce("case_id", "case_id_c"), "side").iter_rows())
    assert sides == {"a": "both", "b": "grouped", "c": "strict", "y": "compat"}


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("inpatient_mortality", "00:00 of its day"),
        ("icu_mortality_3d", "last event shown"),
        ("ed_critical_outcomes", "before the question"),
        ("readmission_30d", "midnight"),
        ("length_of_stay_3d", "another time"),
    ],
)
def test_labels_differ_for_a_reason(task: str, reason: str) -> None:
    assert reason in label_reason(tasks()[task])


def test_tasks_without_limits_are_the_same_tasks(tmp_path: Path) -> None:
    written = load_tasks(unfiltered_tasks(tmp_path / "tasks"))
    assert written == {name: without_filters(task) for name, task in tasks().items()}
