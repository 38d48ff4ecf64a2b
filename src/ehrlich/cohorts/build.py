"""One task asked of one shard → its cases. Pure: a scene and a task in, frames out."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import polars as pl

from ehrlich.base.hashing import stable_hash
from ehrlich.cohorts.decision import answered, decision_anchors, without
from ehrlich.cohorts.risk import labelled, risk_anchors, still_at_risk
from ehrlich.cohorts.scene import SUBJECT, Scene
from ehrlich.cohorts.task import Context, Task
from ehrlich.cohorts.windows import back_from_anchor, context_of, forward_from_anchor

CASE_COLUMNS = (
    "case_id", "subject_id", "prediction_time", "task", "task_version", "encounter_id",
    "anchor_event", "context_start", "context_first", "context_last", "context_events",
    "admission_event", "last_discharge_event", "answer", "answer_seen", "boolean_value", "flags",
)  # fmt: skip


class Built(NamedTuple):
    """Cases of a task (columns CASE_COLUMNS), and anchors that gave none, by reason."""

    cases: pl.DataFrame
    anchors: int
    dropped: Counter[str]


def cases_of(scene: Scene, task: Task) -> Built:
    """Every case of the task in the scene, in order of subject, prediction_time, anchor.

    The task is taken as the scene's policy defines it. Nothing after a case's prediction_time is
    used but for its answer or label.
    """
    task = task.under(scene.source.policy)
    anchored = (
        decision_anchors(scene, task) if task.kind == "decision" else risk_anchors(scene, task)
    )
    dropped = Counter(anchored.dropped)
    cases = with_context(anchored.cases, scene, task=task)
    if task.kind == "risk" and task.context.forward:
        # Only now is it known how far the context reaches.
        cases = still_at_risk(cases, scene, task=task, dropped=dropped)
    cases = _kept(cases, task.context, dropped)
    cases = (
        answered(cases, scene, task=task)
        if task.kind == "decision"
        else labelled(cases, scene, task=task)
    )
    if task.context.forward:
        cases = _at_last_event(cases, scene.events)
    if task.kind == "decision":
        cases = without(
            cases, pl.col("answer").list.len() == 0, reason="no answer", dropped=dropped
        )
        if task.answer is not None and task.answer.fewer_than is not None:
            many = pl.col("answer").list.len() >= task.answer.fewer_than
            cases = without(cases, many, reason="too many answers", dropped=dropped)
    named = _named(cases.sort(SUBJECT, "prediction_time", "anchor_event"), task)
    return Built(
        named.select(CASE_COLUMNS), anchored.cases.height + anchored.dropped.total(), dropped
    )


def with_context(cases: pl.DataFrame, scene: Scene, *, task: Task) -> pl.DataFrame:
    """Anchors (of `Anchored`) with what may be shown of them; `task` as the policy defines it."""
    context = task.context
    if scene.source.policy == "compat":
        cases = _compat_context(cases, scene, task)
    else:
        cases = context_of(
            cases if context.since == "episode" else cases.drop("context_start", strict=False),
            scene.index_of(context),
            hours=context.hours if context.since == "window" else None,
        )
    return _with_admission(_with_discharge_note(cases, scene), scene, task)


def _compat_context(cases: pl.DataFrame, scene: Scene, task: Task) -> pl.DataFrame:
    context, events = task.context, scene.events
    if not context.forward:
        through = task.kind == "risk"
        return back_from_anchor(cases, events, hours=context.hours or 24, through_anchor=through)
    if context.hours is None:
        return forward_from_anchor(cases, events, before=cases["end"], same_encounter=False)
    before = cases["prediction_time"] + timedelta(hours=context.hours)
    found = forward_from_anchor(cases, events, before=before, same_encounter=context.same_encounter)
    # The released code's clock starts at the last event that it shows.
    return _at_last_event(found, events)


def _at_last_event(cases: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    last = events.select(
        SUBJECT, pl.col("event").alias("context_last"), pl.col("start").alias("_last")
    )
    joined = cases.join(last, on=[SUBJECT, "context_last"], how="left", maintain_order="left")
    return joined.with_columns(prediction_time=pl.coalesce("_last", "prediction_time")).drop(
        "_last"
    )


def _kept(cases: pl.DataFrame, context: Context, dropped: Counter[str]) -> pl.DataFrame:
    few = pl.col("context_events") < context.min_events
    cases = without(
        cases, few, reason=f"fewer than {context.min_events} context events", dropped=dropped
    )
    if context.max_events is not None:
        many = pl.col("context_events") > context.max_events
        cases = without(
            cases, many, reason=f"more than {context.max_events} context events", dropped=dropped
        )
    if context.max_subject_events is not None:
        many = pl.col("subject_events") > context.max_subject_events
        reason = f"subject of more than {context.max_subject_events} events"
        cases = without(cases, many, reason=reason, dropped=dropped)
    if context.admission_inside:
        outside = pl.col("admission_event") <= pl.col("context_first")
        cases = without(
            cases, outside, reason="admission event not inside the context", dropped=dropped
        )
    return cases


def _with_admission(cases: pl.DataFrame, scene: Scene, task: Task) -> pl.DataFrame:
    """admission_event: that of the case's encounter, if it could be seen and is not the question.

    A task that hides admissions hides this one too: where it stands, an ED visit led to it.
    """
    events = scene.events.filter(pl.col("table") == "admissions").drop_nulls("encounter_id")
    first = events.group_by(SUBJECT, "encounter_id").agg(
        pl.col("event").min().alias("admission_event"), pl.col("visible_from").min().alias("_seen")
    )
    joined = cases.join(first, on=[SUBJECT, "encounter_id"], how="left", maintain_order="left")
    seen = pl.col("_seen") <= pl.col("prediction_time")
    if scene.source.policy == "compat":
        # The released code shows the admission that it has come past when it reaches the anchor.
        seen = pl.col("admission_event") <= pl.col("anchor_event")
    if task.kind == "decision":
        seen &= pl.col("admission_event") < pl.col("anchor_event")
    if "admissions" in task.context.hide:
        seen = pl.lit(value=False)
    event = pl.when(seen).then(pl.col("admission_event"))
    return joined.with_columns(event.alias("admission_event")).drop("_seen")


def _with_discharge_note(cases: pl.DataFrame, scene: Scene) -> pl.DataFrame:
    """last_discharge_event: the latest summary of another encounter that could be seen."""
    notes = scene.events.filter(pl.col("table") == "discharge").sort(
        SUBJECT, "visible_from", "event"
    )
    other = pl.col("encounter_id").shift().over(SUBJECT)
    notes = notes.select(
        SUBJECT, _seen="visible_from", _note="event", _of="encounter_id",
        _before=pl.col("event").shift().over(SUBJECT), _before_of=other,
    )  # fmt: skip
    placed = cases.with_row_index("_place").sort(SUBJECT, "prediction_time")
    joined = placed.join_asof(
        notes, left_on="prediction_time", right_on="_seen", by=SUBJECT, check_sortedness=False
    ).sort("_place")
    own = pl.col("_of").eq_missing(pl.col("encounter_id")) & pl.col("encounter_id").is_not_null()
    event = pl.when(own).then(pl.col("_before")).otherwise(pl.col("_note"))
    dropped = ("_place", "_seen", "_note", "_of", "_before", "_before_of")
    return joined.with_columns(event.alias("last_discharge_event")).drop(dropped)


def _named(cases: pl.DataFrame, task: Task) -> pl.DataFrame:
    """With task, task_version and case_id, which rests on task, version, subject, anchor, time."""
    return cases.with_columns(
        pl.lit(task.task).alias("task"),
        pl.lit(task.version, dtype=pl.UInt8).alias("task_version"),
        case_ids(cases, f"{task.task}/{task.version}"),
    )


def case_ids(cases: pl.DataFrame, salt: str) -> pl.Series:
    """Sixteen hex digits a case: a hash of the salt, subject, time and the anchor's source row."""
    seed = int.from_bytes(hashlib.sha256(salt.encode()).digest()[:6], "big")
    mixed = stable_hash(cases[SUBJECT].to_numpy(), seed)
    for column in (cases["prediction_time"].to_physical(), cases["row_id"]):
        mixed = stable_hash((mixed ^ column.to_numpy().astype(np.uint64)).view(np.int64), seed)
    text = np.frombuffer(mixed.astype(">u8").tobytes().hex().encode(), dtype="S16")
    return pl.Series("case_id", text.astype("U16").tolist(), dtype=pl.String)
