"""What a case may show: the measurements of its context, as prompts print them. The one place.

Strict: what was known at prediction_time, later values masked (`charts.timeline.visible`). Compat:
every measurement of the events from context_first to context_last, as the released code has it.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from ehrlich.charts.timeline import visible
from ehrlich.cohorts.scene import SUBJECT, Scene, Source, hidden_rows
from ehrlich.cohorts.task import Context, Policy, Task
from ehrlich.cohorts.windows import EventIndex, Index, spread, window_of

# In the order in which a prompt shows them.
PARTS = ("facts", "last_discharge", "admission", "context")
PART = pl.Enum(PARTS)
PLACE = "_case"


def context_rows(
    cases: pl.DataFrame, rows: pl.DataFrame, *, task: Task, source: Source
) -> pl.DataFrame:
    """Measurements that each case may show: case_id, part, then the columns of `rows`.

    `cases` are of one task, built from these `rows` (contract order; with `fields` or without).
    In order of cases, parts, and rows; a measurement stands once a case. A case brings some
    hundred rows: ask for thousands of cases at a time, not millions.
    """
    task = task.under(source.policy)
    rows = rows.join(cases.select(SUBJECT).unique(), on=SUBJECT, how="semi", maintain_order="left")
    index = None if source.policy == "compat" else Scene(rows, source).index_of(task.context)
    events = context_events(cases, index, task=task, policy=source.policy)
    numbered = cases.with_row_index(PLACE)
    at = numbered.select(PLACE, SUBJECT, "case_id", _at="prediction_time")
    placed = rows.with_row_index("_row").drop("case_id", strict=False)
    facts = at.join(placed.filter(is_fact(source)), on=SUBJECT).with_columns(_part("facts"))
    others = placed.filter(~is_fact(source) & ~hidden_rows(task.context))
    told = at.join(events, on=PLACE).join(others, on=[SUBJECT, "event"])
    found = pl.concat([facts, told.select(facts.columns)])
    if source.policy == "compat":
        found = _as_released(found, task.context)
    else:
        found = visible(found, pl.col("_at"), tables=source.tables)
    ordered = found.sort(PLACE, "part", "_row")
    return ordered.select("case_id", "part", pl.exclude("case_id", "part", PLACE, "_at", "_row"))


def context_events(
    cases: pl.DataFrame, index: EventIndex | None, *, task: Task, policy: Policy
) -> pl.DataFrame:
    """Events that each case may show: _case (place in `cases`), event, part; each event once.

    The first half of `context_rows`; which rows of an event could be seen is the second. `index`
    is `Scene.index_of` the task's context; compat needs none.
    """
    context = task.under(policy).context
    numbered = cases.with_row_index(PLACE)
    window = _compat_events(numbered) if index is None else _strict_events(numbered, index, context)
    apart = [
        _event(numbered, "last_discharge_event", "last_discharge"),
        _event(numbered, "admission_event", "admission"),
    ]
    return pl.concat([*apart, window]).unique([PLACE, "event"], keep="first", maintain_order=True)


def is_fact(source: Source) -> pl.Expr:
    """Whether a measurement is a fact of the subject: static, or the birth that age rests on."""
    birth = source.predicates.get("birth")
    static = pl.col("time").is_null()
    return static if birth is None else static | pl.col("code").str.contains(birth.code)


def _strict_events(cases: pl.DataFrame, index: EventIndex, context: Context) -> pl.DataFrame:
    """Events that begin in each case's window: _case, event, part."""
    if context.since != "episode":
        cases = cases.drop("context_start")
    hours = context.hours if context.since == "window" else None
    window = window_of(cases, index, hours=hours)
    owner, place = spread(window.first, window.after)
    return _pairs(owner, index.numbers[place])


def _compat_events(cases: pl.DataFrame) -> pl.DataFrame:
    """Events from context_first to context_last."""
    held = cases.drop_nulls(["context_first", "context_last"])
    first, last = (
        held[name].to_numpy().astype(np.int64) for name in ("context_first", "context_last")
    )
    owner, event = spread(first, last + 1)
    return _pairs(held[PLACE].to_numpy()[owner], event)


def _as_released(found: pl.DataFrame, context: Context) -> pl.DataFrame:
    """Without hidden tables and admissions other than the case's own; no end is ever printed."""
    banned = pl.col("table").is_in([*context.hide, "admissions"]) & (pl.col("part") == "context")
    return found.filter(~banned).with_columns(end_time=pl.lit(None, dtype=pl.Datetime("us")))


def _pairs(owner: Index, event: Index) -> pl.DataFrame:
    columns = {
        PLACE: pl.Series(owner, dtype=pl.UInt32),
        "event": pl.Series(event, dtype=pl.UInt32),
    }
    return pl.DataFrame(columns).with_columns(_part("context"))


def _event(cases: pl.DataFrame, column: str, part: str) -> pl.DataFrame:
    return cases.select(PLACE, event=pl.col(column)).drop_nulls().with_columns(_part(part))


def _part(name: str) -> pl.Expr:
    return pl.lit(name, dtype=PART).alias("part")
