"""Two builds of the same patients, strict and compat, task by task: what changes, and why.

A case of one is the other's if the first source row of its anchor event lies in the other's anchor
event (or, where the tasks hang on different tables, if they belong to the same encounter).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from ehrlich.base.errors import DataError
from ehrlich.base.store import Manifest, read_manifest
from ehrlich.charts.timeline import Charts
from ehrlich.cohorts.finished import tasks_of
from ehrlich.cohorts.reference import without_filters
from ehrlich.cohorts.scene import SUBJECT
from ehrlich.cohorts.task import Label, Task, load_tasks

SOURCE_ROW = (1 << 48) - 1
SECOND = pl.duration(seconds=1)
ENDS = ("context_first", "context_last")
GROUPED = "event grouping: one event there holds several here"


def compare(strict: Path, compat: Path) -> pl.DataFrame:
    """A line a task of both folders (finished `cases/`, whose charts still stand where they were).

    task, strict, compat, both; labels, answers (that differ), contexts (that differ) and of those
    other_time (asked at another time), reaches_back (the compat one begins earlier), other_events
    (same time and begin, other number of events); why_labels, only_strict, only_compat: text.
    Holds a few integers a measurement in memory.
    """
    one, two = read_manifest(strict), read_manifest(compat)
    if (one.config["suite"]["policy"], two.config["suite"]["policy"]) != ("strict", "compat"):
        raise DataError("compare takes a strict folder, then a compat one", where=str(strict))
    events = {"strict": _events(_charts(one)), "compat": _events(_charts(two))}
    places = _places(_charts(two))
    tasks = tasks_of(one)
    lines = []
    for name in (name for name in tasks if name in two.counts["tasks"]):
        sides = (_cases(strict / name, events["strict"]), _cases(compat / name, events["compat"]))
        pairs = paired(*sides, places=places, task=tasks[name])
        lines.append({"task": name} | _counted(pairs, tasks[name]) | _only(pairs, one, two, name))
    return pl.DataFrame(lines, infer_schema_length=None)


def _charts(manifest: Manifest) -> Charts:
    return Charts(Path(manifest.inputs["charts"]))


def _events(charts: Charts) -> pl.DataFrame:
    """subject_id, event, start, source (row of the first measurement in its file), of all."""
    parts = [
        charts.read(shard).group_by(SUBJECT, "event").agg(
            pl.col("time").first().alias("start"), pl.col("table").first(),
            (pl.col("row_id").first() & SOURCE_ROW).alias("source"),
        )
        for shard in charts.shards()
    ]  # fmt: skip
    return pl.concat(parts)


def _places(charts: Charts) -> pl.DataFrame:
    """table, source, subject_id → there: the event that holds a source row."""
    parts = [
        charts.read(shard).select(
            SUBJECT, "table", (pl.col("row_id") & SOURCE_ROW).alias("source"), there="event"
        )
        for shard in charts.shards()
    ]
    return pl.concat(parts)


def _cases(folder: Path, events: pl.DataFrame) -> pl.DataFrame:
    """Cases with table and source of the anchor, and the starts of the context's two ends."""
    cases = pl.concat([pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))])
    anchors = events.select(SUBJECT, "table", "source", pl.col("event").alias("anchor_event"))
    cases = cases.join(anchors, on=[SUBJECT, "anchor_event"], how="left")
    for end in ENDS:
        starts = events.select(
            SUBJECT, pl.col("event").alias(end), pl.col("start").alias(f"{end}_time")
        )
        cases = cases.join(starts, on=[SUBJECT, end], how="left")
    return cases.drop("split", "weight", "flags")


def paired(
    strict: pl.DataFrame, compat: pl.DataFrame, *, places: pl.DataFrame, task: Task
) -> pl.DataFrame:
    """Cases side by side (compat columns end in `_c`), with `side`: both, strict, compat, grouped.

    grouped: a strict case whose anchor is part of a compat event that an earlier one stands for.
    """
    if task.under("compat").anchor == task.anchor or task.kind == "decision":
        mine = strict.join(places, on=[SUBJECT, "table", "source"], how="left")
        other = compat.with_columns(there=pl.col("anchor_event"))
        keys = [SUBJECT, "there"]
    else:
        mine, other, keys = strict, compat, [SUBJECT, "encounter_id"]
    mine = mine.sort(SUBJECT, "prediction_time", "anchor_event").with_columns(
        _nth=pl.int_range(pl.len()).over(keys)
    )
    other = other.sort(SUBJECT, "prediction_time", "anchor_event").with_columns(
        _nth=pl.int_range(pl.len()).over(keys)
    )
    pairs = mine.join(other, on=[*keys, "_nth"], how="full", suffix="_c", coalesce=True)
    here, there = pl.col("case_id").is_not_null(), pl.col("case_id_c").is_not_null()
    known = pl.col("there").is_not_null() if "there" in pairs.columns else pl.lit(value=True)
    return pairs.with_columns(
        side=pl.when(here & there).then(pl.lit("both"))
        .when(there).then(pl.lit("compat"))
        .when((pl.col("_nth") > 0) & known).then(pl.lit("grouped"))
        .otherwise(pl.lit("strict"))
    )  # fmt: skip


def _counted(pairs: pl.DataFrame, task: Task) -> dict[str, Any]:
    """How many there are, and how many of the pairs differ in what."""
    both = pairs.filter(pl.col("side") == "both")
    apart = (pl.col("prediction_time") - pl.col("prediction_time_c")).abs() >= SECOND
    first, first_c = pl.col("context_first_time"), pl.col("context_first_time_c")
    number = pl.col("context_events") != pl.col("context_events_c")
    ends = [pl.col(f"{end}_time").ne_missing(pl.col(f"{end}_time_c")) for end in ENDS]
    back = ~apart & (first_c < first).fill_null(value=True)
    differs = apart | number | pl.any_horizontal(ends)
    answers = pl.col("answer").list.sort() != pl.col("answer_c").list.sort()
    labels = pl.col("boolean_value") != pl.col("boolean_value_c")
    summed = both.select(
        pl.len().alias("both"),
        labels=labels.sum(),
        answers=answers.sum() if task.kind == "decision" else pl.lit(0),
        contexts=differs.sum(),
        other_time=apart.sum(),
        reaches_back=back.sum(),
        other_events=(~apart & ~back & differs).sum(),
    ).row(0, named=True)
    sides = dict(pairs.group_by("side").len().iter_rows())
    total = sides.get("both", 0)
    why = label_reason(task) if summed["labels"] else ""
    return {
        "strict": total + sides.get("strict", 0) + sides.get("grouped", 0),
        "compat": total + sides.get("compat", 0),
    } | {**summed, "why_labels": why}


def label_reason(task: Task) -> str:
    """Why the two policies label the same patients differently."""
    label, kept = task.under("compat").label, task.label
    reasons: list[str] = []
    if label is not None:
        reasons += _label_reasons(label)
    if task.under("compat").anchor != task.anchor:
        reasons.append("counted from the summary's midnight, not from discharge")
    elif label == kept:
        reasons.append("asked at another time")
    return "; ".join(dict.fromkeys(reasons))


def _label_reasons(label: Label) -> list[str]:
    if label.any_of:
        return [reason for part in label.any_of for reason in _label_reasons(part)]
    if label.dead_by_midnight_of_end:
        return ["death counts from 00:00 of its day, wherever it was"]
    if label.dies_within_h_of_context is not None:
        return ["the clock runs from the last event shown to 00:00 of the day of death"]
    if label.icu_within_h is not None:
        return ["intensive care that began before the question counts"]
    return []


def _only(pairs: pl.DataFrame, one: Manifest, two: Manifest, name: str) -> dict[str, str]:
    """Cases of one side alone, and what the other side dropped."""
    sides = dict(pairs.group_by("side").len().iter_rows())
    dropped = [_dropped(manifest.counts["tasks"][name]) for manifest in (one, two)]
    only = [f"{sides.get('strict', 0):,}"] if sides.get("strict") else []
    only += [f"{sides['grouped']:,} {GROUPED}"] if sides.get("grouped") else []
    if only:
        only.append(f"compat drops {dropped[1]}")
    back = f"{sides['compat']:,}; strict drops {dropped[0]}" if sides.get("compat") else ""
    return {"only_strict": "; ".join(only), "only_compat": back}


def _dropped(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{rows:,} {reason}" for reason, rows in counts["dropped"].items()) or "none"


def compare_text(found: pl.DataFrame) -> str:
    """The comparison as a table that a person reads."""
    numbers = ("strict", "compat", "both", "labels", "answers", "contexts", "other_time",
               "reaches_back", "other_events")  # fmt: skip
    width = max((len(name) for name in found["task"]), default=4)
    lines = [f"{'task':<{width}} " + " ".join(f"{name:>12}" for name in numbers)]
    for row in found.to_dicts():
        lines.append(f"{row['task']:<{width}} " + " ".join(f"{row[n]:>12,}" for n in numbers))
        lines += [
            f"{'':<{width}}   {what}: {row[key]}"
            for key, what in (
                ("why_labels", "labels"), ("only_strict", "only strict"),
                ("only_compat", "only compat"),
            )
            if row[key]
        ]  # fmt: skip
    return "\n".join(lines)


def unfiltered_tasks(folder: Path) -> Path:
    """Every shipped task as a file of `folder`, its compat definition without limits on length.

    With `ehrlich cases --tasks FOLDER` the two policies can be compared on nearly all cases.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, task in load_tasks().items():
        stated = without_filters(task).model_dump(mode="json", exclude_defaults=True)
        (folder / f"{name}.yaml").write_text(
            yaml.safe_dump(stated, allow_unicode=True, sort_keys=False), encoding="utf-8"
        )
    return folder
