"""`ehrlich evidence`: charts and cases → concepts, lift, paths, graphs. By shard, resumable.

1. Each shard: its concepts, what answers stand for, and, in train, what the counted cases hold.
2. Each task: lift, fitted on train.
3. Once: the vocabulary, its links to medical knowledge, and the paths between its concepts.
4. Each shard: the graph of every case in a sample: of true answers in training, of candidates in
   the benchmark.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from ehrlich.base.contracts import graphs_schema
from ehrlich.base.parallel import run_jobs
from ehrlich.base.store import (
    Manifest,
    open_output,
    read_json,
    read_manifest,
    write_json,
    write_manifest,
    write_parquet,
)
from ehrlich.cohorts.finished import Inputs
from ehrlich.cohorts.task import Task
from ehrlich.evidence.concepts import case_concepts, find_concepts
from ehrlich.evidence.config import EvidenceConfig, Setup
from ehrlich.evidence.cooccurrence import (
    Axes,
    Units,
    axes_of,
    counts_of,
    draw_units,
    fit,
    tally_of,
    units_of,
)
from ehrlich.evidence.graphs import Targets, graphs_of
from ehrlich.evidence.knowledge.coverage import coverage
from ehrlich.evidence.knowledge.linking import link
from ehrlich.evidence.lookup import Fitted, lookup, margins_frame, margins_of
from ehrlich.evidence.paths import PATHS_SCHEMA, PathFinder
from ehrlich.evidence.targets import answer_concepts, pairs_of
from ehrlich.evidence.vocabulary import Vocabulary

PARTS = ".parts"
# A case brings some hundred concepts.
CASES_AT_ONCE = 1000
UNITS = ("cases", "answers", "histories")
VOCABULARY = ("names", "codes", "counts")


class ShardJob(NamedTuple):
    """One shard, all tasks."""

    setup: Setup
    shard: str
    out: Path

    @property
    def name(self) -> str:
        """The shard's flat name."""
        return self.shard.replace("/", "-")

    @property
    def split(self) -> str:
        """The split that all its subjects are of."""
        return self.shard.partition("/")[0]

    def part(self, *names: str) -> Path:
        """A file of an unfinished run."""
        return self.out.joinpath(PARTS, *names)


class Held(NamedTuple):
    """What the graphs of a shard are drawn from: its measurements, their concepts; all paths."""

    rows: pl.DataFrame
    concepts: pl.DataFrame
    paths: pl.DataFrame


class Told(NamedTuple):
    """What the graphs of one task rest on: its lift; in train what answers mean, and own units."""

    task: Task
    fitted: Fitted
    pairs: pl.DataFrame | None
    own: Units | None


class TaskJob(NamedTuple):
    """One task, all train shards (by their flat names)."""

    setup: Setup
    task: str
    names: tuple[str, ...]
    out: Path


def run(config: EvidenceConfig, inputs: Inputs, out: Path) -> Manifest:
    """Write concepts, links, coverage, lift, margins, paths, graphs, and the manifest last."""
    setup = Setup(config, *inputs)
    manifest = setup.manifest(out)
    if open_output(out, manifest.config_fingerprint, resume=config.resume, fresh=config.fresh):
        shutil.rmtree(out / PARTS, ignore_errors=True)
        return read_manifest(out)
    setup.write_knowledge(out)
    jobs = [ShardJob(setup, shard, out) for shard in setup.charts.shards()]
    workers, quiet = config.workers, config.quiet
    run_jobs(find_shard, jobs, workers=workers, label="Finding concepts", quiet=quiet)
    train = tuple(job.name for job in jobs if job.split == "train")
    tasks = [TaskJob(setup, task, train, out) for task in setup.tasks]
    fitted = run_jobs(fit_task, tasks, workers=workers, label="Fitting lift", quiet=quiet)
    counts = tie(setup, jobs, out=out)
    drawn = run_jobs(draw_shard, jobs, workers=workers, label="Drawing graphs", quiet=quiet)
    counts |= {
        name: sum(tally[name] for tally in drawn) for name in ("cases", "cases_with_edges", "edges")
    }
    by_task = {job.task: tally for job, tally in zip(tasks, fitted, strict=True)}
    finished = replace(manifest, counts={**counts, "by_task": by_task})
    # In this order: a run that is killed between the two has all its parts, or needs none.
    write_manifest(out, finished)
    shutil.rmtree(out / PARTS)
    return finished


def plan(config: EvidenceConfig, inputs: Inputs, out: Path) -> Manifest:
    """What a run would do: the manifest with tasks and shards, nothing written."""
    setup = Setup(config, *inputs)
    shards = sum(1 for _ in setup.charts.shards())
    return replace(setup.manifest(out), counts={"tasks": len(setup.tasks), "shards": shards})


def find_shard(job: ShardJob) -> None:
    """Write a shard's concepts, vocabulary, meanings of answers, and counted cases aside."""
    done = job.part("found", f"{job.name}.json")
    if done.is_file():
        return
    setup = job.setup
    rows = setup.read(job.shard)
    found = find_concepts(rows, setup.naming, matcher=setup.matcher)
    concepts = found.concepts.select("subject_id", "event", "row_id", "time", "concept")
    write_parquet(concepts, job.part("concepts", f"{job.name}.parquet"))
    vocabulary = Vocabulary.of(found)
    for name in VOCABULARY:
        write_parquet(
            getattr(vocabulary, name), job.part("vocabulary", job.name, f"{name}.parquet")
        )
    for name, task in setup.tasks.items():
        pairs = pairs_of(rows, setup.naming, task=task)
        write_parquet(pairs, job.part("pairs", name, f"{job.name}.parquet"))
        if job.split == "train":
            _write_units(job, name, rows=rows, concepts=concepts, pairs=pairs)
    write_json(done, {"concepts": concepts.height})


def _write_units(
    job: ShardJob, name: str, *, rows: pl.DataFrame, concepts: pl.DataFrame, pairs: pl.DataFrame
) -> None:
    """The cases of a task that are counted, their targets, and the concepts of their contexts."""
    setup = job.setup
    task = setup.tasks[name]
    cases = setup.cases_of(name, job.name)
    units = draw_units(cases, setup.policy.unit, seed=setup.config.seed)
    counted = cases.join(units, on="case_id", how="semi", maintain_order="left")
    answers = answer_concepts(
        counted, task=task, naming=setup.naming, pairs=pairs, matcher=setup.matcher
    )
    histories = [
        case_concepts(part, concepts, rows=rows, task=task, source=setup.source)
        .select("case_id", "subject_id", "concept")
        .unique(maintain_order=True)
        for part in counted.iter_slices(CASES_AT_ONCE)
    ]
    empty = concepts.clear().select(case_id=pl.lit("").cast(pl.String), subject_id="subject_id")
    none = empty.with_columns(concept=pl.lit("", pl.String)).clear()
    frames = (units, answers, pl.concat([none, *histories]))
    for part, frame in zip(UNITS, frames, strict=True):
        write_parquet(frame, job.part("units", name, f"{job.name}.{part}.parquet"))


def _units(job: TaskJob | ShardJob, task: str, *, name: str) -> tuple[pl.DataFrame, ...]:
    folder = job.out / PARTS / "units" / task
    return tuple(pl.read_parquet(folder / f"{name}.{part}.parquet") for part in UNITS)


def fit_task(job: TaskJob) -> dict[str, int]:
    """Write a task's lift and margins, fitted on all train shards; how many units and pairs."""
    lift_path = job.out / "lift" / f"{job.task}.parquet"
    margins_path = job.out / "margins" / f"{job.task}.parquet"
    policy = job.setup.policy
    if not lift_path.is_file():
        tally = None
        for name in job.names:
            units, answers, histories = _units(job, job.task, name=name)
            here = tally_of(units, answers, histories=histories)
            tally = here if tally is None else tally.merged(here)
        if tally is None:
            return {"units": 0, "pairs": 0, "kept": 0}
        axes = axes_of(tally, policy)
        parts = (counts_of(_own_units(job, job.task, name=name, axes=axes)) for name in job.names)
        counts = next(parts)
        for more in parts:
            counts = counts + more
        write_parquet(margins_frame(counts.margins), margins_path)
        write_parquet(fit(counts, policy), lift_path)
    lift, margins = pl.read_parquet(lift_path), margins_of(pl.read_parquet(margins_path))
    return {
        "units": int(margins.units.sum()),
        "pairs": lift.height,
        "kept": int(lift["kept"].sum()),
    }


def _own_units(job: TaskJob | ShardJob, task: str, *, name: str, axes: Axes) -> Units:
    units, answers, histories = _units(job, task, name=name)
    return units_of(units, answers, histories=histories, axes=axes)


def tie(setup: Setup, jobs: Sequence[ShardJob], *, out: Path) -> dict[str, Any]:
    """Write the vocabulary, its links to knowledge, what they cover, and paths; how many."""
    parts = [
        Vocabulary(*(pl.read_parquet(job.part("vocabulary", job.name, f"{name}.parquet"))
                     for name in VOCABULARY))
        for job in jobs
    ]  # fmt: skip
    vocabulary = Vocabulary.merged(parts).frame()
    write_parquet(vocabulary, out / "concepts.parquet")
    graph = setup.graph
    if graph is None:
        write_parquet(
            pl.DataFrame(schema={**PATHS_SCHEMA, "alone": pl.Boolean}), out / "paths.parquet"
        )
        return {"concepts": vocabulary.height}
    links = link(vocabulary, graph)
    write_parquet(links, out / "links.parquet")
    usable = {name for name, one in setup.relations.relations.items() if one.in_paths}
    write_parquet(coverage(links, vocabulary, graph=graph, usable=usable), out / "coverage.parquet")
    lifts = [pl.read_parquet(path) for path in sorted((out / "lift").glob("*.parquet"))]
    kept = pl.concat(lifts).filter("kept").select("target", "history").unique()
    finder = PathFinder.of(graph, setup.relations, max_hops=setup.graph_policy.path_hops)
    targets = pl.concat([kept["target"], *_all_targets(out)]).unique()
    near = kept.clear()
    alone = setup.graph_policy.path_alone_hops
    if alone is not None:
        telling = PathFinder.of(graph, setup.relations.telling_alone(), max_hops=alone)
        near = telling.within(targets, vocabulary["concept"], links=links)
    near = near.select("target", "history", alone=pl.lit(True))
    pairs = pl.concat([kept, near.select("target", "history")]).unique()
    paths = finder.paths(pairs, links, per_pair=setup.config.paths_per_pair)
    marked = paths.join(near, on=["target", "history"], how="left", maintain_order="left")
    write_parquet(marked.with_columns(pl.col("alone").fill_null(False)), out / "paths.parquet")
    return {"concepts": vocabulary.height, "linked": links["concept"].n_unique(),
            "paths": paths.height}  # fmt: skip


def _all_targets(out: Path) -> list[pl.Series]:
    """What answers of any shard stand for."""
    found = [
        pl.read_parquet(path, columns=["concept"])["concept"].unique().alias("target")
        for path in sorted((out / PARTS / "pairs").glob("*/*.parquet"))
    ]
    return [part for part in found if part.len()]


def draw_shard(job: ShardJob) -> dict[str, int]:
    """Write the graphs of a shard's cases; how many cases were asked, have edges, and edges."""
    path = job.out / "graphs" / f"{job.name}.parquet"
    tally_path = job.part("drawn", f"{job.name}.json")
    if tally_path.is_file():
        return dict(read_json(tally_path))
    setup = job.setup
    held = Held(
        setup.read(job.shard),
        pl.read_parquet(job.part("concepts", f"{job.name}.parquet")),
        pl.read_parquet(job.out / "paths.parquet"),
    )
    empty = pl.DataFrame(schema={**graphs_schema(), "task": pl.String})
    frames = [empty]
    asked = 0
    for name in setup.tasks:
        cases = setup.sampled(name, job.name)
        asked += cases.height
        told = _told(job, name)
        for part in cases.iter_slices(CASES_AT_ONCE):
            drawn = _drawn(job, told, part, held=held)
            frames.append(drawn.with_columns(task=pl.lit(name)))
    edges = pl.concat(frames).sort("case_id", "target", "rank")
    write_parquet(edges, path)
    tally = {
        "cases": asked,
        "cases_with_edges": edges["case_id"].n_unique(),
        "edges": edges.height,
    }
    write_json(tally_path, tally)
    return tally


def _told(job: ShardJob, name: str) -> Told:
    """What a task's graphs in a shard rest on."""
    fitted = Fitted(
        pl.read_parquet(job.out / "lift" / f"{name}.parquet"),
        margins_of(pl.read_parquet(job.out / "margins" / f"{name}.parquet")),
        job.setup.policy,
    )
    if job.split != "train":
        return Told(job.setup.tasks[name], fitted, None, None)
    pairs = pl.read_parquet(job.part("pairs", name, f"{job.name}.parquet"))
    own = _own_units(job, name, name=job.name, axes=fitted.margins.axes)
    return Told(job.setup.tasks[name], fitted, pairs, own)


def _drawn(job: ShardJob, of: Told, cases: pl.DataFrame, *, held: Held) -> pl.DataFrame:
    """The graphs of some cases of one task."""
    setup, fitted = job.setup, of.fitted
    shown = case_concepts(cases, held.concepts, rows=held.rows, task=of.task, source=setup.source)
    if of.pairs is None:
        frame = candidates_of(cases, fitted, n=setup.config.candidates)
    else:
        frame = answer_concepts(
            cases, task=of.task, naming=setup.naming, pairs=of.pairs, matcher=setup.matcher
        )
    told = shown.select("case_id", history="concept").unique(maintain_order=True)
    kept = fitted.lift.filter("kept").select("target", "history")
    pairs_asked = told.join(kept, on="history").join(frame, on=["case_id", "target"])
    lifts = lookup(
        pairs_asked.select("case_id", "subject_id", "target", "history"), fitted, own=of.own
    )
    return graphs_of(
        Targets(frame, job.split, of.pairs is not None), shown, lifts=lifts, paths=held.paths,
        policy=setup.graph_policy,
    )  # fmt: skip


def candidates_of(cases: pl.DataFrame, fitted: Fitted, *, n: int) -> pl.DataFrame:
    """case_id, subject_id, target: for every case the same `n` targets most frequent in train.

    They look at no answer, so graphs drawn from them may be shown when predicting.
    """
    margins = fitted.margins
    frequent = pl.DataFrame({"target": margins.axes.targets, "n": margins.targets.sum(axis=1)})
    first = frequent.cast({"target": pl.String}).sort("n", "target", descending=[True, False])
    return cases.select("case_id", "subject_id").join(first.head(n).select("target"), how="cross")
