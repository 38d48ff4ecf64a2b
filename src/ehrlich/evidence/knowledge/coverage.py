"""How much of a timeline the knowledge graph reaches: of concepts, and of measurements."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from ehrlich.evidence.knowledge.graph import KnowledgeGraph
from ehrlich.evidence.knowledge.linking import PLACING


def coverage(
    links: pl.DataFrame,
    vocabulary: pl.DataFrame,
    *,
    graph: KnowledgeGraph,
    usable: Collection[str] | None = None,
) -> pl.DataFrame:
    """One row a kind of concept (sorted), and last one of kind `all`.

    - concepts, measurements: how many; linked, linked_weighted: the share of them with a node;
      telling, telling_weighted: with a node that has at least one edge of a `usable` relation
      (default: every relation that says more than where a node stands).
    - Shares are null where there is nothing to share. Reaching a node is not being right.
    """
    relation = pl.col("relation")
    is_usable = ~relation.is_in(list(PLACING)) if usable is None else relation.is_in(list(usable))
    edges = graph.edges.filter(is_usable)
    tied = pl.concat([edges["head"], edges["tail"]]).unique()
    flagged = links.group_by("concept").agg(telling=pl.col("node").is_in(tied.implode()).any())
    held = vocabulary.join(flagged, on="concept", how="left").with_columns(
        linked=pl.col("telling").is_not_null(), telling=pl.col("telling").fill_null(value=False)
    )
    everything = held.with_columns(kind=pl.lit("all"))
    return pl.concat([_shares(held).sort("kind"), _shares(everything)])


def _shares(held: pl.DataFrame) -> pl.DataFrame:
    weight = pl.col("measurements")

    def share(flag: str) -> pl.Expr:
        reached = weight.filter(pl.col(flag)).sum()
        return pl.when(weight.sum() > 0).then(reached / weight.sum())

    return held.group_by("kind").agg(
        concepts=pl.len().cast(pl.Int64),
        linked=pl.col("linked").mean(),
        telling=pl.col("telling").mean(),
        measurements=weight.sum(),
        linked_weighted=share("linked"),
        telling_weighted=share("telling"),
    )
