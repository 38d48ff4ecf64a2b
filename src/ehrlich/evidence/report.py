"""`ehrlich evidence report`: what was found, each figure beside what chance gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ehrlich.base.config import validate
from ehrlich.base.errors import DataError
from ehrlich.base.hashing import stable_hash
from ehrlich.base.progress import Bar, progress_bar
from ehrlich.base.store import Manifest, read_manifest, write_aside, write_json
from ehrlich.evidence.chance import lift_figures
from ehrlich.evidence.control import (
    Matching,
    Resampling,
    coverage_table,
    hop_table,
    matched,
    pool_of,
    uncut,
    with_hops,
)
from ehrlich.evidence.graphs import GraphPolicy
from ehrlich.evidence.hop_plot import draw_hops
from ehrlich.evidence.knowledge.graph import read_graph
from ehrlich.evidence.lookup import margins_of
from ehrlich.evidence.paths import MOST_HOPS, PathFinder
from ehrlich.evidence.policy import Policy
from ehrlich.evidence.relations import Relations, load_relations
from ehrlich.evidence.report_text import report_text

STEP, LABEL = "evidence", "label//"
MOST_SUBJECTS = 20_000  # intervals of more would be no use
SUMS = ("0-1", "0-2")  # of other rows, which a picture would show twice
EDGE = {
    "case_id": pl.String(),
    "subject_id": pl.Int64(),
    "task": pl.String(),
    "target": pl.String(),
    "history": pl.String(),
    "lift": pl.Float64(),
}


@dataclass(frozen=True)
class Evidence:
    """What a report reads of an evidence folder; `edges` of train cases (see `shown_edges`)."""

    folder: Path
    manifest: Manifest
    margins: Mapping[str, pl.DataFrame]
    lifts: Mapping[str, pl.DataFrame]

    @property
    def policy(self) -> Policy:
        """Which pairs were kept."""
        return validate(Policy, self.manifest.config["policy"], where="policy", lines={})

    @property
    def graph_policy(self) -> GraphPolicy:
        """Which ties became edges."""
        return validate(GraphPolicy, self.manifest.config["graph"], where="graph", lines={})

    @property
    def relations(self) -> Relations:
        """What paths were allowed to use."""
        told = self.manifest.config.get("relations")
        if isinstance(told, Mapping):
            return validate(Relations, dict(told), where="relations", lines={})
        return load_relations(Path(told) if told else None)

    @property
    def knowledge(self) -> Path | None:
        """The folder of medical knowledge; that beside the evidence first, since folders move."""
        own = self.folder / "knowledge"
        told = self.manifest.inputs.get("knowledge")
        return own if (own / "manifest.json").is_file() else Path(told) if told else None

    @property
    def kept(self) -> pl.DataFrame:
        """task, target, history: pairs that the policy keeps."""
        none = pl.DataFrame(schema=dict.fromkeys(("task", "target", "history"), pl.String))
        parts = [
            lift.filter("kept").select(pl.lit(task).alias("task"), "target", "history")
            for task, lift in self.lifts.items()
        ]
        return pl.concat([none, *parts])


def write_report(
    folder: Path, out: Path, *, seed: int = 0, replicates: int = 2000, quiet: bool = False
) -> dict[str, Any]:
    """Write report.json, report.md, hops.png and hops.svg into `out`; what report.json holds.

    Tables: of each task pairs tested and kept and their lift, beside permuted answers; shares of
    pairs by hops, and of targets with a history in reach, beside support-matched random pairs; how
    much of the vocabulary is linked; whose knowledge the paths are. Without medical knowledge only
    the first, and no picture. Raises StoreError or DataError where `folder` is no finished
    evidence, ConfigError for replicates below 1.
    """
    how = Resampling(replicates=replicates, seed=seed)
    evidence = read_evidence(folder)
    with progress_bar(len(evidence.lifts) + 3, "Comparing with chance", quiet=quiet) as bar:
        lift = []
        for task in evidence.lifts:
            lift.append(_lift_row(evidence, task, seed=seed))
            bar.advance(note=task)
        report: dict[str, Any] = _about(evidence, how) | {"lift": lift}
        if evidence.knowledge is not None:
            report |= _of_paths(evidence, how, bar=bar)
            report |= {"linked": pl.read_parquet(folder / "coverage.parquet").to_dicts()}
            report |= {"sources": sources_of(folder)}
    write_json(out / "report.json", report)
    with write_aside(out / "report.md") as aside:
        aside.write_text(report_text(report), encoding="utf-8")
    if "hops" in report:
        shown = [row for row in report["hops"] if row["hops"] not in SUMS]
        for kind in ("png", "svg"):
            draw_hops(shown, out / f"hops.{kind}")
    return report


def read_evidence(folder: Path) -> Evidence:
    """A finished evidence folder. Raises StoreError or DataError where it is none."""
    manifest = read_manifest(folder)
    if manifest.step != STEP:
        raise DataError("holds no evidence", where=str(folder), got=manifest.step)
    lifts, margins = (
        {path.stem: pl.read_parquet(path) for path in sorted((folder / name).glob("*.parquet"))}
        for name in ("lift", "margins")
    )
    if lifts.keys() != margins.keys():
        odd = sorted(lifts.keys() ^ margins.keys())
        raise DataError("lift and margins are not of the same tasks", where=str(folder), got=odd[0])
    return Evidence(folder, manifest, margins, lifts)


def _about(evidence: Evidence, how: Resampling) -> dict[str, Any]:
    manifest = evidence.manifest
    return {
        "evidence": manifest.config_fingerprint,
        "data_use": str(manifest.data_use),
        "policy": evidence.policy.model_dump(mode="json"),
        "graph": evidence.graph_policy.model_dump(mode="json"),
        "seed": how.seed,
        "replicates": how.replicates,
        "versions": dict(manifest.versions),
    }


def _lift_row(evidence: Evidence, task: str, *, seed: int) -> dict[str, Any]:
    margins = margins_of(evidence.margins[task])
    figures = lift_figures(evidence.lifts[task], margins, policy=evidence.policy, seed=seed)
    return {"task": task, **figures}


def _of_paths(evidence: Evidence, how: Resampling, *, bar: Bar) -> dict[str, Any]:
    """The tables that ask how far apart pairs are."""
    edges, left_out = shown_edges(evidence, seed=how.seed)
    # Lift ties drugs to drugs, and some kinds are better linked: without it that would count too.
    matching = Matching(nearest=3, same_kind=True, seed=how.seed)
    pool = pool_of(evidence.margins)
    controls = matched(edges, pool, kept=evidence.kept, how=matching)
    bar.advance(note="controls")
    finder = PathFinder.of(
        read_graph(Path(str(evidence.knowledge))), evidence.relations, max_hops=MOST_HOPS
    )
    links = pl.read_parquet(evidence.folder / "links.parquet")
    edges = with_hops(edges, finder, links=links)
    controls = with_hops(controls, finder, links=links, to="control")
    bar.advance(note="paths")
    most = evidence.graph_policy.path_hops
    by_task = [
        {"task": task, **row}
        for (task,), part in edges.sort("task").group_by("task", maintain_order=True)
        for row in hop_table(part, controls, bands={f"0-{most}": (0, most)}, how=how).to_dicts()
    ]
    told = {
        "hops": hop_table(edges, controls, how=how).to_dicts(),
        "hops_by_task": by_task,
        "target_coverage": coverage_table(edges, controls, how=how).to_dicts(),
        "matching": _matching(edges, controls, matching),
        "left_out": left_out,
    }
    bar.advance(note="intervals")
    return told


def shown_edges(evidence: Evidence, *, seed: int) -> tuple[pl.DataFrame, dict[str, int]]:
    """Edges [case_id, subject_id, task, target, history] that are compared; how many are not.

    Of graphs of true answers: ties by lift, of targets whose edges all found room (`uncut`), no
    self pairs, no labels (no knowledge speaks of them). Of at most MOST_SUBJECTS subjects, drawn.
    """
    paths = [
        path
        for path in sorted((evidence.folder / "graphs").glob("train-*.parquet"))
        if "case_id" in pl.read_parquet_schema(path)
    ]
    scans = [pl.scan_parquet(path).filter("conditioned") for path in paths]
    subjects = _some_subjects(scans, seed=seed)
    policy, kept_most = evidence.graph_policy, evidence.policy.per_target
    may_be_cut = kept_most is None or kept_most > policy.per_target
    counts = {"subjects": subjects.len(), "labels": 0, "self": 0, "cut": 0}
    parts = [pl.DataFrame(schema=EDGE)]
    for scan in scans:
        mine = scan.filter(pl.col("subject_id").is_in(subjects.implode()))
        tied = mine.filter(pl.col("lift").is_not_null()).select(*EDGE).collect()
        spoken = tied.filter(~pl.col("target").str.starts_with(LABEL))
        whole = uncut(spoken, policy.per_target if may_be_cut else spoken.height + 1)
        itself = spoken.filter(pl.col("target") == pl.col("history")).height
        counts["labels"] += tied.height - spoken.height
        counts["self"] += itself
        counts["cut"] += spoken.height - itself - whole.height
        parts.append(whole)
    edges = pl.concat(parts).drop("lift")
    return edges, counts | {"compared": edges.height}


def _some_subjects(scans: Sequence[pl.LazyFrame], *, seed: int) -> pl.Series:
    found = [scan.select("subject_id").unique().collect().to_series() for scan in scans]
    subjects = pl.concat([pl.Series("subject_id", [], pl.Int64), *found]).unique().sort()
    order = np.argsort(stable_hash(subjects.to_numpy(), seed), kind="stable")
    return subjects.gather(order[:MOST_SUBJECTS])


def _matching(edges: pl.DataFrame, controls: pl.DataFrame, how: Matching) -> dict[str, Any]:
    """How well controls match: pairs, those without any, and n_control / n_history."""
    pair = ["task", "target", "history"]
    asked = edges.select(pair).unique().height
    ratio = controls["n_control"] / controls["n_history"]
    return {
        "pairs": asked,
        "unmatched": asked - controls.select(pair).unique().height,
        "draws": how.draws,
        "nearest": how.nearest,
        "same_kind": how.same_kind,
        "support_ratio": {
            name: ratio.quantile(q, "linear")
            for name, q in (("p5", 0.05), ("median", 0.5), ("p95", 0.95))
        },
    }


def sources_of(folder: Path) -> list[dict[str, Any]]:
    """source (with its licence), hops: how many hops of all drawn edges rest on it, most first."""
    parts = []
    for path in sorted((folder / "graphs").glob("*.parquet")):
        if "sources" in pl.read_parquet_schema(path):
            named = pl.scan_parquet(path).select(source="sources").explode("source").drop_nulls()
            parts.append(named.group_by("source").agg(hops=pl.len().cast(pl.Int64)).collect())
    if not parts:
        return []
    summed = pl.concat(parts).group_by("source").agg(pl.col("hops").sum())
    return summed.sort("hops", "source", descending=[True, False]).to_dicts()
