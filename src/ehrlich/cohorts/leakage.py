"""Does a context tell its answer? Probes of finished cases, a line a task, with a verdict.

- time shift: change all that comes after prediction_time; nothing may change (`time_shift`).
- label-bearing rows: what the outcome itself leaves in the record, or the anchor event, in view.
- single features: a table, item, code, count or value that alone tells the label (AUROC > 0.99).
- length: the number of context events alone.
- copying: share of answer items that the context already shows; the best constant answer's F1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from ehrlich.base.errors import DataError
from ehrlich.base.store import read_manifest
from ehrlich.charts.timeline import FIELDS, Charts, is_visible
from ehrlich.cohorts.context import context_rows
from ehrlich.cohorts.finished import tasks_of
from ehrlich.cohorts.sampling import order_of
from ehrlich.cohorts.scene import ENDS, Scene, Source
from ehrlich.cohorts.scoring import score_sets
from ehrlich.cohorts.single_features import (
    LEAST,
    best_feature,
    counted_features,
    length_auroc,
    measured_features,
    simple_features,
)
from ehrlich.cohorts.task import Label, Task
from ehrlich.cohorts.time_shift import Shifted, shift_probe

SAMPLED = 2000
CONTEXTS = 500  # of decision tasks
SHIFTED = 60
LIMIT = 0.99
CONSTANTS = 20
DEATHS = ("death", "hospital_death", "ed_death")
LEAK, CLEAN, FEW, NONE = "leak", "clean", "too few cases", "not applicable"
SCHEMA = {
    "task": pl.String, "kind": pl.String, "cases": pl.Int64, "yes": pl.Int64,
    "verdict": pl.String, "reasons": pl.String, "shift_tried": pl.Int64,
    "shift_changed": pl.Int64, "label_rows": pl.Int64, "unknown_rows": pl.Int64,
    "feature": pl.String, "feature_auroc": pl.Float64, "length_auroc": pl.Float64,
    "copied": pl.Float64, "constant_f1": pl.Float64,
}  # fmt: skip


@dataclass
class Findings:
    """What the shards gave for one task so far."""

    cases: list[pl.DataFrame] = field(default_factory=list)
    counts: list[pl.DataFrame] = field(default_factory=list)
    values: list[pl.DataFrame] = field(default_factory=list)
    label_rows: set[str] = field(default_factory=set)
    unknown_rows: set[str] = field(default_factory=set)
    shifts: list[Shifted] = field(default_factory=list)


def audit(cases: Path, charts: Charts, *, seed: int = 0, per_task: int = SAMPLED) -> pl.DataFrame:
    """A line a task of the finished `cases` (columns of SCHEMA), in the suite's order.

    Of each task at most about `per_task` cases are probed, drawn by a hash of case and seed (of a
    risk half from each class); one shard of `charts` is in memory at a time.
    """
    manifest = read_manifest(cases)
    if manifest.config.get("charts") != charts.manifest.config_fingerprint:
        raise DataError("the cases were built from other charts", where=str(cases))
    tasks = list(tasks_of(manifest).values())
    counts: Mapping[str, Any] = manifest.counts["tasks"]
    source = Source.of(charts)
    found = {task.task: Findings() for task in tasks}
    for shard in charts.shards():
        scene = Scene(charts.read(shard, fields=True), source)
        for task in tasks:
            path = cases / task.task / f"{shard.replace('/', '-')}.parquet"
            shares = _shares(counts[task.task], per_task)
            _probe(_sampled(path, shares, seed), scene, task, found[task.task])
    lines = [_line(task, found[task.task]) for task in tasks]
    skipped = manifest.counts.get("skipped", {})
    lines += [_skipped(name, reason) for name, reason in skipped.items()]
    return pl.DataFrame(lines, schema=SCHEMA)


def _shares(counts: Mapping[str, Any], per_task: int) -> dict[bool | None, float]:
    """The share of cases to draw: of a decision task, or of each class of a risk."""
    parts = counts["splits"].values()
    yes = sum(part["cases"] * part["yes"] for part in parts if part["yes"] is not None)
    no = counts["cases"] - yes
    half = per_task / 2
    return {None: per_task / max(no, 1), True: half / max(yes, 1), False: half / max(no, 1)}


def _sampled(path: Path, shares: Mapping[bool | None, float], seed: int) -> pl.DataFrame:
    cases = pl.read_parquet(path)
    if cases.is_empty():
        return cases
    luck = pl.Series(order_of(cases["case_id"], seed))
    label = cases["boolean_value"]
    share = (
        pl.when(label.is_null()).then(shares[None])
        .when(label).then(shares[True]).otherwise(shares[False])
    )  # fmt: skip
    return (
        cases.with_columns(_luck=luck).filter(pl.col("_luck") < share).sort("_luck").drop("_luck")
    )


def _probe(cases: pl.DataFrame, scene: Scene, task: Task, found: Findings) -> None:
    """Add what one shard's sample shows."""
    if cases.is_empty():
        return
    found.cases.append(cases)
    looked_at = cases.head(CONTEXTS) if task.kind == "decision" else cases
    context = context_rows(
        looked_at, scene.rows.drop(FIELDS, "text_value"), task=task, source=scene.source
    )
    found.label_rows.update(label_bearing(looked_at, context, task=task, source=scene.source))
    at = looked_at.select("case_id", _at="prediction_time")
    times = context.select("case_id", "time", "avail_time").join(at, on="case_id")
    found.unknown_rows.update(times.filter(~is_visible(pl.col("_at")))["case_id"])
    if task.kind == "risk":
        found.counts.append(counted_features(context))
        found.values += [measured_features(context), simple_features(cases)]
    tried = sum(part.tried for part in found.shifts)
    if scene.source.policy == "strict" and tried < SHIFTED:
        found.shifts.append(shift_probe(cases.head(SHIFTED - tried), scene, task=task))


def label_bearing(
    cases: pl.DataFrame, context: pl.DataFrame, *, task: Task, source: Source
) -> pl.Series:
    """case_ids whose context shows a row that the outcome itself left in the record.

    Decision tasks: rows of the anchor event (of all of its table in the encounter, where a case
    stands for them together). Risk tasks: what the label's rule looks for, after the anchor.
    """
    task = task.under(source.policy)
    keys = cases.select("case_id", "anchor_event", _of="encounter_id")
    rows = context.filter(pl.col("part") != "last_discharge").join(keys, on="case_id")
    own = pl.col("event") == pl.col("anchor_event")
    if task.kind == "decision":
        if task.anchor.once:
            own = pl.col("encounter_id") == pl.col("_of")
        if task.anchor.table != "*":
            own &= pl.col("table") == task.anchor.table
        return rows.filter(own)["case_id"].unique()
    assert task.label is not None
    patterns = [
        source.predicates[name].code
        for name in sorted(_outcomes(task.label, task))
        if name in source.predicates
    ]
    if not patterns:
        return cases["case_id"].clear()
    tells = pl.col("code").str.contains("|".join(f"(?:{pattern})" for pattern in patterns))
    # Before the anchor they belong to another episode, which is history.
    later = (pl.col("event") > pl.col("anchor_event")) & (pl.col("part") != "facts")
    return rows.filter(tells & later)["case_id"].unique()


def _outcomes(label: Label, task: Task) -> set[str]:
    """Predicates whose rows tell that the label's rule came true, or can no more."""
    if label.any_of:
        return set().union(*(_outcomes(part, task) for part in label.any_of))
    if label.follows is not None:
        return {ENDS[label.follows.episode][0]}
    if label.leads_to_admission:
        return {"admission", "ed_out"}
    if label.icu_within_h is not None:
        return {"icu_in"}
    lasts = label.longer_than_h is not None or label.at_least_h is not None
    if lasts and task.anchor.episode is not None:
        return {ENDS[task.anchor.episode][1], *DEATHS}
    return {*DEATHS, "discharge"} if task.anchor.episode == "hospital" else set(DEATHS)


def _line(task: Task, found: Findings) -> dict[str, Any]:
    line: dict[str, Any] = {"task": task.task, "kind": task.kind, "cases": 0}
    if not found.cases:
        return line | {"verdict": NONE, "reasons": "no case"}
    cases = pl.concat(found.cases)
    changed = frozenset().union(*(part.changed for part in found.shifts))
    line |= {
        "cases": cases.height,
        "shift_tried": sum(part.tried for part in found.shifts),
        "shift_changed": len(changed),
        "label_rows": len(found.label_rows),
        "unknown_rows": len(found.unknown_rows),
    }
    line |= _of_risk(cases, found) if task.kind == "risk" else _of_decision(cases, task)
    leaks = list(_leaks(line))
    if leaks:
        return line | {"verdict": LEAK, "reasons": "; ".join(leaks)}
    few = _too_few(cases, task)
    return line | {"verdict": FEW if few else CLEAN, "reasons": few}


def _of_risk(cases: pl.DataFrame, found: Findings) -> dict[str, Any]:
    labels = cases.select("case_id", "boolean_value")
    best = best_feature(pl.concat(found.counts), pl.concat(found.values), labels=labels)
    return {
        "yes": int(cases["boolean_value"].sum() or 0),
        "feature": best.feature,
        "feature_auroc": best.auroc,
        "length_auroc": length_auroc(cases),
    }


def _of_decision(cases: pl.DataFrame, task: Task) -> dict[str, Any]:
    seen = cases.select(pl.col("answer_seen").explode())["answer_seen"]
    constant = None if task.metric == "rouge_l" else constant_f1(cases)
    return {"copied": seen.mean(), "constant_f1": constant}


def constant_f1(cases: pl.DataFrame) -> float:
    """Mean set-F1 of the best constant answer among the 1 to 20 most frequent items."""
    items = cases.select(pl.col("answer").explode().str.to_lowercase())["answer"].drop_nulls()
    often = items.value_counts(sort=True).sort(["count", "answer"], descending=[True, False])
    best = 0.0
    for size in range(1, min(CONSTANTS, often.height) + 1):
        given = pl.lit(often["answer"].head(size).to_list(), dtype=pl.List(pl.String))
        answers = cases.select("case_id", status=pl.lit("ok"), items=given)
        mean = score_sets(cases.drop("answer_seen"), answers)["f1"].mean()
        best = max(best, float(mean) if isinstance(mean, float) else 0.0)
    return best


def _leaks(line: Mapping[str, Any]) -> Iterable[str]:
    """What makes the task leak, a phrase each."""
    if line["shift_changed"]:
        yield f"{line['shift_changed']} of {line['shift_tried']} cases change with the future"
    if line["unknown_rows"]:
        yield f"{line['unknown_rows']} contexts show what was not yet known"
    if line["label_rows"]:
        yield f"{line['label_rows']} contexts show the outcome"
    if (line.get("feature_auroc") or 0) > LIMIT:
        yield f"'{line['feature']}' alone has AUROC {line['feature_auroc']:.3f}"
    if (line.get("length_auroc") or 0) > LIMIT:
        yield f"the number of events alone has AUROC {line['length_auroc']:.3f}"
    if (line.get("constant_f1") or 0) >= 1:
        yield "a constant answer is always right"


def _too_few(cases: pl.DataFrame, task: Task) -> str:
    """Why nothing can be said; empty where it can."""
    if task.kind == "decision":
        return f"{cases.height} cases" if cases.height < LEAST else ""
    yes = int(cases["boolean_value"].sum() or 0)
    no = cases.height - yes
    return f"{yes} yes and {no} no" if min(yes, no) < LEAST else ""


def _skipped(name: str, reason: str) -> dict[str, Any]:
    return {"task": name, "verdict": NONE, "reasons": reason}


def leaks(found: pl.DataFrame) -> pl.DataFrame:
    """The lines whose verdict is `leak`."""
    return found.filter(pl.col("verdict") == LEAK)


def audit_text(found: pl.DataFrame) -> str:
    """The audit as a table that a person reads."""
    width = max((len(name) for name in found["task"]), default=4)
    head = (
        f"{'task':<{width}} {'cases':>6} {'yes':>5} {'shifted':>8} {'outcome':>7} {'feature':>7} "
        f"{'length':>6} {'copied':>6} {'const.':>6}  verdict"
    )
    lines = [head]
    for row in found.to_dicts():
        tried = "" if not row["shift_tried"] else f"{row['shift_changed']}/{row['shift_tried']}"
        why = f" ({row['reasons']})" if row["reasons"] else ""
        lines.append(
            f"{row['task']:<{width}} {_number(row['cases']):>6} {_number(row['yes']):>5} "
            f"{tried:>8} {_number(row['label_rows']):>7} {_share(row['feature_auroc']):>7} "
            f"{_share(row['length_auroc']):>6} {_share(row['copied']):>6} "
            f"{_share(row['constant_f1']):>6}  {row['verdict']}{why}"
        )
    return "\n".join(lines)


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
