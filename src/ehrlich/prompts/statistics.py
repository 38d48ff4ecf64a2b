"""How long prompts are, by task: what a budget would cost."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ehrlich.base.errors import DataError
from ehrlich.base.store import read_manifest

STATISTICS = "statistics.parquet"
BUDGETS = (4096, 8192, 16384, 32768)


def statistics_of(plans: Path) -> pl.DataFrame:
    """One row a task: prompts, median, p95, max (tokens before any cut), over_<budget> (shares).

    Null without a tokenizer. `plans` is the folder of plans of `ehrlich prompts`.
    """
    tokens = pl.scan_ipc(plans / "*" / "*.arrow").select("task", "uncut_tokens")
    size = pl.col("uncut_tokens")
    return (
        tokens.group_by("task")
        .agg(
            pl.len().alias("prompts"),
            size.median().alias("median"),
            size.quantile(0.95).alias("p95"),
            size.max().alias("max"),
            *((size > budget).mean().alias(f"over_{budget}") for budget in BUDGETS),
        )
        .sort("task")
        .collect()
    )


def read_statistics(folder: Path) -> pl.DataFrame:
    """The statistics of a finished folder of `ehrlich prompts`. Raises DataError, StoreError."""
    step = read_manifest(folder).step
    if step != "prompts":
        raise DataError("holds no prompts", where=str(folder), got=step)
    return pl.read_parquet(folder / STATISTICS)


def statistics_table(statistics: pl.DataFrame) -> str:
    """The frame as a Markdown table."""
    heads = ["task", "prompts", "median", "p95", "max", *(f"over {n:,}" for n in BUDGETS)]
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    for task, prompts, median, p95, most, *over in statistics.iter_rows():
        sizes = " | ".join("" if size is None else f"{size:,.0f}" for size in (median, p95, most))
        shares = " | ".join("" if share is None else f"{share:.0%}" for share in over)
        lines.append(f"| {task} | {prompts:,} | {sizes} | {shares} |")
    return "\n".join(lines)
