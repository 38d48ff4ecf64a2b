"""`ehrlich evidence knowledge`: one graph in a folder, from any of four builders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ehrlich.base.data_use import DataUse
from ehrlich.base.store import Manifest, edge_fingerprint, open_output, read_manifest, versions_of
from ehrlich.evidence.knowledge.edge_list import edge_list_graph
from ehrlich.evidence.knowledge.graph import KnowledgeGraph, refuse_without_edges, write_graph
from ehrlich.evidence.knowledge.open.build import build as build_open
from ehrlich.evidence.knowledge.open.build import told_by
from ehrlich.evidence.knowledge.open.library import OpenConfig
from ehrlich.evidence.knowledge.seed import seed_graph
from ehrlich.evidence.knowledge.textbook import textbook_graph
from ehrlich.evidence.knowledge.umls import umls_files, umls_graph


@dataclass(frozen=True)
class Built:
    """A graph, how it was made, digests of its files, what else is told, how freely it may move."""

    graph: KnowledgeGraph
    config: Mapping[str, Any]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)
    data_use: DataUse = DataUse.OPEN


def build_knowledge(make: Callable[[], Built], out: Path, *, fresh: bool) -> Manifest:
    """Make the graph and write its folder.

    A folder that holds the same graph is left as it is. Raises DataError, StoreError.
    """
    built = make()
    # Before the folder is begun, which would then belong to a graph that cannot be.
    refuse_without_edges(built.graph)
    config = {**built.config, "inputs": dict(built.inputs)}
    manifest = Manifest(
        "knowledge",
        built.data_use,
        config,
        inputs={**built.inputs, **built.told},
        versions=versions_of(["polars"]),
    )
    if not open_output(out, manifest.config_fingerprint, resume=True, fresh=fresh):
        write_graph(built.graph, out, manifest=manifest)
    return read_manifest(out)


def open_built(
    sources: Path | None, wheels: Path | None, *, allow: Sequence[str], deny: Sequence[str],
    fetch: bool,
) -> Built:  # fmt: skip
    """The open graph with our own tables of what open sources lack."""
    config = OpenConfig(
        sources=sources, wheels=wheels, fetch=fetch, allow=tuple(allow), deny=tuple(deny)
    )
    made = build_open(config, parts=[seed_graph()])
    stated = {
        "builder": "open",
        "allow": sorted(allow),
        "deny": sorted(deny),
    }
    digests = {name: about["sha256"] for name, about in made.inputs.items()}
    return Built(made.graph, stated, digests, told_by(made, config))


def umls_built(folder: Path) -> Built:
    """A user's UMLS release, with our own tables. Its licence forbids passing it on."""
    files = umls_files(folder)
    paths = [path for path in (files.conso, files.rel, files.sty, files.sat) if path is not None]
    inputs = {path.name: edge_fingerprint(path) for path in paths}
    return Built(umls_graph(files), {"builder": "umls"}, inputs, data_use=DataUse.CREDENTIALED)


def textbook_built() -> Built:
    """The synthetic hospital's own textbook."""
    return Built(textbook_graph(), {"builder": "textbook"}, data_use=DataUse.SYNTHETIC)


def own_built(edges: Path, nodes: Path | None, *, source: str, licence: str) -> Built:
    """A user's edge list."""
    graph = edge_list_graph(edges, nodes, source=source, licence=licence)
    paths = [path for path in (edges, nodes) if path is not None]
    inputs = {path.name: edge_fingerprint(path) for path in paths}
    stated = {"builder": "edges", "source": source, "licence": licence}
    return Built(graph, stated, inputs)
