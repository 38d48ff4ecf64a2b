"""Names that a source gives in place of an id: looked up once all vocabularies are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from ehrlich.evidence.knowledge.open.clusters import families
from ehrlich.evidence.knowledge.open.harvest import MENTION, Harvest, plain

# What a mention prefers, the lower the better: preferred names before synonyms, and last the
# names that annotations of rare diseases give; then kinds; then the main vocabularies.
SYNONYM, RARE = 100, 200
RARE_SOURCE = "hpo_annotations"
MAIN = r"^(?:MONDO|DRUGBANK):"


@dataclass(frozen=True)
class Resolved:
    """Edges and xrefs whose ends are ids or nodes; what could not be found, by source."""

    edges: pl.DataFrame
    xrefs: pl.DataFrame
    dropped: Mapping[str, int]


def spellings(said: Harvest, *, nodes: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """node, name, source of names given for a mention, not for an id.

    A spelling that is already another's name would only confuse the two: it is left out.
    """
    given = said.names.filter(pl.col("id").str.starts_with(MENTION))
    found = _found(given.select(mention="id").unique(), nodes, names)
    called = _filled(given, found, "id").drop_nulls()
    taken = names.select(word=plain(pl.col("name"))).unique()
    fresh = called.with_columns(word=plain(pl.col("name"))).join(taken, on="word", how="anti")
    return fresh.select("name", "source", node="id").select("node", "name", "source")


def look_up(said: Harvest, *, nodes: pl.DataFrame, names: pl.DataFrame) -> Resolved:
    """Every mention becomes the one node of that name; a name of several nodes is no name."""
    columns = [said.edges["head"], said.edges["tail"], said.xrefs["id"]]
    mentions = pl.concat([column.alias("mention") for column in columns]).unique()
    found = _found(mentions.filter(mentions.str.starts_with(MENTION)).to_frame(), nodes, names)
    edges = _filled(_filled(said.edges, found, "head"), found, "tail")
    lost = edges.filter(pl.col("head").is_null() | pl.col("tail").is_null())
    counted = lost.group_by("source").len().iter_rows()
    xrefs = _filled(said.xrefs, found, "id")
    return Resolved(
        edges=edges.drop_nulls(),
        xrefs=xrefs.drop_nulls(),
        dropped={f"{source}: name stands for no one node": n for source, n in counted},
    )


def _found(mentions: pl.DataFrame, nodes: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """mention, node. Preferred names go before synonyms, and kinds in the order of the family."""
    parts = mentions.with_columns(
        family=pl.col("mention").str.extract(f"^{MENTION}([^{MENTION}]+){MENTION}"),
        word=pl.col("mention").str.extract(f"^{MENTION}[^{MENTION}]+{MENTION}(.*)$"),
    )
    called = pl.concat(
        [
            nodes.select("node", word=plain(pl.col("name")), by=pl.lit(0)),
            names.select(
                "node",
                word=plain(pl.col("name")),
                by=pl.when(pl.col("source") == RARE_SOURCE).then(RARE).otherwise(SYNONYM),
            ),
        ]
    ).join(nodes.filter(~pl.col("generic")).select("node", "kind"), on="node")
    order = pl.DataFrame(
        [
            (family, kind, rank)
            for family, kinds in families().items()
            for rank, kind in enumerate(kinds)
        ],
        schema={"family": pl.String, "kind": pl.String, "rank": pl.Int32},
        orient="row",
    )
    candidates = (
        parts.join(called, on="word")
        .join(order, on=["family", "kind"])
        .with_columns(
            rank=2 * pl.col("rank")
            + pl.col("by")
            + (~pl.col("node").str.contains(MAIN)).cast(pl.Int32)
        )
    )
    best = candidates.filter(pl.col("rank") == pl.col("rank").min().over("mention"))
    return best.select("mention", "node").unique().unique("mention", keep="none")


def _filled(frame: pl.DataFrame, found: pl.DataFrame, column: str) -> pl.DataFrame:
    """Mentions in a column become nodes; null where there is none."""
    joined = frame.join(found.rename({"mention": column, "node": "found"}), on=column, how="left")
    is_mention = pl.col(column).str.starts_with(MENTION)
    filled = pl.when(is_mention).then("found").otherwise(column)
    return joined.with_columns(filled.alias(column)).drop("found")
