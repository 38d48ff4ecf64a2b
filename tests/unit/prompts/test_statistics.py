"""Tokens a prompt, by task."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ehrlich.prompts.blocks import write_mapped
from ehrlich.prompts.statistics import BUDGETS, statistics_of, statistics_table


def plans(folder: Path, **sizes: list[int | None]) -> Path:
    for task, tokens in sizes.items():
        for shard in range(2):
            part = pl.Series("uncut_tokens", tokens[shard::2], dtype=pl.Int64)
            frame = pl.DataFrame({"uncut_tokens": part, "prompt_tokens": part}).with_columns(
                task=pl.lit(task)
            )
            write_mapped(frame, folder / task / f"train-{shard}.arrow")
    (folder / ".train-0.json").write_text("{}")
    return folder


def test_one_row_a_task_over_all_its_shards(tmp_path: Path) -> None:
    found = statistics_of(plans(tmp_path, b=[5000, 1000, 9000, 40_000], a=[10, 20, 30]))
    assert found["task"].to_list() == ["a", "b"]
    assert found["prompts"].to_list() == [3, 4]
    assert found["median"].to_list() == [20, 7000]
    assert found["max"].to_list() == [30, 40_000]
    assert found["p95"].to_list() == [30, 40_000]
    assert found["over_4096"].to_list() == [0, 0.75]
    assert found["over_32768"].to_list() == [0, 0.25]
    assert [name for name in found.columns if name.startswith("over_")] == [
        f"over_{budget}" for budget in BUDGETS
    ]


def test_a_prompt_of_exactly_the_budget_is_not_cut(tmp_path: Path) -> None:
    found = statistics_of(plans(tmp_path, a=[4096, 4097]))
    assert found["over_4096"].to_list() == [0.5]


def test_null_without_a_tokenizer(tmp_path: Path) -> None:
    found = statistics_of(plans(tmp_path, a=[None, None]))
    assert found.row(0) == ("a", 2, None, None, None, None, None, None, None)
    assert statistics_table(found).endswith("\n| a | 2 |  |  |  |  |  |  |  |")


def test_the_table_is_markdown_with_a_column_a_figure(tmp_path: Path) -> None:
    found = statistics_of(plans(tmp_path, labevents=[1000, 5000, 2000, 3000]))
    lines = statistics_table(found).split("\n")
    assert lines[0] == (
        "| task | prompts | median | p95 | max | over 4,096 | over 8,192 | over 16,384 | over 32,768 |"  # noqa: E501
    )
    assert lines[2] == "| labevents | 4 | 2,500 | 5,000 | 5,000 | 25% | 0% | 0% | 0% |"
    assert {line.count("|") for line in lines} == {10}
