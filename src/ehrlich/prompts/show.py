"""`ehrlich prompts show`: one prompt, and what of the chart it does not show."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ehrlich.base.errors import DataError
from ehrlich.charts.timeline import is_visible
from ehrlich.cohorts.context import context_rows
from ehrlich.cohorts.scene import SUBJECT, hidden_rows
from ehrlich.prompts.dataset import Prompts
from ehrlich.prompts.plan import PIECES


def show_text(folder: Path, case_id: str) -> str:
    """The prompt of a case, the answer, and what was hidden or cut. Raises DataError: no such."""
    prompts = Prompts.open(folder)
    found = prompts.find(case_id)
    if found is None:
        raise DataError("no prompt of that case", where=str(folder), got=case_id)
    job, plan = found
    (row,) = prompts.rows(job, plan).iter_rows(named=True)
    parts = [
        f"case {case_id}: {row['task']}, {row['split']}, asked at {row['prediction_time']}",
        "",
        row["content"],
        "",
        "--- answer",
        "\n".join(row["answer"]),
        "",
        "--- left out",
        *_left_out(prompts, job.shard, plan),
    ]
    return "\n".join(parts)


def _left_out(prompts: Prompts, shard: str, plan: pl.DataFrame) -> list[str]:
    """What the case's subject has in the charts that the prompt does not show, by reason."""
    setup = prompts.setup
    row = plan.row(0, named=True)
    rows = setup.charts.read(shard).filter(pl.col(SUBJECT) == row[SUBJECT])
    task = setup.tasks[row["task"]].under(setup.source.policy)
    shown = context_rows(plan, rows, task=task, source=setup.source)
    at = row["prediction_time"]
    known = rows.filter(is_visible(at))
    hidden = known.filter(
        pl.col("table").is_in(list(task.context.hide)) | hidden_rows(task.context)
    )
    lines = [
        f"not known at that time: {rows.height - known.height:,} measurements",
        f"hidden by the task: {hidden.height:,} measurements{_by_table(hidden)}",
        f"before the window or of another encounter: "
        f"{max(0, known.height - hidden.height - shown.height):,} measurements",
        f"cut by the budget: {row['events_cut']:,} events, {row['tokens_cut']:,} tokens",
    ]
    if row["sections_cut"]:
        lines.append(f"cut of notes: {', '.join(row['sections_cut'])}")
    live = sum(row["live"])
    lines.append(f"written as they stood then: {live:,} of {len(row[next(iter(PIECES))]):,} events")
    return lines


def _by_table(rows: pl.DataFrame) -> str:
    counts = rows.group_by("table").len().sort("table")
    return (
        f" ({', '.join(f'{n:,} {name}' for name, n in counts.iter_rows())})" if rows.height else ""
    )
