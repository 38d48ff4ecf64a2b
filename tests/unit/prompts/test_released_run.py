"""`ehrlich prompts released`: rows to the letter, only the turns are ours."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from tests.mini_released import released_row

from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import DataError
from ehrlich.base.store import read_manifest
from ehrlich.cohorts.task import load_tasks
from ehrlich.prompts.released_run import ReleasedConfig, run_released


def written(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def rows() -> list[object]:
    tasks = load_tasks()
    plain = released_row(tasks["labevents"], ["Sodium", "Lactate"], idx=1)
    risk = released_row(tasks["inpatient_mortality"], ["yes"], idx=2)
    chain = released_row(tasks["labevents"], ["Sodium"], idx=3)
    chain["output"] = "<think>\nIt was low.\n</think>\n\nSodium"
    return [plain, risk, chain, {"idx": 4}]


def test_messages_hold_the_released_text_and_a_chain_stays_apart(
    tmp_path: Path, rows: list[object]
) -> None:
    source = written(tmp_path / "rows.jsonl", rows)
    manifest = run_released(ReleasedConfig(split="held_out"), source, tmp_path / "out")
    assert manifest.data_use is DataUse.CREDENTIALED
    assert manifest.counts["rows"] == 3
    assert sum(manifest.counts["dropped"].values()) == 1
    found = pl.read_parquet(tmp_path / "out/held_out/0.parquet")
    plain, risk, chain = found["messages"].to_list()
    asked = rows[0]
    assert isinstance(asked, dict)
    assert plain[1]["content"] == f"{asked['input']}\n{asked['instruction']}/no_think"
    assert plain[2] == {
        "role": "assistant", "content": "Sodium\nLactate", "reasoning_content": None
    }  # fmt: skip
    assert risk[2]["content"] == "yes"
    assert chain[1]["content"].endswith("\n/think")
    assert (chain[2]["content"], chain[2]["reasoning_content"]) == ("Sodium", "It was low.")
    lines = (tmp_path / "out/held_out/0.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["messages"] for line in lines] == [plain, risk, chain]
    assert "credentialed" in (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert read_manifest(tmp_path / "out").counts == manifest.counts


def test_a_file_without_a_good_row_is_one_sentence(tmp_path: Path) -> None:
    source = written(tmp_path / "rows.jsonl", [{"idx": 4}])
    with pytest.raises(DataError, match="holds no row of EHR-Bench"):
        run_released(ReleasedConfig(), source, tmp_path / "out")
