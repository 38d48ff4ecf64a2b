"""The one format of medical knowledge: nodes, names, typed edges with source and licence, xrefs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from ehrlich.base.contracts import knowledge_schema
from ehrlich.base.errors import DataError
from ehrlich.base.store import Manifest, read_manifest, write_aside, write_manifest

PARTS = ("nodes", "names", "edges", "xrefs")
WHITE_SPACE = r"\s+"


@dataclass(frozen=True)
class KnowledgeGraph:
    """Four frames of `knowledge_schema()`. Make one with `checked`, which drops what cannot stand.

    `dropped` counts what builders and `checked` left out, by reason.
    """

    nodes: pl.DataFrame
    names: pl.DataFrame
    edges: pl.DataFrame
    xrefs: pl.DataFrame
    dropped: Mapping[str, int]

    def with_licences(self, allowed: Collection[str]) -> KnowledgeGraph:
        """Only nodes and edges under `allowed` licences, and what then still stands.

        Raises DataError where a name in `allowed` is no licence of this graph.
        """
        known = set(self.nodes["licence"]) | set(self.edges["licence"])
        unknown = sorted(set(allowed) - known)
        if unknown:
            raise DataError(
                "no node or edge of this graph is under that licence",
                got=", ".join(unknown),
                expected=", ".join(sorted(known)),
            )
        keep = pl.col("licence").is_in(list(allowed))
        kept = replace(self, nodes=self.nodes.filter(keep), edges=self.edges.filter(keep))
        return checked(kept, reason_of_absence="licence not allowed")


def checked(graph: KnowledgeGraph, *, reason_of_absence: str = "unknown node") -> KnowledgeGraph:
    """The graph in canonical form: typed, sorted, unique; names in lower case.

    Dropped and counted: edges and names and xrefs of unknown nodes, loops, nodes given twice.
    Cycles are no fault: paths never visit a node twice.
    """
    dropped = Counter(graph.dropped)
    schema = knowledge_schema()
    frames = {
        part: getattr(graph, part).select(schema[part]).cast(dict(schema[part])) for part in PARTS
    }
    nodes = frames["nodes"].unique("node", keep="first", maintain_order=True).sort("node")
    dropped["node given twice"] += frames["nodes"].height - nodes.height
    known = nodes.select("node")
    names = frames["names"].with_columns(
        pl.col("name").str.to_lowercase().str.replace_all(WHITE_SPACE, " ").str.strip_chars()
    )
    names = names.filter(pl.col("name") != "").unique(["node", "name"], keep="first")
    edges = frames["edges"]
    for end in ("head", "tail"):
        held = edges.join(known, left_on=end, right_on="node", how="semi", maintain_order="left")
        dropped[f"edge: {reason_of_absence}"] += edges.height - held.height
        edges = held
    looped = edges.filter(pl.col("head") != pl.col("tail"))
    dropped["edge: from a node to itself"] += edges.height - looped.height
    edges = looped.unique(["head", "relation", "tail"], keep="first").sort(
        "head", "relation", "tail"
    )
    return KnowledgeGraph(
        nodes,
        _known(names, known).sort("name", "node"),
        edges,
        _known(frames["xrefs"].unique(), known).sort("system", "code", "node"),
        {reason: n for reason, n in sorted(dropped.items()) if n},
    )


def _known(frame: pl.DataFrame, nodes: pl.DataFrame) -> pl.DataFrame:
    return frame.join(nodes, on="node", how="semi")


def write_graph(graph: KnowledgeGraph, out: Path, *, manifest: Manifest) -> None:
    """Write the folder, manifest last. Raises DataError for a graph without edges."""
    if graph.edges.is_empty():
        raise DataError(
            "a knowledge graph without an edge",
            got=", ".join(f"{why}: {n}" for why, n in graph.dropped.items()) or "no input",
            do="See which files were found, and which licences are allowed.",
        )
    for part in PARTS:
        with write_aside(out / f"{part}.parquet") as aside:
            getattr(graph, part).write_parquet(aside, compression="zstd")
    counts = {part: getattr(graph, part).height for part in PARTS}
    write_manifest(out, replace(manifest, counts={**counts, "dropped": dict(graph.dropped)}))


def read_graph(folder: Path) -> KnowledgeGraph:
    """A finished knowledge folder. Raises StoreError or DataError where it is none."""
    manifest = read_manifest(folder)
    if manifest.step != "knowledge":
        raise DataError("is no knowledge graph", where=str(folder), got=manifest.step)
    frames = {part: pl.read_parquet(folder / f"{part}.parquet") for part in PARTS}
    return KnowledgeGraph(**frames, dropped=manifest.counts.get("dropped", {}))
