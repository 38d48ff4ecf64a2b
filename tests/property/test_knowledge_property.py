"""Whatever a graph holds: checking settles it, joining keeps it, linking respects it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ehrlich.base.contracts import concepts_schema, knowledge_schema
from ehrlich.base.data_use import DataUse
from ehrlich.base.store import Manifest
from ehrlich.evidence.knowledge.graph import (
    PARTS,
    KnowledgeGraph,
    checked,
    graph_of,
    join_graphs,
    read_graph,
    write_graph,
)
from ehrlich.evidence.knowledge.linking import VIAS, link

ids = st.sampled_from(["a", "b", "c", "d", "ICD10CM:N17", "", None])
words = st.sampled_from(["gout", "Gout ", "heparin", "creatinine high", "creatinine", "e. coli"])
CODES = {
    "code": ("ICD10CM", "N17.9"),
    "its parent": ("ICD10CM", "N17"),
    "item": ("MIMIC", "50912"),
    "item, high": ("MIMIC", "50912//high"),
    "test": ("LOINC", "2160-0"),
    "package": ("NDC", "00000000001"),
    "procedure": ("ICD9PCS", "39.95"),
}
codes = st.sampled_from([*CODES])
kinds = st.sampled_from(["disease", "drug", "finding", "test", "organism", "procedure", "own"])
relations = st.sampled_from(["treats", "isa", "mapped_to", "finding_of", "", None])
origins = st.sampled_from(["one", "two", "", None])


def lists(*columns: st.SearchStrategy[object]) -> st.SearchStrategy[list[tuple[object, ...]]]:
    return st.lists(st.tuples(*columns), max_size=8)


def assembled(*rows: list[tuple[object, ...]]) -> KnowledgeGraph:
    return graph_of(dict(zip(("nodes", "names", "edges", "xrefs"), rows, strict=True)))


graphs = st.builds(
    assembled,
    lists(ids, words, kinds, origins, origins, st.booleans()),
    lists(ids, words, origins),
    lists(ids, relations, ids, origins, origins),
    lists(ids, codes).map(lambda rows: [(row[0], *CODES[str(row[1])]) for row in rows]),
)

concepts = st.sampled_from(
    [
        ("diagnosis//icd10//n179", "diagnosis", "gout", ["ICD10CM:N17.9"]),
        ("diagnosis//icd9//2749", "diagnosis", "gout", []),
        ("lab//creatinine//high", "lab", "creatinine high", ["MIMIC:50912"]),
        ("lab//creatinine", "lab", "creatinine", ["MIMIC:50912"]),
        ("drug//heparin sodium", "drug", "heparin sodium", ["NDC:00000000001"]),
        ("organism//escherichia coli", "organism", "escherichia coli", []),
        ("procedure//icd9//3995", "procedure", "hemodialysis", []),
        ("finding//gout", "finding", "gout", ["NODE:a"]),
        ("unit//medicine", "unit", "medicine", []),
    ]
)
vocabularies = st.lists(concepts, unique_by=lambda row: row[0], max_size=9).map(
    lambda rows: pl.DataFrame(
        [(*row, 1, 1) for row in rows], schema=concepts_schema(), orient="row"
    )
)


def same(one: KnowledgeGraph, other: KnowledgeGraph) -> None:
    for part in PARTS:
        assert_frame_equal(getattr(one, part), getattr(other, part))


@given(graphs)
def test_a_checked_graph_stays_as_it_is(graph: KnowledgeGraph) -> None:
    again = checked(graph)
    same(again, graph)
    assert again.dropped == graph.dropped
    schema = knowledge_schema()
    assert all(dict(getattr(graph, part).schema) == schema[part] for part in PARTS)


@settings(max_examples=40)
@given(graphs, graphs)
def test_a_join_loses_nothing_of_its_base(base: KnowledgeGraph, extra: KnowledgeGraph) -> None:
    joined = join_graphs(base, extra)
    for part in PARTS:
        assert set(getattr(base, part).iter_rows()) <= set(getattr(joined, part).iter_rows())
    same(checked(joined), joined)


@settings(max_examples=30)
@given(graphs)
def test_a_graph_joined_with_itself_is_itself(graph: KnowledgeGraph) -> None:
    same(join_graphs(graph, graph), graph)


@settings(max_examples=30)
@given(vocabularies, graphs)
def test_a_link_ties_a_known_concept_to_a_node_that_means_something(
    vocabulary: pl.DataFrame, graph: KnowledgeGraph
) -> None:
    links = link(vocabulary, graph)
    telling = graph.nodes.filter(~pl.col("generic"))
    assert set(links["node"]) <= set(telling["node"])
    assert set(links["concept"]) <= set(vocabulary["concept"])
    assert set(links["via"]) <= set(VIAS)
    assert not links.select("concept", "node").is_duplicated().any()
    assert_frame_equal(links, link(vocabulary.reverse(), graph))


@settings(max_examples=25)
@given(graphs.filter(lambda graph: graph.edges.height > 0))
def test_a_graph_comes_back_from_disk(graph: KnowledgeGraph) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        manifest = Manifest(step="knowledge", data_use=DataUse.OPEN, config={})
        write_graph(graph, out, manifest=manifest)
        back = read_graph(out)
    same(back, graph)
    assert dict(back.dropped) == dict(graph.dropped)
