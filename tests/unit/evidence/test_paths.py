"""Paths on graphs small enough to see what must come out."""

from __future__ import annotations

import polars as pl
import pytest

from ehrlich.base.contracts import knowledge_schema
from ehrlich.base.errors import ConfigError, DataError
from ehrlich.evidence import paths as module
from ehrlich.evidence import reach
from ehrlich.evidence.knowledge.graph import KnowledgeGraph
from ehrlich.evidence.paths import PATHS_SCHEMA, PathFinder
from ehrlich.evidence.relations import load_relations

RELATIONS = load_relations()
EDGES = [
    ("furosemide", "treats", "heart failure"),
    ("furosemide", "treats", "hypertension"),
    ("lisinopril", "prevents", "heart failure"),
    ("lisinopril", "treats", "hypertension"),
    ("heart failure", "isa", "heart disease"),
    ("cardiomyopathy", "isa", "heart disease"),
    ("bnp high", "finding_of", "heart failure"),
    ("heart failure", "has_location", "heart"),
    ("heart failure", "due_to", "ischaemia"),
    ("infarction", "causes", "ischaemia"),
    ("bnp test", "measures", "bnp high"),
]  # fmt: skip
KINDS = {"furosemide": "drug", "lisinopril": "drug", "bnp high": "finding", "heart": "anatomy"}


def graph(
    edges: list[tuple[str, str, str]],
    *,
    generic: tuple[str, ...] = (),
    kinds: dict[str, str] = KINDS,
) -> KnowledgeGraph:
    schema = knowledge_schema()
    nodes = sorted({end for head, _, tail in edges for end in (head, tail)})
    node = pl.DataFrame(
        [(one, one, kinds.get(one, "disease"), "s", "CC0", one in generic) for one in nodes],
        schema=schema["nodes"], orient="row",
    )  # fmt: skip
    edge = pl.DataFrame(
        [(*one, f"source of {one[1]}", "CC0") for one in edges],
        schema=schema["edges"],
        orient="row",
    )
    empty = {part: pl.DataFrame(schema=schema[part]) for part in ("names", "xrefs")}
    return KnowledgeGraph(node, empty["names"], edge, empty["xrefs"], {})


def links(*more: tuple[str, str, str]) -> pl.DataFrame:
    """Each node is a concept of the same name, with `more` links."""
    nodes = sorted({end for head, _, tail in EDGES for end in (head, tail)})
    rows = [*((node, node, "exact") for node in nodes), *more]
    return pl.DataFrame(rows, schema=["concept", "node", "via"], orient="row")


def pair(*pairs: tuple[str, str]) -> pl.DataFrame:
    schema = {"target": pl.String(), "history": pl.String()}
    return pl.DataFrame(list(pairs), schema=schema, orient="row")


def found(target: str, history: str, max_hops: int = 2, **options: int) -> list[list[str]]:
    finder = PathFinder.of(graph(EDGES), RELATIONS, max_hops=max_hops, **options)
    return finder.paths(pair((target, history)), links())["path"].to_list()


def test_each_edge_is_worded_as_it_is_walked() -> None:
    assert found("heart failure", "furosemide") == [
        ["heart failure", "is treated by", "furosemide"]
    ]
    assert found("furosemide", "heart failure") == [["furosemide", "treats", "heart failure"]]
    assert found("furosemide", "bnp high") == [
        ["furosemide", "treats", "heart failure", "shows as", "bnp high"]
    ]


def test_a_path_says_where_each_hop_is_from() -> None:
    paths = PathFinder.of(graph(EDGES), RELATIONS).paths(pair(("furosemide", "bnp high")), links())
    assert paths.schema == pl.Schema(PATHS_SCHEMA)
    assert paths.row(0)[-2:] == (2, ["source of treats (CC0)", "source of finding_of (CC0)"])


def test_the_strongest_relations_come_first_then_fewer_neighbours_then_names() -> None:
    paths = found("lisinopril", "furosemide")
    assert [path[2] for path in paths] == ["hypertension", "heart failure"]
    edges = [("a", "treats", name) for name in ("x", "y", "z")]
    edges += [("b", "treats", name) for name in ("x", "y", "z")]
    finder = PathFinder.of(graph([*edges, ("y", "isa", "w")]), RELATIONS)
    linked = pl.DataFrame({"concept": ["a", "b"], "node": ["a", "b"], "via": "exact"})
    ranked = finder.paths(pair(("a", "b")), linked, per_pair=2)
    assert ranked["rank"].to_list() == [1, 2]
    assert [path[2] for path in ranked["path"]] == ["x", "z"]


def test_two_diseases_of_one_drug_are_not_related() -> None:
    assert found("hypertension", "heart failure") == []
    assert found("hypertension", "heart failure", max_hops=3) == []


def test_siblings_are_related_only_under_a_narrow_parent() -> None:
    assert found("cardiomyopathy", "heart failure") != []
    many = [(f"disease {number}", "isa", "heart disease") for number in range(5)]
    finder = PathFinder.of(graph(EDGES + many), RELATIONS)
    assert finder.paths(pair(("cardiomyopathy", "heart failure")), links()).is_empty()


def test_a_relation_may_be_no_hop_and_a_node_no_inner_node() -> None:
    assert found("heart", "heart failure") == []
    assert found("furosemide", "bnp high", max_degree=1) == []
    assert found("furosemide", "heart failure", max_degree=1) != []
    # An organ between two diseases is ruled out by its kind, whatever the relation.
    edges = [("a", "causes", "heart"), ("heart", "causes", "b")]
    linked = pl.DataFrame({"concept": ["a", "b"], "node": ["a", "b"], "via": "exact"})
    assert PathFinder.of(graph(edges), RELATIONS).paths(pair(("a", "b")), linked).is_empty()
    other = PathFinder.of(graph(edges, kinds={}), RELATIONS)
    assert other.paths(pair(("a", "b")), linked).height == 1


def test_a_generic_node_is_neither_an_end_nor_between() -> None:
    finder = PathFinder.of(graph(EDGES, generic=("heart failure",)), RELATIONS)
    asked = pair(("furosemide", "heart failure"), ("furosemide", "bnp high"))
    assert finder.distances(asked, links())["hops"].to_list() == [None, None]
    assert finder.network.left_out["edge: generic node"] == 5


def test_three_hops_only_on_request() -> None:
    assert found("infarction", "bnp high") == []
    assert [path[1::2] for path in found("infarction", "bnp high", max_hops=3)] == [
        ["causes", "can lead to", "shows as"]
    ]


def test_anchors_are_no_hops() -> None:
    linked = links(("code", "heart failure", "exact"), ("code", "heart disease", "parent"))
    finder = PathFinder.of(graph(EDGES), RELATIONS)
    asked = pair(
        ("code", "heart failure"), ("code", "cardiomyopathy"), ("code", "heart disease"),
        ("code", "nowhere"),
    )  # fmt: skip
    assert finder.distances(asked, linked)["hops"].to_list() == [0, 1, 0, None]
    told = dict(finder.paths(asked, linked).select("history", "path").iter_rows())
    assert told["heart failure"] == ["code", "is the same as", "heart failure"]
    assert told["heart disease"] == ["code", "is close to", "heart disease"]
    assert told["cardiomyopathy"] == ["code", "includes", "cardiomyopathy"]
    assert "nowhere" not in told


def test_distances_keep_order_and_repeats() -> None:
    asked = pair(("furosemide", "bnp high"), ("bnp high", "heart"), ("furosemide", "bnp high"))
    distances = PathFinder.of(graph(EDGES), RELATIONS).distances(asked, links())
    assert distances.drop("hops").equals(asked)
    assert distances["hops"].to_list() == [2, None, 2]
    assert distances.schema["hops"] == pl.UInt8


def test_nothing_asked_is_nothing_found() -> None:
    finder = PathFinder.of(graph(EDGES), RELATIONS)
    assert finder.paths(pair(), links()).schema == pl.Schema(PATHS_SCHEMA)
    assert finder.distances(pair(), links()).is_empty()
    unlinked = finder.distances(pair(("a", "b")), links().clear())
    assert unlinked["hops"].to_list() == [None]


@pytest.mark.parametrize("max_hops", [1, 2, 3])
def test_work_in_blocks_gives_the_same(monkeypatch: pytest.MonkeyPatch, max_hops: int) -> None:
    nodes = links().select("concept")
    asked = nodes.rename({"concept": "target"}).join(
        nodes.rename({"concept": "history"}), how="cross"
    )
    finder = PathFinder.of(graph(EDGES), RELATIONS, max_hops=max_hops)
    whole = finder.paths(asked, links())
    monkeypatch.setattr(reach, "CELLS_AT_ONCE", 30)
    monkeypatch.setattr(module, "COST_AT_ONCE", 5)
    assert finder.paths(asked, links()).equals(whole)
    turned = asked.select(target="history", history="target")
    hops = [finder.distances(some, links())["hops"].to_list() for some in (asked, turned)]
    assert hops[0] == hops[1]


def test_what_cannot_be_asked_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="got max_hops 4; expected 0 to 3"):
        PathFinder.of(graph(EDGES), RELATIONS, max_hops=4)
    with pytest.raises(DataError, match=r"no edge of this graph.*relation not for paths: 1"):
        PathFinder.of(graph([("a", "mapped_to", "b")]), RELATIONS)
