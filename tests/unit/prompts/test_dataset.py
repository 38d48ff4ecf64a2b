"""Prompts by row: the same text as the export, in any order, and refused where inputs changed."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ehrlich.base.errors import DataError, StoreError
from ehrlich.base.store import MANIFEST
from ehrlich.cohorts.finished import Inputs
from ehrlich.prompts.chat_policy import load_policy
from ehrlich.prompts.dataset import COLUMNS, PromptDataset, Prompts
from ehrlich.prompts.messages import encode, messages_of, row_of
from ehrlich.prompts.tokenizers import count_tokens, load_tokenizer

QWEN = load_policy("qwen3")


@pytest.fixture(scope="module")
def dataset(finished: Path) -> PromptDataset:
    return PromptDataset(finished)


@pytest.fixture(scope="module")
def exported(finished: Path) -> dict[str, dict[str, Any]]:
    rows = pl.concat(
        [pl.read_parquet(path) for path in sorted(finished.glob("ehr_ins/*/*.parquet"))]
    )
    return {row["case_id"]: row for row in rows.to_dicts()}


def test_rows_are_those_of_the_exported_parquet(
    dataset: PromptDataset, exported: dict[str, dict[str, Any]]
) -> None:
    rows = dataset.__getitems__(range(len(dataset)))
    assert len(rows) == len(exported) > 50
    assert {row["case_id"] for row in rows} == set(exported)
    for row in rows:
        assert list(row) == list(COLUMNS)
        assert row == {name: exported[row["case_id"]][name] for name in COLUMNS}


def test_json_lines_say_what_parquet_says(
    finished: Path, exported: dict[str, dict[str, Any]]
) -> None:
    count = 0
    for path in finished.glob("ehr_ins/*/*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            assert row["messages"] == exported[row["case_id"]]["messages"]
            count += 1
    assert count == len(exported)


def test_rows_come_by_task_shard_and_case(dataset: PromptDataset) -> None:
    tasks = [row["task"] for row in dataset.__getitems__(range(len(dataset)))]
    assert tasks == sorted(tasks)
    assert {row["split"] for row in dataset.__getitems__(range(len(dataset)))} == {"train"}


def test_any_order_and_any_batch_gives_the_same_rows(dataset: PromptDataset) -> None:
    whole = dataset.__getitems__(range(len(dataset)))
    places = list(range(len(dataset)))
    random.Random(5).shuffle(places)
    assert dataset.__getitems__(places[:40]) == [whole[place] for place in places[:40]]
    assert dataset.__getitems__([3, 3, 0, 3]) == [whole[place] for place in (3, 3, 0, 3)]
    for place in places[:5]:
        assert dataset[place] == whole[place]
    assert dataset.__getitems__([]) == []


def test_a_negative_index_counts_from_the_end(dataset: PromptDataset) -> None:
    size = len(dataset)
    assert dataset[-1] == dataset[size - 1]
    assert dataset[-size] == dataset[0]
    assert dataset.__getitems__([0, -1]) == [dataset[0], dataset[size - 1]]


@pytest.mark.parametrize("beyond", [0, 1, 10**12])
def test_an_index_out_of_range_is_an_index_error(dataset: PromptDataset, beyond: int) -> None:
    with pytest.raises(IndexError):
        dataset[len(dataset) + beyond]
    with pytest.raises(IndexError):
        dataset[-len(dataset) - 1 - beyond]
    with pytest.raises(IndexError):
        dataset.__getitems__([0, len(dataset) + beyond])


def test_iterating_ends(dataset: PromptDataset) -> None:
    small = PromptDataset(dataset.prompts.folder, task="ed_reattendance_3d")
    # Sequences without __iter__ end at the first IndexError.
    assert len(list(small)) == len(small)  # type: ignore[call-overload]


def test_samples_splits_and_tasks_are_apart(finished: Path) -> None:
    bench = PromptDataset(finished, sample="ehr_bench", split="held_out")
    assert len(bench) == sum(
        len(path.read_text().splitlines()) for path in finished.glob("ehr_bench/*.jsonl")
    )
    assert {row["split"] for row in bench.__getitems__(range(len(bench)))} == {"held_out"}
    one = PromptDataset(finished, task="labevents")
    assert {row["task"] for row in one.__getitems__(range(len(one)))} == {"labevents"}
    for none in (PromptDataset(finished, split="tuning"), PromptDataset(finished, task="no-such")):
        assert len(none) == 0
        with pytest.raises(IndexError):
            none[0]


def test_the_benchs_input_and_instruction_are_what_a_model_is_asked(finished: Path) -> None:
    bench = PromptDataset(finished, sample="ehr_bench", split="held_out")
    asked = {row["case_id"]: row for row in bench.__getitems__(range(len(bench)))}
    for path in finished.glob("ehr_bench/*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found = asked[row["task_info"]["case_id"]]["messages"]
            assert messages_of(
                f"{row['input']}\n\n{row['instruction']}", policy=QWEN, thinking=False,
                answer=found[-1]["content"],
            ) == found  # fmt: skip


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("chat", ["qwen3", "suffix", "plain"])
def test_ids_of_a_training_prompt_are_those_of_serving(
    finished: Path, exported: dict[str, dict[str, Any]], chat: str, thinking: bool
) -> None:
    policy, tokenizer = load_policy(chat), load_tokenizer("chart-8k")
    how: dict[str, Any] = {"tokenizer": tokenizer, "policy": policy, "thinking": thinking}
    rows = PromptDataset(finished, policy=policy, thinking=thinking)
    for row in rows.__getitems__(range(0, len(rows), 25)):
        content = exported[row["case_id"]]["messages"][1]["content"]
        # What a server is sent: the content of the case, nothing of the answer.
        served = messages_of(content, policy=policy, thinking=thinking)
        reply = {"role": "assistant", "content": "\n".join(row["answer"])}
        if thinking:
            reply["reasoning_content"] = "Potassium rose."
            assert row["messages"] == served
        trained: Any = [*served, reply] if thinking else row["messages"]
        ids = encode(served, for_generation=True, **how)
        assert row_of(trained, **how).prompt == ids
        assert encode(trained, for_generation=False, **how)[: len(ids)] == ids
        assert encode(trained, for_generation=True, **how) == ids


def test_no_conversation_is_above_the_budget_in_real_tokens(finished: Path) -> None:
    tokenizer = load_tokenizer("chart-8k")
    cut = 0
    for sample, split in (("ehr_ins", "train"), ("ehr_bench", "held_out")):
        rows = PromptDataset(finished, sample=sample, split=split)
        for row in rows.__getitems__(range(len(rows))):
            ids = encode(row["messages"], tokenizer=tokenizer, policy=QWEN, thinking=False,
                         for_generation=True)  # fmt: skip
            assert len(ids) <= row["prompt_tokens"] <= 3000
            cut += row["prompt_tokens"] > 2500
    assert cut


def test_a_user_turn_stands_once_in_every_row(dataset: PromptDataset) -> None:
    tokenizer = load_tokenizer("chart-8k")
    for row in dataset.__getitems__(range(0, len(dataset), 7)):
        assert [m["role"] for m in row["messages"]] == ["system", "user", "assistant"]
        assert count_tokens([row["messages"][1]["content"]], tokenizer)[0] > 0
        assert "<|im_" not in row["messages"][1]["content"]


# --- refusals ---------------------------------------------------------------------------------


@pytest.fixture
def moved(finished: Path, inputs: Inputs, tmp_path: Path) -> Path:
    """Prompts, charts and cases of one's own, that may be spoilt."""
    shutil.copytree(finished, tmp_path / "prompts")
    for name, folder in zip(("charts", "cases"), inputs, strict=True):
        shutil.copytree(folder, tmp_path / name)
    manifest = json.loads((tmp_path / "prompts" / MANIFEST).read_text())
    manifest["inputs"] |= {name: str(tmp_path / name) for name in ("charts", "cases")}
    (tmp_path / "prompts" / MANIFEST).write_text(json.dumps(manifest))
    return tmp_path / "prompts"


def edit(folder: Path, **changes: Any) -> None:
    """Another configuration in a manifest."""
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["config"] |= changes
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_a_moved_folder_of_unchanged_inputs_is_read(moved: Path) -> None:
    assert len(PromptDataset(moved)) > 50


def test_changed_charts_are_refused(moved: Path) -> None:
    edit(moved.with_name("charts"), seed_of_another_day=1)
    with pytest.raises(DataError, match="charts"):
        Prompts.open(moved)


def test_charts_and_cases_made_anew_are_refused(moved: Path) -> None:
    charts = moved.with_name("charts")
    edit(charts, seed_of_another_day=1)
    body = json.loads((charts / MANIFEST).read_text())
    from ehrlich.base.store import read_manifest

    edit(moved.with_name("cases"), charts=read_manifest(charts).config_fingerprint)
    assert body["config"]["seed_of_another_day"] == 1
    with pytest.raises(DataError, match="the charts have changed since these prompts were made"):
        Prompts.open(moved)


def test_changed_cases_are_refused(moved: Path) -> None:
    edit(moved.with_name("cases"), seed_of_another_day=1)
    with pytest.raises(DataError, match="the cases have changed since these prompts were made"):
        Prompts.open(moved)


def test_charts_that_change_while_a_process_runs_are_refused_when_opened_again(moved: Path) -> None:
    Prompts.open(moved)
    edit(moved.with_name("charts"), seed_of_another_day=1)
    with pytest.raises(DataError):
        Prompts.open(moved)


def test_a_folder_that_is_not_finished_is_refused(moved: Path, tmp_path: Path) -> None:
    (moved / MANIFEST).unlink()
    with pytest.raises(StoreError, match="no finished output"):
        Prompts.open(moved)
    with pytest.raises(StoreError):
        PromptDataset(tmp_path / "none")


def test_a_folder_of_another_step_is_refused(inputs: Inputs) -> None:
    with pytest.raises(DataError, match="holds no prompts"):
        Prompts.open(inputs.cases)


def test_a_case_whose_blocks_are_missing_is_one_sentence(moved: Path) -> None:
    rows = PromptDataset(moved)
    shutil.rmtree(moved / "blocks")
    with pytest.raises(DataError, match="the blocks of these cases are missing"):
        rows[0]


def test_a_case_is_found_by_its_id(finished: Path, exported: dict[str, dict[str, Any]]) -> None:
    prompts = Prompts.open(finished)
    case_id = next(iter(exported))
    found = prompts.find(case_id)
    assert found is not None
    job, plan = found
    assert prompts.rows(job, plan)["messages"][0].to_list() == exported[case_id]["messages"]
    assert prompts.find("no-such") is None
