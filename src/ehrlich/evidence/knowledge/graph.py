"""The one format of medical knowledge: nodes, names, typed edges with source and licence, xrefs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from ehrlich.base.contracts import knowledge_schema
from ehrlich.base.errors import DataError
from ehrlich.base.store import Manifest, read_manifest, write_aside, write_manifest

PARTS = ("nodes", "names", "edges", "xrefs")
WHITE_SPACE = r"\s+"
UNSTATED = "unstated"

# Kinds of node that may be one and the same thing, those first that say most.
FAMILIES: Mapping[str, Sequence[str]] = {
    "problem": (
        "disease", "finding", "phenotype", "symptom", "syndrome", "diagnosis", "diagnosis_group",
        "injury",
    ),
    "drug": ("drug", "chemical", "substance", "vaccine"),
    "class": ("class", "drug_class", "drug_role", "role"),
    "test": ("test", "lab", "vital", "measurement"),
    "procedure": ("procedure", "procedure_group", "ccs_procedure"),
    "organism": ("organism",),
}  # fmt: skip


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


def graph_of(
    parts: Mapping[str, Sequence[tuple[object, ...]]], *, dropped: Mapping[str, int] | None = None
) -> KnowledgeGraph:
    """The checked graph of rows by part, in the column order of `knowledge_schema()`."""
    frames = {
        part: pl.DataFrame(list(parts.get(part, ())), schema=columns, orient="row")
        for part, columns in knowledge_schema().items()
    }
    return checked(KnowledgeGraph(**frames, dropped=dropped or {}))


def checked(graph: KnowledgeGraph, *, reason_of_absence: str = "unknown node") -> KnowledgeGraph:
    """The graph in canonical form: typed, sorted, unique; names in lower case.

    Dropped and counted: edges of unknown nodes or without a relation, loops, nodes given twice or
    without an id. Dropped only: names and xrefs of unknown nodes. Of edges that say the same, the
    first stays. Cycles are no fault: paths never visit a node twice.
    """
    dropped = Counter(graph.dropped)
    frames = {
        part: getattr(graph, part).select(
            pl.col(name).cast(dtype) for name, dtype in columns.items()
        )
        for part, columns in knowledge_schema().items()
    }
    named = frames["nodes"].filter(_is_told("node"))
    dropped["node without an id"] += frames["nodes"].height - named.height
    nodes = named.unique("node", keep="first", maintain_order=True).sort("node")
    dropped["node given twice"] += named.height - nodes.height
    nodes = nodes.with_columns(
        _told("name", pl.col("node")), _told("kind", pl.lit("other")), *_origin(),
        generic=pl.col("generic").fill_null(value=False),
    )  # fmt: skip
    known = nodes.select("node")
    names = frames["names"].with_columns(
        pl.col("name").str.to_lowercase().str.replace_all(WHITE_SPACE, " ").str.strip_chars()
    )
    names = names.filter(pl.col("name") != "").unique(["node", "name"], keep="first")
    edges = frames["edges"].filter(_is_told("relation"))
    dropped["edge: no relation"] += frames["edges"].height - edges.height
    for end in ("head", "tail"):
        held = edges.join(known, left_on=end, right_on="node", how="semi", maintain_order="left")
        dropped[f"edge: {reason_of_absence}"] += edges.height - held.height
        edges = held
    looped = edges.filter(pl.col("head") != pl.col("tail"))
    dropped["edge: from a node to itself"] += edges.height - looped.height
    edges = looped.unique(["head", "relation", "tail"], keep="first").sort(
        "head", "relation", "tail"
    )
    xrefs = frames["xrefs"].drop_nulls().unique()
    return KnowledgeGraph(
        nodes,
        _known(names.with_columns(_origin()[0]), known).sort("name", "node"),
        edges.with_columns(_origin()),
        _known(xrefs, known).sort("system", "code", "node"),
        {reason: n for reason, n in sorted(dropped.items()) if n},
    )


def _is_told(column: str) -> pl.Expr:
    return pl.col(column).fill_null("").str.strip_chars() != ""


def _told(column: str, otherwise: pl.Expr) -> pl.Expr:
    return pl.when(_is_told(column)).then(column).otherwise(otherwise).alias(column)


def _origin() -> list[pl.Expr]:
    return [_told(column, pl.lit(UNSTATED)) for column in ("source", "licence")]


def _known(frame: pl.DataFrame, nodes: pl.DataFrame) -> pl.DataFrame:
    return frame.join(nodes, on="node", how="semi")


def join_graphs(base: KnowledgeGraph, extra: KnowledgeGraph) -> KnowledgeGraph:
    """`base` with what `extra` adds; every edge of a checked base stays.

    A node of `extra` becomes the node of `base` with the same id; else the only one of its family
    (`FAMILIES`) that shares a code; else one of its family with the same name: its own name
    before its alternatives, nodes of that very name and of telling kinds and many edges before
    others; never a generic one. What nothing matches is added.
    """
    onto = _same_nodes(base, extra)

    def moved(frame: pl.DataFrame, *ends: str) -> pl.DataFrame:
        for end in ends:
            held = frame.join(onto, left_on=end, right_on="node", how="left", maintain_order="left")
            frame = held.with_columns(pl.coalesce("onto", end).alias(end)).drop("onto")
        return frame

    dropped = Counter(base.dropped) + Counter(extra.dropped)
    return checked(
        KnowledgeGraph(
            pl.concat([base.nodes, extra.nodes.join(onto, on="node", how="anti")]),
            pl.concat([base.names, moved(extra.names, "node")]),
            pl.concat([base.edges, moved(extra.edges, "head", "tail")]),
            pl.concat([base.xrefs, moved(extra.xrefs, "node")]),
            dict(dropped),
        )
    )


def with_family(nodes: pl.DataFrame) -> pl.DataFrame:
    """`nodes` with family (the kind itself where no family has it) and kind_rank, 0 is best."""
    rows = [
        (kind, family, rank)
        for family, kinds in FAMILIES.items()
        for rank, kind in enumerate(kinds)
    ]
    table = pl.DataFrame(rows, schema=["kind", "family", "kind_rank"], orient="row")
    return nodes.join(table, on="kind", how="left", maintain_order="left").with_columns(
        pl.coalesce("family", "kind").alias("family"), pl.col("kind_rank").fill_null(0)
    )


def _same_nodes(base: KnowledgeGraph, extra: KnowledgeGraph) -> pl.DataFrame:
    """Columns node (of extra) and onto (of base), one row a node that base has."""
    asked = with_family(extra.nodes).select("node", "family", own=pl.col("name").str.to_lowercase())
    held = with_family(base.nodes.filter(~pl.col("generic"))).select(
        "family", "kind_rank", onto="node", their=pl.col("name").str.to_lowercase()
    )
    same = extra.nodes.select("node").join(base.nodes, on="node", how="semi")
    same = same.with_columns(onto="node")
    rest = asked.join(same, on="node", how="anti")
    shared = rest.join(extra.xrefs, on="node").join(
        base.xrefs.rename({"node": "onto"}), on=["system", "code"]
    )
    shared = shared.join(held, on=["onto", "family"]).select("node", "onto").unique()
    coded = shared.filter(pl.len().over("node") == 1)
    rest = rest.join(coded, on="node", how="anti")
    degree = pl.concat([base.edges["head"], base.edges["tail"]]).value_counts(name="edges")
    named = (
        rest.join(extra.names.select("node", "name"), on="node")
        .join(base.names.select("name", onto="node"), on="name")
        .join(held, on=["onto", "family"])
        .join(degree.rename({"head": "onto"}), on="onto", how="left")
        .sort(
            pl.col("name") != pl.col("own"), pl.col("name") != pl.col("their"), "kind_rank",
            -pl.col("edges").fill_null(0).cast(pl.Int64), "onto",
        )
        .unique("node", keep="first", maintain_order=True)
    )  # fmt: skip
    return pl.concat([same, coded, named.select("node", "onto")])


def refuse_without_edges(graph: KnowledgeGraph) -> None:
    """Raises DataError for a graph without edges."""
    if graph.edges.is_empty():
        raise DataError(
            "a knowledge graph without an edge",
            got=", ".join(f"{why}: {n}" for why, n in graph.dropped.items()) or "no input",
            do="See which files were found, and which licences are allowed.",
        )


def write_graph(graph: KnowledgeGraph, out: Path, *, manifest: Manifest) -> None:
    """Write the folder, manifest last. Raises DataError for a graph without edges."""
    refuse_without_edges(graph)
    for part in PARTS:
        with write_aside(out / f"{part}.parquet") as aside:
            getattr(graph, part).write_parquet(aside, compression="zstd")
    counts = {part: getattr(graph, part).height for part in PARTS}
    write_manifest(out, replace(manifest, counts={**counts, "dropped": dict(graph.dropped)}))


def read_graph(folder: Path) -> KnowledgeGraph:
    """A finished knowledge folder. Raises StoreError or DataError where it is none."""
    manifest = knowledge_manifest(folder)
    frames = {part: pl.read_parquet(folder / f"{part}.parquet") for part in PARTS}
    return KnowledgeGraph(**frames, dropped=manifest.counts.get("dropped", {}))


def knowledge_manifest(folder: Path) -> Manifest:
    """Of a finished knowledge folder. Raises StoreError or DataError where it is none."""
    manifest = read_manifest(folder)
    if manifest.step != "knowledge":
        raise DataError("is no knowledge graph", where=str(folder), got=manifest.step)
    return manifest
