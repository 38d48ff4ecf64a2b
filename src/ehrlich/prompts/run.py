"""`ehrlich prompts`: charts and cases → blocks, plans, EHR-Ins, EHR-Bench. By shard, resumable."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import DataError
from ehrlich.base.parallel import run_jobs
from ehrlich.base.store import (
    Manifest,
    open_output,
    read_json,
    read_manifest,
    write_json,
    write_manifest,
)
from ehrlich.base.store import (
    write_parquet as write_table,
)
from ehrlich.cohorts.finished import SAMPLES, Inputs, sample_ids, sample_size
from ehrlich.cohorts.scene import Scene, hidden_rows
from ehrlich.prompts.blocks import (
    Blocks,
    blocks_of,
    folder_of,
    read_blocks,
    read_mapped,
    write_blocks,
    write_mapped,
)
from ehrlich.prompts.budget import IS_CUT
from ehrlich.prompts.candidates import candidates_of, fit_vocabulary
from ehrlich.prompts.cards import Card, card_counts, write_card
from ehrlich.prompts.chat_policy import ChatPolicy
from ehrlich.prompts.config import PromptsConfig, Setup
from ehrlich.prompts.exports import (
    BENCH_FILES,
    bench_rows,
    instruction_rows,
    write_jsonl,
    write_parquet,
)
from ehrlich.prompts.plan import Planner
from ehrlich.prompts.questions import with_questions
from ehrlich.prompts.rows import prompt_rows
from ehrlich.prompts.statistics import STATISTICS, statistics_of

PLANS, CANDIDATES = "plans", "candidates.parquet"
# A prompt is some tens of kilobytes: this many are written at a time.
SLICE = 2000
# What planning needs of measurements.
SLIM = (
    "subject_id", "time", "code", "table", "event", "encounter_id", "stay_id", "avail_time",
    "end_time", "item", "row_id",
)  # fmt: skip


@dataclass(frozen=True)
class ShardJob:
    """One shard, all tasks."""

    setup: Setup
    shard: str
    out: Path

    @property
    def name(self) -> str:
        """The shard's flat name."""
        return self.shard.replace("/", "-")

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """Without its blocks."""
        return ShardJob, (self.setup, self.shard, self.out)

    @cached_property
    def blocks(self) -> Blocks:
        """The shard's blocks, mapped."""
        return read_blocks(folder_of(self.out, self.setup.style.style, shard=self.shard))

    def plan_path(self, task: str) -> Path:
        """Where the plans of a task's cases lie."""
        return self.out / PLANS / task / f"{self.name}.arrow"

    def rows(self, task: str, sample: str) -> Iterator[pl.DataFrame]:
        """Prompt rows of a task's cases in a sample, a slice at a time."""
        path = self.plan_path(task)
        if path.is_file():
            plan = read_mapped(path).filter(pl.col("samples").list.contains(sample))
            yield from map(self.prompt_rows, plan.iter_slices(SLICE))

    def prompt_rows(
        self,
        plan: pl.DataFrame,
        *,
        policy: ChatPolicy | None = None,
        thinking: bool | None = None,
    ) -> pl.DataFrame:
        """`prompt_rows` of a plan of this shard; by default as the settings say."""
        setup = self.setup
        return prompt_rows(
            plan,
            self.blocks,
            reader=setup.reader,
            policy=policy or setup.policy,
            thinking=setup.config.thinking if thinking is None else thinking,
        )


def run(config: PromptsConfig, inputs: Inputs, out: Path) -> Manifest:
    """Write blocks, plans, the two exports with their cards, statistics, and the manifest last."""
    setup = Setup(config, *inputs)
    manifest = setup.manifest()
    setup.around_tokens  # noqa: B018 - a template of no use is told before any work
    sampled_cases(setup)
    if open_output(out, manifest.config_fingerprint, resume=config.resume, fresh=config.fresh):
        return read_manifest(out)
    if config.candidates != "none":
        write_candidates(setup, out)
    jobs = [ShardJob(setup, shard, out) for shard in setup.charts.shards()]
    workers, quiet = config.workers, config.quiet
    tallies = run_jobs(plan_shard, jobs, workers=workers, label="Writing blocks", quiet=quiet)
    written = run_jobs(
        export_instructions, jobs, workers=workers, label="Writing EHR-Ins", quiet=quiet
    )
    files = {"ehr_ins": _summed(written), "ehr_bench": export_bench(setup, jobs, out=out)}
    statistics = statistics_of(out / PLANS)
    write_table(statistics, out / STATISTICS)
    finished = replace(manifest, counts=_counts(tallies, files))
    for sample in SAMPLES:
        _write_card(sample, files[sample], setup, finished, out)
    write_manifest(out, finished)
    return finished


def plan(config: PromptsConfig, inputs: Inputs) -> Manifest:
    """What a run would do: the manifest with the number of cases, nothing written."""
    setup = Setup(config, *inputs)
    manifest = setup.manifest()
    return replace(manifest, counts=sampled_cases(setup))


def sampled_cases(setup: Setup) -> dict[str, int]:
    """Sample → its cases. Raises DataError where there is none at all."""
    counts = {sample: sample_size(setup.cases_folder, sample) for sample in SAMPLES}
    if not any(counts.values()):
        raise DataError("no case is in a sample", where=str(setup.cases_folder))
    return counts


def write_candidates(setup: Setup, out: Path) -> None:
    """The vocabulary of answers, fitted on all train cases."""
    parts = []
    for task in setup.tasks:
        train = sorted((setup.cases_folder / task).glob("train-*.parquet"))
        if train:
            held = pl.read_parquet(train, columns=["case_id", "task", "split", "answer"])
            parts.append(fit_vocabulary(held, setup.tasks))
    if not parts:
        raise DataError("candidates need train cases", where=str(setup.cases_folder), got="none")
    write_table(pl.concat(parts), out / CANDIDATES)


def plan_shard(job: ShardJob) -> dict[str, Any]:
    """Write a shard's blocks and the plans of its cases; the tally, last, marks it as done."""
    tally_path = job.out / PLANS / f".{job.name}.json"
    if tally_path.is_file():
        return dict(read_json(tally_path))
    setup = job.setup
    rows = setup.charts.read(job.shard, fields=True)
    blocks = blocks_of(
        rows, setup.writer, source=setup.source, hidden=hidden_by_any(setup), counter=setup.counter
    )
    write_blocks(blocks, folder_of(job.out, setup.style.style, shard=job.shard))
    scene = Scene(rows.select(SLIM), setup.source)
    planner = Planner(scene, job.blocks, setup.reader, setup.config.max_tokens, setup.around_tokens)
    tally: dict[str, Any] = {}
    for name, task in setup.tasks.items():
        cases = _asked(job, name)
        if cases.is_empty():
            continue
        plans = [planner.plan(part, task) for part in cases.iter_slices(SLICE)]
        planned = pl.concat(plans)
        write_mapped(planned, job.plan_path(name))
        tally[name] = {
            "cases": planned.height,
            "cut": planned.filter(IS_CUT).height,
            "events_cut": int(planned["events_cut"].sum()),
        }
    write_json(tally_path, tally)
    return tally


def hidden_by_any(setup: Setup) -> pl.Expr:
    """Measurements that some task hides among others of their event."""
    policed = [task.under(setup.source.policy) for task in setup.tasks.values()]
    return pl.any_horizontal(pl.lit(False), *(hidden_rows(task.context) for task in policed))


def _asked(job: ShardJob, task: str) -> pl.DataFrame:
    """The task's cases of this shard that are in a sample, with samples, candidates, question."""
    setup = job.setup
    path = setup.cases_folder / task / f"{job.name}.parquet"
    if not path.is_file():
        raise DataError("cases of a shard are missing", where=str(path))
    cases = pl.read_parquet(path)
    held = [sample_ids(setup.cases_folder, sample, task=task).implode() for sample in SAMPLES]
    names = [
        pl.when(pl.col("case_id").is_in(ids)).then(pl.lit(sample))
        for sample, ids in zip(SAMPLES, held, strict=True)
    ]
    cases = cases.with_columns(samples=pl.concat_list(names).list.drop_nulls())
    cases = cases.filter(pl.col("samples").list.len() > 0)
    if setup.config.limit is not None:
        cases = cases.head(setup.config.limit)
    return with_questions(_with_candidates(cases, job), setup.questions)


def _with_candidates(cases: pl.DataFrame, job: ShardJob) -> pl.DataFrame:
    config = job.setup.config
    if config.candidates == "none":
        none = pl.lit(None, dtype=pl.List(pl.String))
        return cases.with_columns(candidates=none, candidate_mode=pl.lit("none"))
    vocabulary = pl.read_parquet(job.out / CANDIDATES)
    lists = candidates_of(
        cases, vocabulary, include_answer=config.candidates == "oracle", seed=config.seed
    )
    return cases.join(lists, on="case_id", how="left", maintain_order="left")


def export_instructions(job: ShardJob) -> dict[str, int]:
    """Write a shard's EHR-Ins rows as Parquet and JSON lines; file → rows."""
    split = job.shard.partition("/")[0]
    name = f"{split}/{job.shard.rpartition('/')[2]}"
    folder = job.out / "ehr_ins"
    paths = [folder / f"{name}.parquet", folder / f"{name}.jsonl"]
    frames = (
        instruction_rows(rows, keep_ids=job.setup.config.keep_ids)
        for task in job.setup.tasks
        for rows in job.rows(task, "ehr_ins")
    )
    first = next(frames, None)
    if first is None:
        return {}
    rows = write_parquet(paths[0], _again(first, frames))
    groups = pl.scan_parquet(paths[0]).collect_batches(chunk_size=SLICE)
    write_jsonl(paths[1], groups)
    return {str(path.relative_to(folder)): rows for path in paths}


def export_bench(setup: Setup, jobs: Sequence[ShardJob], *, out: Path) -> dict[str, int]:
    """Write EHR-Bench rows, a file a kind of task, with the released keys; file → rows."""
    files: dict[str, int] = {}
    for kind, name in BENCH_FILES.items():
        path = out / "ehr_bench" / f"{name}.jsonl"
        rows = write_jsonl(path, _bench(setup, jobs, kind))
        files[path.name] = rows
    return files


def _bench(setup: Setup, jobs: Sequence[ShardJob], kind: str) -> Iterator[pl.DataFrame]:
    first = 0
    for name, task in setup.tasks.items():
        if task.kind != kind:
            continue
        for job in jobs:
            for rows in job.rows(name, "ehr_bench"):
                keep = setup.config.keep_ids
                yield bench_rows(rows, setup.tasks, first=first, keep_ids=keep)
                first += rows.height


def _again(first: pl.DataFrame, rest: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    yield first
    yield from rest


def _summed(written: Sequence[dict[str, int]]) -> dict[str, int]:
    return {name: rows for files in written for name, rows in files.items()}


def _counts(tallies: Sequence[dict[str, Any]], files: dict[str, dict[str, int]]) -> dict[str, Any]:
    """Cases by task, how many were cut, and rows by file."""
    tasks: dict[str, Tally[str]] = {}
    for tally in tallies:
        for name, line in tally.items():
            tasks.setdefault(name, Tally()).update(line)
    total = sum(line["cases"] for line in tasks.values())
    cut = sum(line["cut"] for line in tasks.values())
    named = {name: dict(line) for name, line in tasks.items()}
    return {"prompts": total, "prompts_cut": cut, "by_task": named, "files": files}


def _write_card(
    sample: str, files: dict[str, int], setup: Setup, manifest: Manifest, out: Path
) -> None:
    config = setup.config
    plans = pl.scan_ipc(out / PLANS / "*" / "*.arrow")
    wanted = plans.filter(pl.col("samples").list.contains(sample)).select(
        "task", "split", "boolean_value",
        cut=IS_CUT,
    ).collect()  # fmt: skip
    card = Card(
        suite="EHR-Ins" if sample == "ehr_ins" else "EHR-Bench",
        counts=card_counts(wanted),
        command=f"ehrlich prompts CHARTS CASES --out OUT{_flags(config)}",
        files=files,
        style=config.style,
        wording="ehrlich's own"
        if config.instructions is None
        else "that of a file of instructions",
        tokenizer=None if config.tokenizer == "none" else config.tokenizer,
        max_tokens=config.max_tokens,
        chat_policy=config.chat if sample == "ehr_ins" else None,
        candidates=config.candidates,
        source_licence=_licence(setup),
        has_ids=config.keep_ids,
    )
    write_card(out / sample, card, manifest=manifest)


def _licence(setup: Setup) -> str | None:
    """That of the records; the synthetic hospital's belong to who made them."""
    if setup.charts.manifest.data_use is DataUse.SYNTHETIC:
        return None
    stated = setup.charts.manifest.config["dictionary"].get("licence")
    return None if stated is None else str(stated)


def _flags(config: PromptsConfig) -> str:
    """The flags that differ from their defaults."""
    plain = PromptsConfig()
    named = ("style", "tokenizer", "max_tokens", "chat", "candidates", "limit", "seed")
    return "".join(
        f" --{name.replace('_', '-')} {getattr(config, name)}"
        for name in named
        if getattr(config, name) != getattr(plain, name)
    )
