"""A knowledge graph as arrays that paths are looked for in: each edge twice, once for each way.

Steps are numbered 2 * relation for head to tail, 2 * relation + 1 for tail to head, so `step ^ 1`
is the way back. Nodes are numbered in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ehrlich.base.errors import DataError
from ehrlich.evidence.knowledge.graph import KnowledgeGraph
from ehrlich.evidence.relations import Relations, Rule

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Network:
    """Half edges sorted by (source, target, step); see `network_of`.

    - numbers: frame [node, number] of nodes that a concept may be linked to.
    - first: where each node's half edges begin, one more than there are nodes.
    - pair: source * nodes + target of each half edge; back: the number of its other half.
    - origin: row in `origins` that says where the edge is from and under which licence.
    - inner: whether a node may stand between two others; degree: its distinct neighbours.
    - place: what a node is to the rules; allowed[place, step in, step out]. steps of one
      `step_class` are the same to all rules, so allowed_class[place, class in, class out].
    """

    numbers: pl.DataFrame
    names: pl.Series
    name_order: Array
    first: Array
    source: Array
    target: Array
    step: Array
    pair: Array
    back: Array
    origin: Array
    origins: pl.Series
    inner: Array
    degree: Array
    place: Array
    allowed: Array
    step_class: Array
    allowed_class: Array
    left_out: Mapping[str, int]

    @property
    def nodes(self) -> int:
        """How many nodes."""
        return len(self.degree)


def network_of(graph: KnowledgeGraph, relations: Relations, *, max_degree: int) -> Network:
    """Only edges that paths may use, between nodes that are not generic. Raises DataError if none.

    What is left out is counted: edges of a generic node, and of relations not meant for paths.
    """
    nodes = graph.nodes.sort("node").with_row_index("number")
    edges, left_out = _usable(graph, relations, nodes)
    count, steps = nodes.height, edges["step"].to_numpy()
    head, tail = edges["head"].to_numpy(), edges["tail"].to_numpy()
    source, target = np.concatenate([head, tail]), np.concatenate([tail, head])
    step = np.concatenate([steps, steps + 1]).astype(np.int16)
    origins, origin = _origins(edges)
    pair = source.astype(np.int64) * count + target
    order = np.lexsort((step, pair))
    source, target, step, pair = source[order], target[order], step[order], pair[order]
    # Sorted by where the other half stands, the halves are in the order of their other halves.
    turned = np.lexsort((step ^ 1, target.astype(np.int64) * count + source))
    back = np.empty(len(order), np.int32)
    back[turned] = np.arange(len(order), dtype=np.int32)
    degree = np.bincount(source[np.diff(pair, prepend=-1) != 0], minlength=count)
    kinds = nodes["kind"].fill_null("")
    inner = ~kinds.is_in(list(relations.not_inner_kinds)).to_numpy()
    place, allowed = _rules(relations, kinds, degree)
    step_class, allowed_class = _classes(allowed)
    return Network(
        numbers=nodes.filter(~pl.col("generic").fill_null(value=False)).select("node", "number"),
        names=nodes["name"],
        name_order=nodes["name"].fill_null("").rank("dense").to_numpy(),
        first=np.concatenate([[0], np.cumsum(np.bincount(source, minlength=count))]),
        source=source,
        target=target,
        step=step,
        pair=pair,
        back=back,
        origin=np.concatenate([origin, origin])[order],
        origins=origins,
        inner=inner & (degree <= max_degree),
        degree=degree,
        place=place,
        allowed=allowed,
        step_class=step_class,
        allowed_class=allowed_class,
        left_out=left_out,
    )


def _usable(
    graph: KnowledgeGraph, relations: Relations, nodes: pl.DataFrame
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Edges by numbers: head, tail, step (forward), source, licence; and counts of the rest."""
    names = list(relations.relations)
    wanted = [name for name, relation in relations.relations.items() if relation.in_paths]
    steps = pl.DataFrame(
        {"relation": wanted, "step": [2 * names.index(name) for name in wanted]},
        schema={"relation": pl.String, "step": pl.Int16},
    )
    known = graph.edges.join(steps, on="relation")
    special = nodes.filter(~pl.col("generic").fill_null(value=False))
    numbers = special.select("node", pl.col("number").cast(pl.Int32))
    edges = known.join(numbers, left_on="head", right_on="node").join(
        numbers, left_on="tail", right_on="node", suffix="_tail"
    )
    left_out = {
        "edge: relation not for paths": graph.edges.height - known.height,
        "edge: generic node": known.height - edges.height,
    }
    if edges.is_empty():
        raise DataError(
            "no edge of this graph may be part of a path",
            got="; ".join(f"{why}: {n}" for why, n in left_out.items()),
            expected=f"relations such as {', '.join(wanted[:5])}",
        )
    columns = {"head": "number", "tail": "number_tail"}
    return edges.select(
        "step", "source", "licence", **{k: pl.col(v) for k, v in columns.items()}
    ), {why: n for why, n in left_out.items() if n}


def _origins(edges: pl.DataFrame) -> tuple[pl.Series, Array]:
    """Distinct (source, licence) as text, and the row of each edge's."""
    texts = edges.select(
        text=pl.format("{} ({})", pl.col("source").fill_null("?"), pl.col("licence").fill_null("?"))
    )
    distinct = texts.unique().sort("text").with_row_index("row")
    rows = texts.join(distinct, on="text", how="left", maintain_order="left")["row"]
    return distinct["text"], rows.cast(pl.Int32).to_numpy()


def _rules(relations: Relations, kinds: pl.Series, degree: Array) -> tuple[Array, Array]:
    """What each node is to the rules, and allowed[place, step in, step out]."""
    holds = np.zeros((len(degree), len(relations.forbidden)), bool)
    for number, rule in enumerate(relations.forbidden):
        at = kinds.is_in(list(rule.through)).to_numpy() if rule.through else True
        holds[:, number] = at & (degree > rule.broader_than)
    bits = holds @ (1 << np.arange(holds.shape[1], dtype=np.int64))
    _, one_of_each, place = np.unique(bits, return_index=True, return_inverse=True)
    forbidden = [_forbidden(rule, list(relations.relations)) for rule in relations.forbidden]
    steps = 2 * len(relations.relations)
    allowed = np.ones((len(one_of_each), steps, steps), bool)
    for row, node in enumerate(one_of_each):
        for held in np.flatnonzero(holds[node]):
            allowed[row] &= ~forbidden[held]
    return place.astype(np.int16), allowed


def _forbidden(rule: Rule, names: list[str]) -> Array:
    """forbidden[step in, step out], the same from either end of the path."""

    def numbers(relations: tuple[str, ...], walked: str) -> list[int]:
        return [2 * names.index(name) + (walked == "back") for name in relations]

    found = np.zeros((2 * len(names), 2 * len(names)), bool)
    first = numbers(rule.first.relations, rule.first.walked)
    then = numbers(rule.then.relations, rule.then.walked)
    found[np.ix_(first, then)] = True
    turned = np.arange(len(found)) ^ 1
    return np.asarray(found | found[np.ix_(turned, turned)].T)


def _classes(allowed: Array) -> tuple[Array, Array]:
    """The class of each step, and allowed[place, class in, class out]."""
    steps = allowed.shape[1]
    seen = np.concatenate(
        [
            allowed.transpose(1, 0, 2).reshape(steps, -1),
            allowed.transpose(2, 0, 1).reshape(steps, -1),
        ],
        axis=1,
    )
    _, one_of_each, step_class = np.unique(seen, axis=0, return_index=True, return_inverse=True)
    step_class = step_class.reshape(-1)
    return step_class, allowed[:, one_of_each][:, :, one_of_each]
