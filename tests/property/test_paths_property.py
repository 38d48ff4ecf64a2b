"""Paths of sparse matrices are those that a plain search finds, in the same order."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import networkx as nx
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from ehrlich.base.contracts import knowledge_schema
from ehrlich.evidence.knowledge.graph import KnowledgeGraph
from ehrlich.evidence.paths import PathFinder
from ehrlich.evidence.relations import Relation, Relations, Rule, Steps, load_relations

KINDS = ("disease", "disease", "finding", "drug", "drug", "anatomy")
# Most are of a rule, so that allowed and forbidden paths of the same length meet.
NAMES = ("isa", "isa", "treats", "palliates", "has_phenotype", "has_symptom", "caused_by",
         "caused_by", "mapped_to", "unheard of")  # fmt: skip
NODES = [f"n{number}" for number in range(8)]
LINK = st.tuples(st.sampled_from(["several", "others"]), st.sampled_from(NODES))
OURS = load_relations()
THROUGH = Rule(
    why="a rule of one kind of node",
    first=Steps(relations=("caused_by",), walked="forward"),
    then=Steps(relations=("isa", "treats"), walked="back"),
    through=("disease",),
)
# In graphs as small as these a node of three neighbours is broad.
SMALL = [
    rule.model_copy(update={"broader_than": 3}) if rule.broader_than else rule
    for rule in OURS.forbidden
]
RULES = OURS.model_copy(update={"forbidden": (*SMALL, THROUGH)})


def drawn_graph(seed: int) -> tuple[pl.DataFrame, list[tuple[str, str, str]]]:
    """Nodes and edges at random: evenly, where hypothesis itself would draw mostly sparse ones."""
    draw = random.Random(seed)
    rows = [
        # Names are drawn from few, so that different nodes may read the same.
        (node, draw.choice("abcd"), draw.choice(KINDS), "s", "CC0", draw.random() < 0.05)
        for node in NODES
    ]
    edges = {(*draw.sample(NODES, 2), draw.choice(NAMES)) for _ in range(draw.randint(8, 30))}
    nodes = pl.DataFrame(rows, schema=knowledge_schema()["nodes"], orient="row")
    return nodes, [(head, relation, tail) for head, tail, relation in sorted(edges)]


def graph_of(nodes: pl.DataFrame, edges: list[tuple[str, str, str]]) -> KnowledgeGraph:
    schema = knowledge_schema()
    frame = pl.DataFrame(
        [(head, relation, tail, f"{head}{relation}", "CC0") for head, relation, tail in edges],
        schema=schema["edges"], orient="row",
    )  # fmt: skip
    names, xrefs = pl.DataFrame(schema=schema["names"]), pl.DataFrame(schema=schema["xrefs"])
    return KnowledgeGraph(nodes, names, frame, xrefs, {})


def network(
    nodes: pl.DataFrame, edges: list[tuple[str, str, str]], relations: Relations
) -> nx.MultiDiGraph:
    """Both ways of every edge that may be used; key: (relation, walked back)."""
    generic = set(nodes.filter("generic")["node"])
    net = nx.MultiDiGraph()
    net.add_nodes_from(set(nodes["node"]) - generic)
    for head, name, tail in edges:
        relation = relations.relations.get(name)
        if relation is None or not relation.in_paths or {head, tail} & generic:
            continue
        net.add_edge(head, tail, key=(name, False))
        net.add_edge(tail, head, key=(name, True))
    return net


def breaks(rule: Rule, before: tuple[str, bool], after: tuple[str, bool]) -> bool:
    def is_of(step: tuple[str, bool], steps: Steps, *, turned: bool) -> bool:
        return step[0] in steps.relations and (step[1] != turned) == (steps.walked == "back")

    return (is_of(before, rule.first, turned=False) and is_of(after, rule.then, turned=False)) or (
        is_of(after, rule.first, turned=True) and is_of(before, rule.then, turned=True)
    )


def plain_search(
    nodes: pl.DataFrame,
    edges: list[tuple[str, str, str]],
    ends: tuple[set[str], set[str]],
    limits: tuple[int, int],
) -> list[tuple[list[str], int]]:
    """(texts between the concepts, hops) of all shortest allowed paths, best first."""
    net = network(nodes, edges, RULES)
    kind = dict(zip(nodes["node"], nodes["kind"], strict=True))
    name = dict(zip(nodes["node"], nodes["name"], strict=True))
    max_hops, max_degree = limits
    degree = {node: len(set(net.successors(node))) for node in net}
    starts, goals = ends[0] & set(net), ends[1] & set(net)

    def may_stand(path: list[tuple[str, str, tuple[str, bool]]]) -> bool:
        for (_, node, before), (_, _, after) in pairwise(path):
            if kind[node] in RULES.not_inner_kinds or degree[node] > max_degree:
                return False
            for rule in RULES.forbidden:
                there = not rule.through or kind[node] in rule.through
                if there and degree[node] > rule.broader_than and breaks(rule, before, after):
                    return False
        return True

    def all_paths() -> Iterator[list[tuple[str, str, tuple[str, bool]]]]:
        for start in starts:
            for goal in goals - {start}:
                yield from nx.all_simple_edge_paths(net, start, goal, cutoff=max_hops)

    if starts & goals or not (found := [path for path in all_paths() if may_stand(path)]):
        return []
    least = min(map(len, found))
    order: dict[tuple[str, ...], Any] = {}
    for path in found:
        if len(path) != least:
            continue
        steps = [key for _, _, key in path]
        inner = [node for _, node, _ in path[:-1]]
        words = [say(RULES.relations[relation], back) for relation, back in steps]
        key = (
            sum(RULES.relations[relation].rank for relation, _ in steps),
            sum(degree[node] for node in inner),
            [name[node] for node in inner],
            words,
        )
        texts = [words[0]]
        for node, word in zip(inner, words[1:], strict=True):
            texts += [name[node], word]
        order[tuple(texts)] = min(order.get(tuple(texts), key), key)
    return [(list(texts), least) for texts in sorted(order, key=order.__getitem__)]


def say(relation: Relation, back: bool) -> str:
    return relation.says_back if back else relation.says


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.lists(LINK, max_size=5, unique=True),
       st.integers(1, 3), st.integers(3, 7), st.sampled_from([1, 2, 9]))  # fmt: skip
def test_paths_are_those_of_a_plain_search(
    seed: int,
    several: list[tuple[str, str]],
    max_hops: int,
    max_degree: int,
    per_pair: int,
) -> None:
    nodes, edges = drawn_graph(seed)
    if not network(nodes, edges, RULES).number_of_edges():
        return
    finder = PathFinder.of(graph_of(nodes, edges), RULES, max_hops=max_hops, max_degree=max_degree)
    linked = [*((f"concept {node}", node) for node in NODES), *several]
    links = pl.DataFrame(linked, schema=["concept", "node"], orient="row").with_columns(
        via=pl.lit("exact")
    )
    concepts = pl.DataFrame({"target": ["others", *dict(linked)]}).unique(maintain_order=True)
    pairs = concepts.join(concepts.rename({"target": "history"}), how="cross")
    paths = finder.paths(pairs, links, per_pair=per_pair)
    hops = finder.distances(pairs, links)
    assert hops.select("target", "history").equals(pairs)
    got_of = paths.partition_by("target", "history", as_dict=True)
    special = set(nodes.filter(~pl.col("generic"))["node"])
    for target, history, distance in hops.iter_rows():
        ends = tuple(
            {node for concept, node in linked if concept == side} & special
            for side in (target, history)
        )
        got = got_of.get((target, history), paths.clear())
        if ends[0] & ends[1]:
            assert (distance, got["hops"].to_list()) == (0, [0])
            continue
        expected = plain_search(nodes, edges, (ends[0], ends[1]), (max_hops, max_degree))
        assert distance == (expected[0][1] if expected else None)
        assert got["path"].to_list() == [
            [target, *texts, history] for texts, _ in expected[:per_pair]
        ]
        assert got["rank"].to_list() == list(range(1, got.height + 1))
        assert set(got["hops"]) <= {distance}
        assert (got["sources"].list.len() == got["hops"]).all()


def test_the_plain_search_knows_all_the_rules() -> None:
    """A guard of the test: rules of each form are among those it checks."""
    assert any(rule.through for rule in RULES.forbidden)
    assert any(rule.broader_than for rule in RULES.forbidden)
    assert breaks(OURS.forbidden[0], ("treats", True), ("palliates", False))
    assert not breaks(OURS.forbidden[0], ("treats", False), ("palliates", False))
