"""Export rows: what stands in them, what does not, and that others read the files as they are."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from tests.mini_charts import tasks

from ehrlich.base.errors import DataError
from ehrlich.prompts.exports import (
    bench_rows,
    instruction_rows,
    json_lines,
    of_kind,
    write_jsonl,
    write_parquet,
)
from ehrlich.prompts.released_rows import read_released
from ehrlich.prompts.released_tasks import released_info

SUBJECT = 10_000_032
ODD = 'He said "stop";\\ 5 µg — ok\tthen'


def prompt_rows(*names: str, **columns: Any) -> pl.DataFrame:
    """A prompt row a task."""
    risk = [tasks()[name].kind == "risk" for name in names]
    count = len(names)
    frame: dict[str, Any] = {
        "case_id": [f"{place:016x}" for place in range(count)],
        "task": names,
        "subject_id": [SUBJECT] * count,
        "encounter_id": [20_000_001] * count,
        "stay_id": [30_000_001] * count,
        "prediction_time": [datetime(2150, 1, 1, 10)] * count,
        "split": ["held_out"] * count,
        "prompt": [f"## Patient\n- Age: {place}" for place in range(count)],
        "question": ["What next?"] * count,
        "answer": [["yes"] if yes else ["Sodium", ODD] for yes in risk],
        "boolean_value": [True if yes else None for yes in risk],
        "candidates": [None if yes else ["Sodium", "pH"] for yes in risk],
        "messages": [conversation(place) for place in range(count)],
    }
    overrides: dict[str, Any] = {"boolean_value": pl.Boolean, "candidates": pl.List(pl.String)}
    return pl.DataFrame(frame | columns, schema_overrides=overrides)


def conversation(place: int) -> list[dict[str, str | None]]:
    return [
        {"role": "user", "content": f"Chart {place}", "reasoning_content": None},
        {"role": "assistant", "content": "Sodium", "reasoning_content": "It was low."},
    ]


def parsed(rows: pl.DataFrame) -> list[dict[str, Any]]:
    return [json.loads(line) for line in json_lines(rows).decode().splitlines()]


def test_a_decision_row_has_the_released_keys() -> None:
    (row,) = parsed(bench_rows(prompt_rows("prescriptions_atc"), tasks()))
    assert list(row) == ["idx", "instruction", "input", "output", "candidates", "task_info"]
    assert (row["idx"], row["instruction"]) == (0, "What next?")
    assert row["input"] == "## Patient\n- Age: 0"
    assert row["output"] == f"Sodium\n{ODD}"
    assert row["candidates"] == ["Sodium", "pH"]
    info = row["task_info"]
    assert ast.literal_eval(info.pop("target")) == ["Sodium", ODD]
    assert info == {
        "task": "prescriptions_atc", "event": "prescriptions", "events": "prescriptions",
        "target_key": "ATC Type", "metric": "recall", "label": ["Sodium", ODD],
        "case_id": "0000000000000000", "split": "held_out",
    }  # fmt: skip


def test_a_risk_row_has_the_released_keys() -> None:
    first, second = parsed(bench_rows(prompt_rows("icu_stay_7d", "readmission_30d"), tasks()))
    assert first["output"] == "yes"
    assert first["candidates"] is None
    assert first["task_info"] == {
        "task": "ICU_Stay_7day", "event": "icustays", "events": "icustays", "target_key": None,
        "metric": "aucroc", "target": "yes", "label": "yes", "case_id": "0000000000000000",
        "split": "held_out",
    }  # fmt: skip
    assert (second["idx"], second["task_info"]["event"]) == (1, "discharge")


@pytest.mark.parametrize("name", sorted(tasks()))
def test_what_is_written_is_read_back_as_the_same_case(name: str, tmp_path: Path) -> None:
    frame = prompt_rows(name)
    write_jsonl(tmp_path / "rows.jsonl", [bench_rows(frame, tasks())])
    found = read_released(tmp_path / "rows.jsonl", split="held_out", tasks=tasks())
    assert found.dropped == {}
    same = ["task", "split", "prompt", "question", "boolean_value", "candidates"]
    assert found.cases.select(same).equals(frame.select(same))
    # A text has one item only; here it was made of two.
    one_text = tasks()[name].metric == "rouge_l"
    (answer,) = frame["answer"].to_list()
    assert found.cases["answer"].to_list() == [["\n".join(answer)] if one_text else answer]
    assert found.cases["metric"].to_list() == [released_info(tasks()[name]).metric]


def test_a_line_break_inside_an_item_does_not_make_two_of_it() -> None:
    frame = prompt_rows("emar", answer=[["Iron\n 5 mg", "A\u2028B", "C"]])
    (row,) = parsed(bench_rows(frame, tasks()))
    assert row["output"].splitlines() == ["Iron 5 mg", "A B", "C"]
    assert row["task_info"]["label"] == ["Iron 5 mg", "A B", "C"]
    note = prompt_rows("discharge", answer=[["Line\r\n\nLine"]])
    assert parsed(bench_rows(note, tasks()))[0]["output"] == "Line\r\n\nLine"
    literal = bench_rows(note, tasks())["task_info"].struct.field("target").item()
    assert ast.literal_eval(literal) == json.loads(literal) == ["Line\r\n\nLine"]


def test_numbers_run_on_from_part_to_part() -> None:
    frame = prompt_rows("omr", "poe")
    assert bench_rows(frame, tasks(), first=7)["idx"].to_list() == [7, 8]


def test_kinds_stand_in_files_of_their_own() -> None:
    frame = prompt_rows("omr", "icu_stay_7d", "poe")
    with pytest.raises(DataError, match="decisions and risks in one file"):
        bench_rows(frame, tasks())
    assert of_kind(frame, tasks(), kind="decision")["task"].to_list() == ["omr", "poe"]
    assert of_kind(frame, tasks(), kind="risk")["task"].to_list() == ["icu_stay_7d"]
    with pytest.raises(DataError, match="unknown task; got mine"):
        of_kind(frame.with_columns(task=pl.lit("mine")), tasks(), kind="risk")


def test_no_row_names_its_subject_unless_asked() -> None:
    frame = prompt_rows("omr")
    for rows in (bench_rows(frame, tasks()), instruction_rows(frame)):
        text = json_lines(rows).decode()
        assert not any(number in text for number in (str(SUBJECT), "20000001", "30000001"))
        assert not any(name in text for name in ("subject", "encounter", "stay_id"))
    kept = parsed(bench_rows(frame, tasks(), keep_ids=True))[0]["task_info"]
    assert (kept["subject_id"], kept["stay_id"]) == (SUBJECT, 30_000_001)
    assert parsed(instruction_rows(frame, keep_ids=True))[0]["subject_id"] == SUBJECT
    with pytest.raises(DataError, match="names the subject; got subject_id"):
        instruction_rows(frame, also=("subject_id",))


def test_a_training_row_is_its_messages_and_what_is_known_of_the_case() -> None:
    frame = prompt_rows("omr").with_columns(shard=pl.lit("train/0"), internal=pl.lit("x"))
    rows = instruction_rows(frame, also=("shard",))
    assert rows.columns == [
        "messages", "case_id", "task", "split", "prediction_time", "answer", "boolean_value",
        "candidates", "shard",
    ]  # fmt: skip
    assert parsed(rows)[0]["messages"] == conversation(0)


@pytest.mark.parametrize("column", ["messages", "case_id", "split"])
def test_a_missing_column_is_one_sentence(column: str) -> None:
    with pytest.raises(DataError, match=f"none called {column}"):
        instruction_rows(prompt_rows("omr").drop(column))


def test_a_bench_without_its_chart_is_one_sentence() -> None:
    with pytest.raises(DataError, match="none called prompt"):
        bench_rows(prompt_rows("omr").drop("prompt"), tasks())


def frames() -> Iterator[pl.DataFrame]:
    """Three parts of which the last has nothing but nulls where the first has lists."""
    yield instruction_rows(prompt_rows("omr", "poe"))
    yield instruction_rows(prompt_rows("omr", "poe")[:0])
    yield instruction_rows(prompt_rows("omr")).with_columns(candidates=None)


def test_files_hold_the_frames_one_after_another(tmp_path: Path) -> None:
    assert write_jsonl(tmp_path / "rows.jsonl", frames()) == 3
    assert write_parquet(tmp_path / "rows.parquet", frames()) == 3
    lines = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    table = pl.read_parquet(tmp_path / "rows.parquet")
    assert [json.loads(line)["task"] for line in lines] == table["task"].to_list()
    assert json.loads(lines[2])["candidates"] is None
    assert table["messages"].to_list()[2] == json.loads(lines[2])["messages"]
    assert pq.ParquetFile(tmp_path / "rows.parquet").num_row_groups >= 2


def test_an_export_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    def broken() -> Iterator[pl.DataFrame]:
        yield instruction_rows(prompt_rows("omr"))
        raise DataError("a shard is missing")

    for write, name in ((write_jsonl, "rows.jsonl"), (write_parquet, "rows.parquet")):
        with pytest.raises(DataError, match="a shard is missing"):
            write(tmp_path / name, broken())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="no rows to write"):
        write_parquet(tmp_path / "rows.parquet", [])
    assert write_jsonl(tmp_path / "rows.jsonl", []) == 0


def test_datasets_reads_both_kinds_of_file(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra `training` is not installed")
    write_jsonl(tmp_path / "ins.jsonl", frames())
    write_parquet(tmp_path / "ins.parquet", frames())
    write_jsonl(tmp_path / "risk.jsonl", [bench_rows(prompt_rows("icu_stay_7d"), tasks())])
    for name, kind in (("ins.jsonl", "json"), ("ins.parquet", "parquet"), ("risk.jsonl", "json")):
        path = str(tmp_path / name)
        found = datasets.load_dataset(kind, data_files=path, cache_dir=str(tmp_path / "cache"))
        assert found["train"].num_rows == (1 if name == "risk.jsonl" else 3)
