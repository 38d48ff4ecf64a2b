"""The one format of knowledge: what cannot stand is dropped and counted; graphs join by sense."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import DataError
from ehrlich.base.store import Manifest
from ehrlich.evidence.knowledge.graph import (
    PARTS,
    UNSTATED,
    KnowledgeGraph,
    checked,
    graph_of,
    join_graphs,
    read_graph,
    write_graph,
)


def node(name: str, kind: str = "disease", *, generic: bool = False) -> tuple[object, ...]:
    return name, name.title(), kind, "test", "CC0-1.0", generic


def edge(head: str, relation: str, tail: str, licence: str = "CC0-1.0") -> tuple[object, ...]:
    return head, relation, tail, "test", licence


def small() -> KnowledgeGraph:
    return graph_of(
        {
            "nodes": [node("gout"), node("uric acid high", "finding"), node("allopurinol", "drug")],
            "names": [(name, name, "test") for name in ("gout", "uric acid high", "allopurinol")],
            "edges": [
                edge("uric acid high", "finding_of", "gout"),
                edge("allopurinol", "treats", "gout", "CC-BY-4.0"),
            ],
            "xrefs": [("gout", "ICD10CM", "M10.9"), ("allopurinol", "RXNORM", "519")],
        }
    )


def manifest(step: str = "knowledge") -> Manifest:
    return Manifest(step=step, data_use=DataUse.OPEN, config={})


def test_what_cannot_stand_is_dropped_and_counted() -> None:
    graph = graph_of(
        {
            "nodes": [
                node("a"),
                node("b"),
                node("a", "drug"),
                (None, "x", "drug", "s", "l", False),
            ],
            "names": [("a", "  A\t name ", "test"), ("a", "a name", "other"), ("z", "z", "test")],
            "edges": [
                edge("a", "treats", "b"),
                ("a", "treats", "b", "again", "CC0-1.0"),
                edge("a", "treats", "a"),
                edge("a", "treats", "unknown"),
                edge("a", " ", "b"),
            ],
            "xrefs": [("a", "MESH", "D1"), ("a", "MESH", "D1"), ("a", "MESH", None)],
        }
    )
    assert graph.nodes["kind"].to_list() == ["disease", "disease"]
    assert graph.names.rows() == [("a", "a name", "test")]
    assert graph.edges.rows() == [edge("a", "treats", "b")]
    assert graph.xrefs.rows() == [("a", "MESH", "D1")]
    assert graph.dropped == {
        "edge: from a node to itself": 1,
        "edge: no relation": 1,
        "edge: unknown node": 1,
        "node given twice": 1,
        "node without an id": 1,
    }


def test_what_nobody_stated_is_said_to_be_unstated() -> None:
    graph = graph_of({"nodes": [("a", None, None, None, " ", None), node("b")], "edges": [
        ("a", "treats", "b", None, None)
    ]})  # fmt: skip
    assert graph.nodes.row(0) == ("a", "a", "other", UNSTATED, UNSTATED, False)
    assert graph.edges.row(0) == ("a", "treats", "b", UNSTATED, UNSTATED)


def test_licences_choose_edges_and_an_unknown_one_is_an_error() -> None:
    kept = small().with_licences(["CC0-1.0"])
    assert kept.edges["relation"].to_list() == ["finding_of"]
    assert kept.nodes.height == 3
    with pytest.raises(DataError, match=r"under that licence; got CC0; expected CC-BY"):
        small().with_licences(["CC0"])


def test_a_graph_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_graph(small(), tmp_path, manifest=manifest())
    back = read_graph(tmp_path)
    for part in PARTS:
        assert_frame_equal(getattr(back, part), getattr(small(), part))
    with pytest.raises(DataError, match="without an edge"):
        write_graph(replace(small(), edges=small().edges.clear()), tmp_path, manifest=manifest())


def test_another_folder_is_no_graph(tmp_path: Path) -> None:
    write_graph(small(), tmp_path, manifest=manifest("cases"))
    with pytest.raises(DataError, match="is no knowledge graph; got cases"):
        read_graph(tmp_path)


def test_a_join_finds_the_same_thing_by_code_then_by_name() -> None:
    extra = graph_of(
        {
            "nodes": [
                node("x:zyloric", "drug"), node("x:podagra"), node("x:tophus", "finding"),
                node("x:gout", "drug"),
            ],
            "names": [("x:podagra", "gout", "x"), ("x:gout", "gout", "x")],
            "xrefs": [("x:zyloric", "RXNORM", "519")],
            "edges": [
                edge("x:zyloric", "prevents", "x:podagra"),
                edge("x:tophus", "finding_of", "x:podagra"),
                edge("x:gout", "treats", "x:podagra"),
            ],
        }
    )  # fmt: skip
    joined = join_graphs(small(), extra)
    assert edge("allopurinol", "prevents", "gout") in joined.edges.rows()
    assert edge("x:tophus", "finding_of", "gout") in joined.edges.rows()
    # A drug of that name is not the disease.
    assert edge("x:gout", "treats", "gout") in joined.edges.rows()
    assert joined.nodes.height == 5
    assert set(small().edges.rows()) <= set(joined.edges.rows())


def test_a_join_never_lands_on_a_generic_node_or_on_one_of_several_by_code() -> None:
    base = graph_of(
        {
            "nodes": [node("disease", generic=True), node("one"), node("two")],
            "names": [("disease", "disease", "t")],
            "xrefs": [("one", "ICD9CM", "274.9"), ("two", "ICD9CM", "274.9")],
            "edges": [edge("one", "isa", "disease")],
        }
    )
    extra = graph_of(
        {
            "nodes": [node("x"), node("y")],
            "names": [("x", "disease", "t"), ("y", "y", "t")],
            "xrefs": [("y", "ICD9CM", "274.9")],
            "edges": [edge("x", "causes", "y")],
        }
    )
    assert edge("x", "causes", "y") in join_graphs(base, extra).edges.rows()


def test_an_own_name_wins_over_an_alternative() -> None:
    base = graph_of(
        {
            "nodes": [node("a:failure"), node("acute failure")],
            "names": [
                ("a:failure", "acute failure", "t"), ("acute failure", "acute failure", "t"),
            ],
            "edges": [edge("a:failure", "causes", "acute failure")],
        }
    )  # fmt: skip
    extra = graph_of(
        {
            "nodes": [node("x", "disease"), node("drug", "drug")],
            "names": [("x", "acute failure", "t")],
            "edges": [edge("drug", "treats", "x")],
        }
    )
    joined = join_graphs(base, extra)
    assert joined.edges.filter(pl.col("relation") == "treats")["tail"].item() == "acute failure"


def test_checking_twice_changes_nothing() -> None:
    once = small()
    for part in PARTS:
        assert_frame_equal(getattr(checked(once), part), getattr(once, part))
