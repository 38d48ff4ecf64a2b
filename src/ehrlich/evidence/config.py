"""Settings of `ehrlich evidence`, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import polars as pl

from ehrlich.base.data_use import DataUse, most_restrictive
from ehrlich.base.errors import DataError
from ehrlich.base.store import Manifest, versions_of
from ehrlich.charts.timeline import Charts
from ehrlich.cohorts.finished import cases_manifest, sample_ids, tasks_of
from ehrlich.cohorts.scene import Source
from ehrlich.cohorts.task import Task
from ehrlich.evidence.graphs import GraphPolicy
from ehrlich.evidence.knowledge.graph import (
    KnowledgeGraph,
    knowledge_manifest,
    read_graph,
    write_graph,
)
from ehrlich.evidence.knowledge.textbook import textbook_graph
from ehrlich.evidence.naming import Naming
from ehrlich.evidence.notes import Matcher
from ehrlich.evidence.policy import Policy, load_policy
from ehrlich.evidence.relations import Relations, load_relations

TEXTBOOK, NONE = "textbook", "none"
# What a note may tell of a patient.
TOLD_KINDS = ("disease", "finding")


@dataclass(frozen=True, slots=True)
class EvidenceConfig:
    """Settings. Workers, resume and quiet do not change results.

    - policy: fdr, paper, or a YAML file. knowledge: a folder of `ehrlich evidence knowledge`,
      `textbook` (the synthetic hospital's own), or `none` (co-occurrence alone).
    - notes: also read texts. max_hops: of a path. candidates: targets of a graph that looks at no
      answer. limit: only the first so many subjects of each shard.
    """

    policy: str = "fdr"
    knowledge: str = TEXTBOOK
    relations: Path | None = None
    max_hops: int = 2
    paths_per_pair: int = 3
    candidates: int = 50
    notes: bool = True
    limit: int | None = None
    seed: int = 0
    workers: int = 2
    resume: bool = False
    fresh: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Setup:
    """The settings, made ready. Get one by `open_setup`; what is heavy is opened when asked."""

    config: EvidenceConfig
    charts_folder: Path
    cases_folder: Path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """A worker opens its own, once."""
        return open_setup, (self.config, (self.charts_folder, self.cases_folder))

    @cached_property
    def charts(self) -> Charts:
        """The timeline."""
        return Charts(self.charts_folder)

    @cached_property
    def source(self) -> Source:
        """What tasks know of it."""
        return Source.of(self.charts)

    @cached_property
    def naming(self) -> Naming:
        """How measurements are named."""
        return Naming.of(self.source)

    @cached_property
    def cases(self) -> Manifest:
        """Manifest of the cases. Raises DataError where they were built from other charts."""
        return cases_manifest(self.cases_folder, self.charts)

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """Tasks that have train cases, as these were built from them."""
        counts = self.cases.counts["tasks"]
        known = tasks_of(self.cases)
        names = [name for name, line in counts.items() if line["splits"].get("train")]
        if not names:
            raise DataError("evidence needs train cases", where=str(self.cases_folder), got="none")
        return {name: known[name] for name in names}

    @cached_property
    def policy(self) -> Policy:
        """Which pairs are evidence."""
        return load_policy(self.config.policy)

    @cached_property
    def relations(self) -> Relations:
        """What paths may use."""
        return load_relations(self.config.relations)

    @cached_property
    def graph_policy(self) -> GraphPolicy:
        """Which ties become edges."""
        return GraphPolicy(path_hops=self.config.max_hops)

    @cached_property
    def graph(self) -> KnowledgeGraph | None:
        """Medical knowledge, or none."""
        if self.config.knowledge == NONE:
            return None
        if self.config.knowledge == TEXTBOOK:
            return textbook_graph()
        return read_graph(Path(self.config.knowledge))

    @cached_property
    def matcher(self) -> Matcher | None:
        """What reads notes: names of diseases and findings that the knowledge has."""
        if not self.config.notes or self.graph is None:
            return None
        told = self.graph.nodes.filter(pl.col("kind").is_in(TOLD_KINDS) & ~pl.col("generic"))
        named = self.graph.names.join(told.select("node", called="name"), on="node")
        concept = pl.lit("finding//") + pl.col("called").str.to_lowercase()
        return Matcher.of(named.select("name", concept=concept).unique().sort("name", "concept"))

    def write_knowledge(self, out: Path) -> None:
        """Put the textbook's graph beside the rest, for whoever reads it later."""
        if self.config.knowledge == TEXTBOOK and self.graph is not None:
            manifest = Manifest("knowledge", DataUse.SYNTHETIC, {"builder": TEXTBOOK})
            write_graph(self.graph, out / "knowledge", manifest=manifest)

    def read(self, shard: str) -> pl.DataFrame:
        """A shard's measurements, with fields; only the first subjects where limited."""
        return self._first(self.charts.read(shard, fields=True), shard)

    def cases_of(self, task: str, name: str) -> pl.DataFrame:
        """A task's cases of one shard (by its flat name), of the subjects that `read` gives."""
        cases = pl.read_parquet(self.cases_folder / task / f"{name}.parquet")
        return self._first(cases, name.replace("-", "/", 1))

    def _first(self, frame: pl.DataFrame, shard: str) -> pl.DataFrame:
        """Lines of the shard's first subjects, where limited."""
        if self.config.limit is None:
            return frame
        first = _first_subjects(self.charts, shard, self.config.limit)
        return frame.filter(pl.col("subject_id").is_in(first.implode()))

    def sampled(self, task: str, name: str) -> pl.DataFrame:
        """Those of `cases_of` that are in the training sample (train) or in the benchmark."""
        split = name.partition("-")[0]
        sample = "ehr_ins" if split == "train" else "ehr_bench"
        wanted = sample_ids(self.cases_folder, sample, task=task)
        return self.cases_of(task, name).filter(pl.col("case_id").is_in(wanted.implode()))

    def manifest(self, out: Path) -> Manifest:
        """The manifest of a run, without counts. Raises DataError for cases without train cases."""
        config = self.config
        uses = [self.cases.data_use]
        knowledge: Any = config.knowledge
        where = {TEXTBOOK: str((out / "knowledge").resolve()), NONE: ""}
        if config.knowledge not in where:
            found = knowledge_manifest(Path(config.knowledge))
            knowledge = found.config_fingerprint
            uses.append(found.data_use)
        settings = {
            "tasks": list(self.tasks),
            "policy": self.policy.model_dump(mode="json"),
            "graph": self.graph_policy.model_dump(mode="json"),
            "relations": self.relations.model_dump(mode="json"),
            "knowledge": knowledge,
            "max_hops": config.max_hops,
            "paths_per_pair": config.paths_per_pair,
            "candidates": config.candidates,
            "notes": config.notes,
            "limit": config.limit,
            "split": "train",
            "charts": self.charts.manifest.config_fingerprint,
            "cases": self.cases.config_fingerprint,
        }
        inputs = {
            "charts": str(self.charts_folder.resolve()),
            "cases": str(self.cases_folder.resolve()),
            "knowledge": where.get(config.knowledge, str(Path(config.knowledge).resolve())),
        }
        return Manifest(
            "evidence", most_restrictive(uses), settings, seed=config.seed, inputs=inputs,
            versions=versions_of(("polars", "numpy", "scipy")),
        )  # fmt: skip


@cache
def _first_subjects(charts: Charts, shard: str, limit: int) -> pl.Series:
    """The first so many subjects of a shard."""
    return charts.read(shard)["subject_id"].unique(maintain_order=True).head(limit)


@cache
def open_setup(config: EvidenceConfig, folders: tuple[Path, Path]) -> Setup:
    """The setup of these settings, for folders of charts and of cases: one a process."""
    return Setup(config, *folders)
