"""Released rows become cases; bad ones are counted, and nothing of them is shown."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from tests.mini_charts import tasks
from tests.mini_released import RISK_WORDING, released_row, wording, write_rows

from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import ConfigError, DataError
from ehrlich.prompts.released_rows import (
    ReleasedRows,
    read_released,
    released_batches,
    released_schema,
)
from ehrlich.prompts.released_tasks import ReleasedTasks, signs_in

SECRET = "Mrs Confidential"


def answer_of(name: str) -> list[str]:
    return ["yes"] if tasks()[name].kind == "risk" else ["Sodium", "Potassium"]


def read(tmp_path: Path, *rows: Any, **more: Any) -> ReleasedRows:
    return read_released(write_rows(tmp_path / "rows.jsonl", rows), tasks=tasks(), **more)


def changed(**to: Any) -> dict[str, Any]:
    row: dict[str, Any] = released_row(tasks()["labevents"], ["Sodium"], idx=1)
    return row | to


def test_a_decision_as_a_case(tmp_path: Path) -> None:
    row = released_row(tasks()["labevents"], ["Sodium", "Potassium, Whole Blood"], idx=7)
    found = read(tmp_path, row, split="held_out")
    assert found.rows == 1
    assert found.dropped == {}
    assert found.data_use == DataUse.CREDENTIALED
    assert dict(found.cases.schema) == released_schema()
    case = found.cases.to_dicts()[0]
    assert len(case.pop("case_id")) == 16
    assert case == {
        "task": "labevents", "idx": "7", "split": "held_out", "prompt": row["input"],
        "question": row["instruction"], "answer": ["Sodium", "Potassium, Whole Blood"],
        "boolean_value": None, "candidates": ["Sodium", "Potassium, Whole Blood", "Wrong"],
        "candidate_mode": "oracle", "metric": "em", "reasoning": None,
    }  # fmt: skip


@pytest.mark.parametrize(("said", "value"), [("yes", True), ("no", False)])
def test_a_risk_as_a_case(tmp_path: Path, said: str, value: bool) -> None:
    case = read(tmp_path, released_row(tasks()["icu_stay_7d"], [said])).cases.to_dicts()[0]
    assert (case["task"], case["answer"], case["boolean_value"]) == ("icu_stay_7d", [said], value)
    assert (case["candidates"], case["candidate_mode"]) == (None, "none")
    assert case["split"] == "unknown"


def test_case_ids_hang_on_idx_task_and_text_alone(tmp_path: Path) -> None:
    first, second = tasks()["icu_stay_7d"], tasks()["icu_stay_14d"]
    rows = [released_row(first, ["yes"]), released_row(second, ["yes"]),
            released_row(first, ["yes"], idx=1)]  # fmt: skip
    ids = read(tmp_path, *rows).cases["case_id"].to_list()
    assert len(set(ids)) == 3
    assert read(tmp_path, *reversed(rows)).cases["case_id"].to_list() == ids[::-1]
    # Written down, so that a change of the hash is seen.
    assert ids[0] == "9f3a0d10b6205fd9"


@pytest.mark.parametrize("name", sorted(tasks()))
def test_every_task_is_found_by_its_released_name_and_without_it(
    name: str, tmp_path: Path
) -> None:  # fmt: skip
    task = tasks()[name]
    named = released_row(task, answer_of(name), idx=1)
    unnamed = released_row(task, answer_of(name), idx=2, named=False)
    listed = released_row(task, answer_of(name), idx=3, named=False)
    listed["task_info"]["events"] = [listed["task_info"]["events"]]
    found = read(tmp_path, named, unnamed, listed)
    assert found.cases["task"].to_list() == [name] * 3
    assert found.dropped == {}


@pytest.mark.parametrize("name", sorted(RISK_WORDING))
def test_our_own_wording_of_a_risk_is_read_for_what_it_asks(name: str) -> None:
    released = ReleasedTasks.of(tasks())
    assert signs_in(RISK_WORDING[name]) == released.signs[name]


@pytest.mark.parametrize(
    ("info", "instruction", "task"),
    [
        ({"task": "ED_ICU_Tranfer_12hour"}, "", "ed_icu_transfer_12h"),
        ({"task": "ed_icu_transfer_12h"}, "", "ed_icu_transfer_12h"),
        ({"task": "no_such"}, "dies within 1 day", None),
        ({"target_key": "drug", "metric": "recall"}, "", "prescriptions"),
        ({"target_key": "name", "metric": "recall"}, "", "medrecon"),
        ({"target_key": "name", "metric": "em"}, "", "pyxis"),
        ({"target_key": "item_name", "metric": "em"}, "", None),
        ({"target_key": "CCS Type", "event": "diagnosis"}, "", "diagnosis_ccs"),
        ({"target_key": "item_name", "event": "elsewhere"}, "", None),
        ({"target_key": None, "metric": "aucroc"}, "dies within 3 days", "icu_mortality_3d"),
        # Of the ED and of the ward the released set asks in one wording.
        ({"target_key": None, "metric": "aucroc"}, "dies here", None),
        ({"target_key": None, "metric": "aucroc", "events": "edstays"}, "dies here",
         "ed_inpatient_mortality"),
        ({"target_key": None, "metric": "aucroc"}, "something else", None),
    ],
)  # fmt: skip
def test_a_task_is_found_only_where_one_fits(
    info: dict[str, Any], instruction: str, task: str | None
) -> None:
    assert ReleasedTasks.of(tasks()).find(info, instruction) == task


@pytest.mark.parametrize(
    ("output", "answer", "reasoning"),
    [
        ("Sodium\nPotassium", ["Sodium", "Potassium"], None),
        ("Sodium\n\n Potassium \nSodium", ["Sodium", "Potassium"], None),
        (r"Sodium\nPotassium", ["Sodium", "Potassium"], None),
        ("1.2 mg tablet\n- strange name", ["1.2 mg tablet", "- strange name"], None),
        ("<think>\nIll.\n</think>\n\nSodium\nPotassium", ["Sodium", "Potassium"], "Ill."),
        ("He is ill.</think>Sodium", ["Sodium"], "He is ill."),
        ("## Extraction\nA fact\n## Reasoning\nSo.\n## Final Results\n- Sodium\n- **pH**",
         ["Sodium", "pH"], "## Extraction\nA fact\n## Reasoning\nSo."),
        ("<think>Ill.</think>\nSo.\n**Final Results:**\nSodium", ["Sodium"], "Ill.\nSo."),
        # The block never closes: only the label knows the answer.
        ("<think>He is ill.", ["Label"], "He is ill."),
    ],
)  # fmt: skip
def test_reasoning_is_kept_apart_from_the_answer(
    tmp_path: Path, output: str, answer: list[str], reasoning: str | None
) -> None:
    row = released_row(tasks()["labevents"], ["Label"]) | {"output": output}
    case = read(tmp_path, row).cases.to_dicts()[0]
    assert (case["answer"], case["reasoning"]) == (answer, reasoning)


def test_reasoning_may_have_a_key_of_its_own(tmp_path: Path) -> None:
    case = read(tmp_path, changed(reasoning_content="He is ill.")).cases.to_dicts()[0]
    assert (case["answer"], case["reasoning"]) == (["Sodium"], "He is ill.")


def test_a_long_run_of_blanks_after_a_heading_takes_no_long_time(tmp_path: Path) -> None:
    output = "Final results" + " *" * 200_000 + "x\nSodium"
    found = read(tmp_path, changed(output=output))
    assert found.cases["answer"].list.get(1).to_list() == ["Sodium"]


def test_a_summary_is_one_answer_headings_and_all(tmp_path: Path) -> None:
    text = "Admitted for sepsis.\n## Final Results\nCultures grew E. coli."
    row = released_row(tasks()["discharge"], ["x"]) | {"output": text}
    assert read(tmp_path, row).cases["answer"].to_list() == [[text]]


def test_the_output_counts_before_a_label_that_the_released_code_may_have_overwritten(
    tmp_path: Path,
) -> None:
    row = changed()
    row["task_info"]["label"] = ["Of another row"]
    assert read(tmp_path, row).cases["answer"].to_list() == [["Sodium"]]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{broken " + SECRET + "\n", "not JSON"),
        ("[" * 100_000 + "\n", "not JSON"),
        (f'["{SECRET}"]\n', "not a JSON object"),
        (b'{"a": "\xff"}\n'.decode("latin-1"), "no input"),
        (changed(input=None), "input is no text"),
        (changed(input=" "), "input is empty"),
        (changed(output=[SECRET]), "output is no text"),
        ({"input": SECRET}, "no instruction"),
        (changed(task_info=None), "no task_info"),
        (changed(task_info=[SECRET]), "task_info is no object"),
        (changed(task_info="{" + SECRET), "task_info is not JSON"),
        (changed(task_info={"task": SECRET}), "unknown task"),
        (changed(candidates=SECRET), "candidates is no list"),
        (changed(candidates=[SECRET, 1]), "candidates is no list"),
        (changed(idx=[SECRET]), "idx is no number"),
        (changed(output="<think>" + SECRET, task_info={"task": "labevents"}),
         "no answer in the output"),
        (released_row(tasks()["icu_stay_7d"], ["maybe"]), "neither yes nor no"),
        (changed(input="half \ud83d"), "text is not Unicode"),
    ],
)  # fmt: skip
def test_a_bad_row_is_counted_by_its_reason_and_never_shown(
    tmp_path: Path, row: Any, reason: str
) -> None:
    found = read(tmp_path, released_row(tasks()["poe"], ["Lab"]), row)
    assert found.dropped == {reason: 1}
    assert (found.rows, found.cases.height) == (2, 1)
    with pytest.raises(DataError) as caught:
        read(tmp_path, row)
    assert reason in str(caught.value)
    assert SECRET not in str(caught.value)


def test_task_info_and_candidates_may_be_json_text_as_tables_store_them(tmp_path: Path) -> None:
    row = changed()
    row |= {name: json.dumps(row[name]) for name in ("task_info", "candidates")}
    case = read(tmp_path, row).cases.to_dicts()[0]
    assert (case["task"], case["candidates"]) == ("labevents", ["Sodium", "Wrong"])


def test_a_row_may_name_its_task_beside_task_info(tmp_path: Path) -> None:
    row = changed(task="omr")
    del row["task_info"]
    assert read(tmp_path, row).cases["task"].to_list() == ["omr"]


def test_a_row_that_stands_twice_is_taken_once(tmp_path: Path) -> None:
    found = read(tmp_path, changed(), changed())
    assert (found.cases.height, found.dropped) == (1, {"stands twice": 1})


def test_batches_hold_no_more_rows_than_asked(tmp_path: Path) -> None:
    rows = [released_row(tasks()["poe"], ["Lab"], idx=idx) for idx in range(25)]
    path = write_rows(tmp_path / "rows.jsonl.gz", [*rows, "broken\n", "\n"])
    batches = list(released_batches(path, tasks=tasks(), batch_rows=10))
    assert [batch.rows for batch in batches] == [10, 10, 6]
    assert [batch.cases.height for batch in batches] == [10, 10, 5]
    whole = read_released(path, tasks=tasks())
    assert whole.cases["idx"].to_list() == [str(idx) for idx in range(25)]
    assert (whole.rows, whole.dropped) == (26, {"not JSON": 1})


def test_gzip_is_known_by_content_and_a_mark_of_byte_order_is_no_error(tmp_path: Path) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(changed()).encode()
    for number, content in enumerate((body, gzip.compress(body))):
        path = tmp_path / f"{number}.txt"
        path.write_bytes(content)
        assert read_released(path, tasks=tasks()).cases.height == 1


def test_files_that_are_no_released_rows_are_one_sentence(tmp_path: Path) -> None:
    empty = write_rows(tmp_path / "empty.jsonl", [])
    with pytest.raises(DataError, match="holds no row of EHR-Bench or EHR-Ins; got no lines"):
        read_released(empty, tasks=tasks())
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(json.dumps(changed()).encode() * 50)[:-20])
    with pytest.raises(DataError, match="the compressed file is broken"):
        read_released(cut, tasks=tasks())
    with pytest.raises(DataError, match=r"cannot read the file; got No such file"):
        read_released(tmp_path / "absent.jsonl", tasks=tasks())
    with pytest.raises(ConfigError, match="no such split; got test"):
        read_released(write_rows(tmp_path / "rows.jsonl", [changed()]), split="test")


def test_wordings_of_the_generator_name_every_risk() -> None:
    risks = {name for name, task in tasks().items() if task.kind == "risk"}
    assert risks == RISK_WORDING.keys()
    assert wording(tasks()["omr"]) != tasks()["omr"].question
