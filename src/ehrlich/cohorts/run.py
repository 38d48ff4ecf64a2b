"""`ehrlich cases`: charts and a suite → `cases/`. By shard, resumable; weights and samples last."""

from __future__ import annotations

import difflib
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from ehrlich.base.errors import TaskError
from ehrlich.base.parallel import run_jobs
from ehrlich.base.store import (
    Manifest,
    open_output,
    read_json,
    read_manifest,
    versions_of,
    write_json,
    write_manifest,
    write_parquet,
)
from ehrlich.charts.timeline import Charts
from ehrlich.cohorts.build import cases_of
from ehrlich.cohorts.sampling import bench_sample, instruction_sample, label_counts, weighted
from ehrlich.cohorts.scene import ENDS, Scene, Source
from ehrlich.cohorts.task import Suite, Task, chosen, load_suite, load_tasks

PARTS = ".parts"
SAMPLES = "samples"


@dataclass(frozen=True, slots=True)
class CasesConfig:
    """Settings of `ehrlich cases`. Workers, resume and quiet do not change results.

    - tasks: only these of the suite (all if empty). tasks_folder: the user's own tasks and suites.
    - limit: only so many shards' worth of subjects: the first `limit` subjects of each shard.
    """

    suite: str = "ehr_bench"
    tasks: tuple[str, ...] = ()
    tasks_folder: Path | None = None
    limit: int | None = None
    seed: int = 0
    workers: int = 2
    resume: bool = False
    fresh: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class CasesJob:
    """One shard, all tasks."""

    charts: Path
    shard: str
    tasks: tuple[Task, ...]
    limit: int | None
    out: Path


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be built: tasks, and those that this timeline cannot have, with the reason."""

    suite: Suite
    tasks: tuple[Task, ...]
    skipped: Mapping[str, str]


def plan_cases(config: CasesConfig, charts: Charts) -> Plan:
    """The suite's tasks for this timeline. Raises TaskError for a policy that does not fit."""
    suite = load_suite(config.suite, config.tasks_folder)
    known = load_tasks(config.tasks_folder)
    source = Source.of(charts)
    if suite.policy != source.policy:
        raise TaskError(
            f"suite {suite.suite} needs charts read with --policy {suite.policy}",
            where=str(charts.folder),
            got=source.policy,
        )
    skipped: dict[str, str] = {}
    wanted = chosen(known, config.tasks or suite.tasks)
    for task in wanted:
        policed = task.under(suite.policy)
        reason = _cannot(policed, source) or _nothing_here(policed, charts, source)
        if reason:
            skipped[task.task] = reason
    kept = tuple(task for task in wanted if task.task not in skipped)
    if not kept:
        raise TaskError(
            "no task of the suite fits this timeline",
            where=str(charts.folder),
            got="; ".join(f"{name}: {why}" for name, why in skipped.items())[:400],
        )
    return Plan(suite, kept, skipped)


def _cannot(task: Task, source: Source) -> str:
    """Why the timeline cannot have the task; empty where it can."""
    known = set(source.tables["table"])
    missing = sorted(set(task.tables()) - known)
    if missing:
        return f"no table {', '.join(missing)}"
    for name in _predicates(task):
        if name not in source.predicates:
            return f"the dictionary binds no predicate {name}"
    column = task.answer.column if task.answer else "item"
    own_field = column not in ("item", "text_value", "table") and task.anchor.table is not None
    if own_field and source.field_place(task.anchor.table or "", column) is None:
        return f"table {task.anchor.table} has no field {column}"
    return ""


def _nothing_here(task: Task, charts: Charts, source: Source) -> str:
    """Why this timeline has nothing to ask the task of, though its dictionary knows the table."""
    rows = charts.rows_by_table
    empty = [table for table in task.tables() if not rows.get(table)]
    if empty:
        return f"table {', '.join(empty)} has no measurement here"
    if task.anchor.episode is None:
        return ""
    name = ENDS[task.anchor.episode][0]
    pattern = source.predicates[name].code
    if charts.codes["code"].str.contains(pattern).any():
        return ""
    kinds = charts.codes["code"].str.split("//").list.first().unique().to_list()
    near = difflib.get_close_matches(pattern.strip("^$/"), kinds, n=3, cutoff=0.3)
    return f"predicate {name} ({pattern}) matches no code; near ones: {', '.join(near) or 'none'}"


def _predicates(task: Task) -> Iterator[str]:
    """What the source must bind: without it everybody would be a no."""
    if task.anchor.episode:
        yield ENDS[task.anchor.episode][0]
    for rule in (task.label, *task.label.any_of) if task.label else ():
        if rule.dies_in_stay or rule.dies_within_h is not None:
            yield "death"
        if rule.icu_within_h is not None:
            yield ENDS["icu"][0]
        if rule.follows is not None:
            yield ENDS[rule.follows.episode][0]


def manifest_of(config: CasesConfig, charts: Charts, *, plan: Plan) -> Manifest:
    """The manifest of a run, without counts."""
    settings = {
        "suite": plan.suite.model_dump(mode="json"),
        "tasks": [task.model_dump(mode="json", exclude={"examples"}) for task in plan.tasks],
        "limit": config.limit,
        "charts": charts.manifest.config_fingerprint,
    }
    inputs = {"charts": str(charts.folder.resolve())}
    return Manifest(
        "cases",
        charts.manifest.data_use,
        settings,
        seed=config.seed,
        inputs=inputs,
        versions=versions_of(("polars", "numpy")),
    )


def run(config: CasesConfig, charts_folder: Path, out: Path) -> Manifest:
    """Write `cases/<task>/<split>-<shard>.parquet`, samples, and the manifest last."""
    charts = Charts(charts_folder)
    plan = plan_cases(config, charts)
    manifest = manifest_of(config, charts, plan=plan)
    if open_output(out, manifest.config_fingerprint, resume=config.resume, fresh=config.fresh):
        return read_manifest(out)
    jobs = [
        CasesJob(charts_folder, shard, plan.tasks, config.limit, out) for shard in charts.shards()
    ]
    tallies = run_jobs(
        build_shard_cases, jobs, workers=config.workers, label="Building cases", quiet=config.quiet
    )
    weighed = _weigh(plan.tasks, jobs, config)
    for sample in ("ehr_ins", "ehr_bench"):
        parts = [
            pl.read_parquet(out / PARTS / sample / f"{task.task}.parquet") for task in plan.tasks
        ]
        write_parquet(pl.concat(parts).sort("task", "case_id"), out / SAMPLES / f"{sample}.parquet")
    counts = _counts(plan, tallies, weighed)
    shutil.rmtree(out / PARTS)
    finished = replace(manifest, counts=counts)
    write_manifest(out, finished)
    return finished


def build_shard_cases(job: CasesJob) -> dict[str, Any]:
    """Write each task's cases of one shard aside; the tally, written last, marks it as done."""
    name = job.shard.replace("/", "-")
    tally_path = job.out / PARTS / f"{name}.json"
    if tally_path.is_file():
        return dict(read_json(tally_path))
    charts = Charts(job.charts)
    rows = charts.read(job.shard, fields=True)
    if job.limit is not None:
        first = rows["subject_id"].unique(maintain_order=True).head(job.limit)
        rows = rows.filter(pl.col("subject_id").is_in(first.implode()))
    scene = Scene(rows, Source.of(charts))
    split = job.shard.partition("/")[0]
    tally: dict[str, Any] = {}
    for task in job.tasks:
        built = cases_of(scene, task)
        cases = built.cases.with_columns(pl.lit(split).alias("split"))
        write_parquet(cases, job.out / PARTS / task.task / f"{name}.parquet")
        tally[task.task] = {
            "anchors": built.anchors,
            "dropped": dict(built.dropped),
            "split": split,
            "cases": cases.height,
        }
    write_json(tally_path, tally)
    return tally


@dataclass(frozen=True, slots=True)
class WeighJob:
    """One task, all shards (by the names of their files)."""

    task: Task
    names: tuple[str, ...]
    seed: int
    out: Path


def _weigh(
    tasks: Sequence[Task], jobs: Sequence[CasesJob], config: CasesConfig
) -> list[dict[str, dict[str, Any]]]:
    """Write the cases with weights, and each task's samples; what `weigh_task` says of each."""
    names = tuple(f"{job.shard.replace('/', '-')}.parquet" for job in jobs)
    weighing = [WeighJob(task, names, config.seed, jobs[0].out) for task in tasks]
    return run_jobs(
        weigh_task, weighing, workers=config.workers, label="Weighing", quiet=config.quiet
    )


def weigh_task(job: WeighJob) -> dict[str, dict[str, Any]]:
    """Write one task's cases with weights fitted on all its train cases; split → cases, yes.

    Samples are drawn shard by shard: the best of all shards are among the best of each, so no more
    than a sample and one shard is in memory.
    """
    name = job.task.task
    folder = job.out / PARTS / name
    counts = pl.concat([label_counts(pl.read_parquet(folder / part)) for part in job.names])
    counts = counts.group_by("label").agg(pl.col("n").sum())
    trains = (pl.read_parquet(folder / part, columns=["split"])["split"] for part in job.names)
    train = sum(int((split == "train").sum()) for split in trains)
    kept: pl.DataFrame | None = None
    ins = bench = pl.DataFrame()
    tallies = []
    for part in job.names:
        cases = weighted(pl.read_parquet(folder / part), counts, train_cases=train)
        write_parquet(cases, job.out / name / part)
        index = cases.select("case_id", "task", "split", "weight", "boolean_value")
        tallies.append(
            index.group_by("split").agg(
                pl.len().alias("cases"),
                _yes=pl.col("boolean_value").sum(),
                _known=pl.col("boolean_value").count(),
            )
        )
        kept = index if kept is None else pl.concat([kept, index])
        ins = instruction_sample(kept, {name: job.task.cap_train}, seed=job.seed)
        bench = bench_sample(kept, job.seed)
        drawn = pl.concat([ins, bench]).select("case_id")
        kept = kept.join(drawn, on="case_id", how="semi", maintain_order="left")
    write_parquet(ins, job.out / PARTS / "ehr_ins" / f"{name}.parquet")
    write_parquet(bench, job.out / PARTS / "ehr_bench" / f"{name}.parquet")
    return _by_split(pl.concat(tallies))


def _by_split(tallies: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """split → how many cases, and the share of yes (null for decision tasks)."""
    summed = tallies.group_by("split").sum().sort("split")
    yes = pl.when(pl.col("_known") > 0).then(pl.col("_yes") / pl.col("_known"))
    rows = summed.select("split", "cases", yes=yes).to_dicts()
    return {row["split"]: {"cases": row["cases"], "yes": row["yes"]} for row in rows}


def _counts(
    plan: Plan,
    tallies: Sequence[dict[str, Any]],
    weighed: Sequence[dict[str, dict[str, Any]]],
) -> dict[str, Any]:
    """Per task: anchors in, cases, dropped by reason, by split, prevalence."""
    tasks: dict[str, Any] = {}
    for task, splits in zip(plan.tasks, weighed, strict=True):
        dropped: Counter[str] = Counter()
        anchors = 0
        for tally in tallies:
            anchors += tally[task.task]["anchors"]
            dropped.update(tally[task.task]["dropped"])
        tasks[task.task] = {
            "in": anchors,
            "cases": sum(part["cases"] for part in splits.values()),
            "dropped": dict(sorted(dropped.items())),
            "splits": splits,
        }
    total = sum(line["cases"] for line in tasks.values())
    return {"cases": total, "tasks": tasks, "skipped": dict(plan.skipped)}
