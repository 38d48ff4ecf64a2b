"""Shortest typed paths of medical knowledge between the concepts of a shard, all pairs at once.

A concept stands for the nodes that it is linked to. A path goes from a node of the target to one
of the history; going from a concept to its node is no hop. Between them only nodes that are not
generic, of no kind that relations.yaml rules out, and of few enough neighbours; no two steps in a
row that its rules forbid; no node twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from scipy import sparse

from ehrlich.base.errors import ConfigError
from ehrlich.evidence.knowledge.graph import KnowledgeGraph
from ehrlich.evidence.network import Array, Network, network_of
from ehrlich.evidence.reach import FAR, hops_between
from ehrlich.evidence.relations import Relations
from ehrlich.evidence.walks import cost_of, walks_between

PAIR = ["target", "history"]
# A longer path could visit a node twice unseen, and is noise: see docs/honesty.md.
MOST_HOPS = 3
COST_AT_ONCE = 4_000_000
PATHS_SCHEMA = {
    "target": pl.String(),
    "history": pl.String(),
    "rank": pl.UInt16(),
    "path": pl.List(pl.String()),
    "hops": pl.UInt8(),
    "sources": pl.List(pl.String()),
}


@dataclass(frozen=True, slots=True)
class PathFinder:
    """A network and how to read it. Make one with `of`; it can be asked any number of times."""

    network: Network
    relations: Relations
    max_hops: int
    words: pl.Series
    word_order: Array
    ranks: Array

    @classmethod
    def of(
        cls,
        graph: KnowledgeGraph,
        relations: Relations,
        *,
        max_hops: int = 2,
        max_degree: int | None = None,
    ) -> PathFinder:
        """A finder of paths of at most `max_hops` (0 to 3).

        `max_degree`: of inner nodes, instead of what `relations` says. Raises ConfigError for other
        hops, DataError for a graph without an edge that paths may use.
        """
        if not 0 <= max_hops <= MOST_HOPS:
            raise ConfigError(
                "paths of that length are not looked for",
                got=f"max_hops {max_hops}",
                expected=f"0 to {MOST_HOPS}",
            )
        degree = relations.max_inner_degree if max_degree is None else max_degree
        each = relations.relations.values()
        words = pl.Series([text for one in each for text in (one.says, one.says_back)])
        return cls(
            network_of(graph, relations, max_degree=degree),
            relations,
            max_hops,
            words,
            words.rank("dense").to_numpy(),
            np.repeat([one.rank for one in each], 2),
        )

    def distances(self, pairs: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
        """`pairs` [target, history], in their order, with hops (UInt8).

        hops: of the shortest allowed path; null where none has at most `max_hops`, or where a
        concept is linked to no node. `links`: [concept, node, via].
        """
        return self._distances(pairs.select(PAIR), self._anchors(links))

    def within(
        self, targets: pl.Series, histories: pl.Series, *, links: pl.DataFrame
    ) -> pl.DataFrame:
        """target, history, hops: of all pairs of the two, those at most `max_hops` apart."""
        anchors = self._anchors(links)
        sides = [side.unique().sort() for side in (targets, histories)]
        linked = [
            self._linked(side.to_frame("concept").with_row_index("row"), anchors) for side in sides
        ]
        found = []
        for first, block in hops_between(
            self.network, linked[0], histories=linked[1], max_hops=self.max_hops
        ):
            row, column = np.nonzero(block != FAR)
            near = {"target": sides[0].gather(row + first), "history": sides[1].gather(column)}
            found.append(pl.DataFrame(near).with_columns(hops=pl.Series(block[row, column])))
        empty = pl.DataFrame(schema={**dict.fromkeys(PAIR, pl.String), "hops": pl.UInt8})
        return pl.concat([empty, *found])

    def _distances(self, asked: pl.DataFrame, anchors: pl.DataFrame) -> pl.DataFrame:
        if asked.is_empty():
            return asked.with_columns(hops=pl.lit(None, pl.UInt8))
        numbered, linked = self._numbered(asked, anchors)
        target, history = (numbered[f"_{side}"].to_numpy() for side in PAIR)
        hops = np.full(len(target), FAR, np.uint8)
        by_target = np.argsort(target, kind="stable")
        ordered = target[by_target]
        for first, block in hops_between(
            self.network, linked[0], histories=linked[1], max_hops=self.max_hops
        ):
            low, high = np.searchsorted(ordered, [first, first + len(block)])
            some = by_target[low:high]
            hops[some] = block[target[some] - first, history[some]]
        return asked.with_columns(hops=hops).with_columns(
            hops=pl.when(pl.col("hops") != FAR).then("hops")
        )

    def paths(self, pairs: pl.DataFrame, links: pl.DataFrame, *, per_pair: int = 3) -> pl.DataFrame:
        """The `per_pair` best of each pair's shortest paths: columns and dtypes of PATHS_SCHEMA.

        path: target, wording, node name, wording, ..., history; each wording says which way the
        edge was walked. sources: origin and licence of each hop. Best first: the least sum of
        relation ranks, then of degrees of inner nodes, then names. Two paths that read the same
        are one. Sorted by target, history, rank; a pair without a path has no row.
        """
        asked = pairs.select(PAIR).unique().sort(PAIR)
        anchors = self._anchors(links)
        apart = self._distances(asked, anchors).with_row_index("pair")
        found = [self._same(apart.filter(pl.col("hops") == 0), anchors)]
        for hops in range(1, self.max_hops + 1):
            some = apart.filter(pl.col("hops") == hops)
            found += self._walked(some, anchors, hops=hops, per_pair=per_pair)
        return pl.concat(found).sort(*PAIR, "rank")

    def _numbered(
        self, asked: pl.DataFrame, anchors: pl.DataFrame
    ) -> tuple[pl.DataFrame, list[sparse.csr_matrix]]:
        """Pairs by numbers, and for each side its concepts by their nodes."""
        linked = []
        for side in PAIR:
            concepts = asked.select(concept=side).unique().sort("concept").with_row_index("row")
            rows = concepts.select("concept", pl.col("row").alias(f"_{side}"))
            asked = asked.join(
                rows, left_on=side, right_on="concept", how="left", maintain_order="left"
            )
            linked.append(self._linked(concepts, anchors))
        return asked, linked

    def _linked(self, concepts: pl.DataFrame, anchors: pl.DataFrame) -> sparse.csr_matrix:
        """Concepts [concept, row] by their nodes."""
        nodes = concepts.join(anchors, on="concept")
        ends = (nodes["row"].to_numpy(), nodes["number"].to_numpy())
        shape = (concepts.height, self.network.nodes)
        return sparse.csr_matrix((np.ones(nodes.height, bool), ends), shape=shape)

    def _anchors(self, links: pl.DataFrame) -> pl.DataFrame:
        """Links as [concept, number, exact], to nodes that this network has."""
        known = links.select("concept", "node", "via").join(self.network.numbers, on="node")
        exact = pl.col("via").cast(pl.String).is_in(list(self.relations.same_via))
        return known.group_by("concept", "number").agg(exact=exact.any())

    def _same(self, pairs: pl.DataFrame, anchors: pl.DataFrame) -> pl.DataFrame:
        """The one path of concepts that are linked to the same node."""
        both = pairs.join(anchors, left_on="target", right_on="concept").join(
            anchors, left_on=["history", "number"], right_on=["concept", "number"]
        )
        best = both.group_by(PAIR).agg(same=(pl.col("exact") & pl.col("exact_right")).any())
        same = (pl.col("target") == pl.col("history")) | pl.col("same")
        words = pl.when(same).then(pl.lit(self.relations.same_as))
        return best.select(
            *PAIR,
            pl.lit(1, pl.UInt16).alias("rank"),
            pl.concat_list("target", words.otherwise(pl.lit(self.relations.close_to)), "history")
            .alias("path"),
            pl.lit(0, pl.UInt8).alias("hops"),
            pl.lit([], pl.List(pl.String)).alias("sources"),
        )  # fmt: skip

    def _walked(
        self, pairs: pl.DataFrame, anchors: pl.DataFrame, *, hops: int, per_pair: int
    ) -> Iterator[pl.DataFrame]:
        """Paths of pairs that are so many hops apart, chunk by chunk."""
        nodes = anchors.select("concept", "number")
        ends = (
            pairs.join(nodes, left_on="target", right_on="concept")
            .join(nodes, left_on="history", right_on="concept", suffix="_end")
            .sort("pair", "number", "number_end")
        )
        pair, start, end = (ends[name].to_numpy() for name in ("pair", "number", "number_end"))
        chunk = np.cumsum(cost_of(self.network, (start, end), hops=hops)) // COST_AT_ONCE
        # A pair stays in one chunk, so that its best are the best of all.
        chunk = chunk[np.searchsorted(pair, pair)]
        borders = [*np.flatnonzero(np.diff(chunk, prepend=-1)), len(pair)]
        for low, high in pairwise(borders):
            some = (start[low:high], end[low:high])
            asked, edges = walks_between(self.network, some, hops=hops)
            best = self._best(pair[low:high][asked], edges, per_pair)
            yield self._worded(best, pairs, hops)

    def _best(self, pair: Array, edges: Array, per_pair: int) -> pl.DataFrame:
        """[pair, rank, e0, e1, ...] of the best paths that read differently."""
        net, hops = self.network, edges.shape[1]
        steps, inner = net.step[edges], net.target[edges[:, :-1]]
        columns = {
            "pair": pair,
            "weight": self.ranks[steps].sum(axis=1),
            "degree": net.degree[inner].sum(axis=1),
            **{f"name{n}": net.name_order[inner[:, n]] for n in range(hops - 1)},
            **{f"word{n}": self.word_order[steps[:, n]] for n in range(hops)},
            **{f"e{n}": edges[:, n] for n in range(hops)},
        }
        read = ["pair", *(name for name in columns if name.startswith(("name", "word")))]
        ordered = pl.DataFrame(columns).sort(list(columns))
        ordered = ordered.unique(read, keep="first", maintain_order=True)
        rank = pl.int_range(1, pl.len() + 1, dtype=pl.UInt16).over("pair")
        kept = ordered.with_columns(rank=rank).filter(pl.col("rank") <= per_pair)
        return kept.select("pair", "rank", *(f"e{n}" for n in range(hops)))

    def _worded(self, best: pl.DataFrame, pairs: pl.DataFrame, hops: int) -> pl.DataFrame:
        """The paths as texts, in the columns of PATHS_SCHEMA."""
        net = self.network
        edges = [best[f"e{n}"].to_numpy() for n in range(hops)]
        words = [self.words.gather(net.step[edge]).alias(f"w{n}") for n, edge in enumerate(edges)]
        names = [
            net.names.gather(net.target[edge]).alias(f"n{n}") for n, edge in enumerate(edges[:-1])
        ]
        origins = [
            net.origins.gather(net.origin[edge]).alias(f"s{n}") for n, edge in enumerate(edges)
        ]
        told = best.join(pairs.select("pair", *PAIR), on="pair", how="left", maintain_order="left")
        told = told.with_columns(*words, *names, *origins)
        between = [text for n in range(hops - 1) for text in (f"w{n}", f"n{n}")]
        path = pl.concat_list("target", *between, f"w{hops - 1}", "history")
        return told.select(
            *PAIR,
            "rank",
            path.alias("path"),
            pl.lit(hops, pl.UInt8).alias("hops"),
            pl.concat_list([f"s{n}" for n in range(hops)]).alias("sources"),
        )
