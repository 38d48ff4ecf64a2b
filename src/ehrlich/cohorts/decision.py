"""Decision tasks: the anchor events of a table, and the set of items each of them holds."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import polars as pl

from ehrlich.cohorts.scene import SUBJECT, Scene, values_of
from ehrlich.cohorts.task import Policy, Task
from ehrlich.cohorts.windows import FOREVER, Groups, Ranks, in_view, microseconds

JUST_BEFORE = pl.duration(microseconds=1)


class Anchored(NamedTuple):
    """Anchors with their prediction_time, and those that cannot have one, by reason.

    Columns: subject_id, encounter_id, prediction_time, anchor_event, row_id, subject_events; for
    risk tasks also what their episode has.
    """

    cases: pl.DataFrame
    dropped: Counter[str]


def without(
    cases: pl.DataFrame, bad: pl.Expr, *, reason: str, dropped: Counter[str]
) -> pl.DataFrame:
    """`cases` for which `bad` is not true; the others are added to `dropped` under the reason."""
    kept = cases.filter(~bad.fill_null(value=False))
    if lost := cases.height - kept.height:
        dropped[reason] += lost
    return kept


def decision_anchors(scene: Scene, task: Task) -> Anchored:
    """Every event of the anchor table (or one an encounter), and when the question is asked."""
    events = scene.events
    before = pl.col("start").shift().over(SUBJECT)
    anchors = events.with_columns(_before=before, subject_events=pl.len().over(SUBJECT))
    if task.anchor.table != "*":
        anchors = anchors.filter(pl.col("table") == task.anchor.table)
    dropped: Counter[str] = Counter()
    if task.anchor.once:
        anchors, lost = _at_end_of_encounter(anchors, scene)
        dropped += Counter({"no end of its encounter": lost} if lost else {})
    elif scene.source.policy == "compat":
        # Billing codes have no time of their own there: that of the event before them.
        untimed = pl.col("table").is_in(["diagnoses_icd", "drgcodes"])
        time = pl.when(untimed).then(pl.col("_before")).otherwise(pl.col("start"))
        anchors = anchors.with_columns(prediction_time=time)
    else:
        anchors = anchors.with_columns(prediction_time=pl.col("start") - JUST_BEFORE)
    timed = anchors.drop_nulls("prediction_time")
    if lost := anchors.height - timed.height:
        dropped["anchor without a time"] += lost
    columns = [SUBJECT, "encounter_id", "prediction_time", "row_id", "subject_events"]
    return Anchored(timed.select(*columns, anchor_event="event"), dropped)


def _at_end_of_encounter(anchors: pl.DataFrame, scene: Scene) -> tuple[pl.DataFrame, int]:
    """The first anchor event of each encounter, asked just before the encounter ends."""
    ends = (
        scene.episodes("hospital")
        .select(SUBJECT, "encounter_id", "end")
        .unique([SUBJECT, "encounter_id"], keep="first", maintain_order=True)
    )
    first = anchors.unique([SUBJECT, "encounter_id"], keep="first", maintain_order=True)
    joined = first.join(ends, on=[SUBJECT, "encounter_id"], how="left", maintain_order="left")
    known = joined.drop_nulls("end").with_columns(prediction_time=pl.col("end") - JUST_BEFORE)
    return known, joined.height - known.height


def answered(cases: pl.DataFrame, scene: Scene, *, task: Task) -> pl.DataFrame:
    """`cases` with answer (sorted, distinct), answer_seen, boolean_value null, flags empty.

    answer_seen: whether the item already stood in the context, in the same column of the same
    table; items are compared lower-cased, as the scorer does.
    """
    assert task.answer is not None
    column = task.answer.column
    values = values_of(scene.table(task.anchor.table or "*"), scene.source, column=column)
    # Items as numbers in their alphabet: `_value` of the text, `_item` of the lower-cased text.
    words = values.select(pl.col("value").unique().sort()).with_row_index("_value")
    words = words.with_columns(_item=pl.col("value").str.to_lowercase().rank("dense"))
    values = values.join(words, on="value", how="left", maintain_order="left").drop("value")
    own = "encounter_id" if task.anchor.once else "event"
    ours = "encounter_id" if task.anchor.once else "anchor_event"
    numbered = cases.with_row_index("_case")
    asked = numbered.select(
        "_case", SUBJECT, "encounter_id", "prediction_time", "context_first", "context_last",
        _own=pl.col(ours).cast(pl.Int64),
    )  # fmt: skip
    held = values.select(SUBJECT, "_value", "_item", _own=pl.col(own).cast(pl.Int64))
    items = asked.join(held.unique(), on=[SUBJECT, "_own"]).sort("_case", "_value")
    whole = column in ("table", "text_value")
    seen = pl.lit(False) if whole else _seen(items, values, task, scene.source.policy)
    listed = (
        items.with_columns(_seen=seen)
        .join(words.select("_value", "value"), on="_value", how="left", maintain_order="left")
        .group_by("_case", maintain_order=True)
        .agg(pl.col("value").alias("answer"), pl.col("_seen").alias("answer_seen"))
    )
    joined = numbered.join(listed, on="_case", how="left", maintain_order="left").drop("_case")
    return joined.with_columns(
        pl.col("answer").fill_null([]),
        pl.col("answer_seen").fill_null([]),
        pl.lit(None, dtype=pl.Boolean).alias("boolean_value"),
        pl.lit([], dtype=pl.List(pl.String)).alias("flags"),
    )


def _seen(items: pl.DataFrame, values: pl.DataFrame, task: Task, policy: Policy) -> pl.Series:
    """Whether each case's item stood in its context: some row of it was in view."""
    left, right = values.drop_nulls("time"), items
    if policy == "compat":
        return _in_events(left, right)
    keys = [SUBJECT, "encounter_id", "_item"] if task.context.same_encounter else [SUBJECT, "_item"]
    on = microseconds(left["seen_from"])
    at = microseconds(right["prediction_time"])
    hours = task.context.hours if task.context.since == "window" and not task.anchor.once else None
    width = FOREVER if hours is None else int(hours * 3_600_000_000)
    # A row leaves the window with its event.
    off = (microseconds(left["start"]) + width).clip(max=FOREVER)
    return pl.Series(in_view(Groups.of(left, right, keys=keys), on=on, off=off, at=at) > 0)


def _in_events(left: pl.DataFrame, right: pl.DataFrame) -> pl.Series:
    """Whether an event from context_first to context_last holds the item."""
    groups = Groups.of(left, right, keys=[SUBJECT, "_item"])
    held = Ranks(groups.left, left["event"].to_numpy().astype(np.int64))
    first, last = (
        right[name].to_numpy().astype(np.int64) for name in ("context_first", "context_last")
    )
    return pl.Series(held.up_to(groups.right, last) > held.up_to(groups.right, first - 1))
