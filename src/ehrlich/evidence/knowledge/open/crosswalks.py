"""From codes to knowledge: edges between a code's title and the disease it speaks of.

A code never becomes one node with a disease because a vocabulary lists it beside the disease.
"""

from __future__ import annotations

import polars as pl

from ehrlich.evidence.knowledge.open.harvest import plain
from ehrlich.evidence.knowledge.open.words import (
    is_rest_of,
    is_subtype_of_a_gene,
    likeness,
    mentioned,
    share_a_word,
)

SOURCE = "titles"
MOST_TARGETS = 3
UNSPECIFIED = (
    r"(?i),? (?:unspecified(?: site| organism| cause)?|not otherwise specified|nos|"
    r"initial encounter|without complications?)$|^unspecified "
)


def mapped(loose: pl.DataFrame, nodes: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Edges from loose pairs (disease, code) whose titles agree; nodes: node, name, kind.

    Of several diseases that name one code, those whose title is most like it.
    """
    title = nodes.filter(pl.col("kind") == "diagnosis").select(code="node", title="name")
    name = nodes.filter(pl.col("kind").is_in(["disease", "finding"])).select(
        disease="node", name="name"
    )
    pairs = loose.unique().join(title, on="code").join(name, on="disease")
    sound = pairs.filter(share_a_word("title", "name"))
    no_gene = sound.filter(~is_subtype_of_a_gene(pl.col("name"), pl.col("title")))
    whole = no_gene.filter(~is_rest_of("title", "name"))
    alike = whole.with_columns(like=likeness("title", "name"))
    best = alike.filter(pl.col("like") == pl.col("like").max().over("code"))
    few = best.filter(pl.len().over("code") <= MOST_TARGETS)
    return _edges(few.select(head="code", tail="disease"), "mapped_to"), {
        "code and disease share no word": pairs.height - sound.height,
        "subtype of a gene": sound.height - no_gene.height,
        "code means all others of its kind": no_gene.height - whole.height,
        "another disease is more like the code": whole.height - few.height,
    }


def unspecified(nodes: pl.DataFrame, words: pl.DataFrame) -> pl.DataFrame:
    """Edges of codes whose title without `unspecified` is a disease's name (words: node, word)."""
    titles = nodes.filter(pl.col("kind") == "diagnosis").select(
        head="node", word=plain(pl.col("name").str.replace_all(UNSPECIFIED, ""))
    )
    one = words.unique("word", keep="none").select(tail="node", word="word")
    return _edges(titles.join(one, on="word").select("head", "tail"), "mapped_to")


def title_mentions(nodes: pl.DataFrame, words: pl.DataFrame) -> pl.DataFrame:
    """Edges of codes and groups to the diseases and findings that their titles name."""
    titles = nodes.filter(pl.col("kind").is_in(["diagnosis", "group"])).select("node", title="name")
    return _edges(mentioned(titles, words), "title_mentions")


def _edges(pairs: pl.DataFrame, relation: str) -> pl.DataFrame:
    return pairs.select("head", relation=pl.lit(relation), tail="tail", source=pl.lit(SOURCE))
