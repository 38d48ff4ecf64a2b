"""Which ids mean one thing: a node is a cluster of at most one id of each vocabulary.

Ids join only where MONDO holds them for exactly the same, where both alone have a concept unique
identifier, or where their names are equal. What looks alike in any other way stays apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from ehrlich.evidence.knowledge.open.harvest import Harvest, plain
from ehrlich.evidence.knowledge.open.words import share_a_word

DISEASES = ("disease", "finding", "diagnosis")
CHEMICALS = ("drug", "chemical")
FEWEST_LETTERS = 5
# MeSH gives a thing first a supplementary id (C...), later a descriptor (D...): both are in use.
SUPPLEMENT = "MESH supplement"


@dataclass(frozen=True, slots=True)
class Stage:
    """Ids of one vocabulary join nodes of others, by their names; in this order."""

    moves: str
    onto: tuple[str, ...]
    kinds: tuple[str, ...]
    by_synonym: bool = False


STAGES = (
    Stage("DOID", ("MONDO",), DISEASES),
    Stage("HP", ("MONDO", "DOID"), DISEASES, by_synonym=True),
    Stage("OMIM", ("MONDO", "DOID"), DISEASES),
    Stage("ORPHA", ("MONDO", "DOID"), DISEASES),
    Stage("MESH", ("MONDO", "DOID", "HP"), DISEASES, by_synonym=True),
    Stage("ICD10CM", ("MONDO", "DOID", "HP", "MESH"), DISEASES),
    Stage("ICD9CM", ("MONDO", "DOID", "HP", "MESH", "ICD10CM"), DISEASES),
    Stage("MESH", ("DRUGBANK",), CHEMICALS, by_synonym=True),
    Stage(SUPPLEMENT, ("DRUGBANK", "MESH"), CHEMICALS, by_synonym=True),
    Stage("CHEBI", ("DRUGBANK", "MESH", SUPPLEMENT), CHEMICALS),
    Stage("CHEBI", ("CLASS",), ("drug_role", "drug_class")),
    Stage("NCBITAXON", ("MESH",), ("organism",), by_synonym=True),
    Stage("ORGANISM", ("MESH", "NCBITAXON"), ("organism",), by_synonym=True),
    Stage("UBERON", ("MESH",), ("anatomy",)),
    Stage("CL", ("MESH",), ("anatomy",)),
)


def clusters(said: Harvest) -> pl.DataFrame:
    """id, node: the node of each id. A node is called by the first id of its cluster."""
    supplement = pl.col("id").str.starts_with("MESH:C")
    prefix = pl.col("id").str.extract("^([^:]+):")
    system = pl.when(supplement).then(pl.lit(SUPPLEMENT)).otherwise(prefix)
    terms = said.terms.select("id", "name", "kind", system=system)
    members = terms.with_columns(node="id")
    words = _compared(said)
    members = join(members, _exact(said, members))
    for stage in STAGES:
        movers = members.filter(
            (pl.col("system") == stage.moves) & pl.col("kind").is_in(stage.kinds)
        )
        targets = members.filter(
            pl.col("system").is_in(stage.onto) & pl.col("kind").is_in(stage.kinds)
        )
        members = join(members, same_name(movers, targets))
        if stage.moves == "MESH" and "DRUGBANK" in stage.onto:
            members = join(members, _same_chemical(said))
        if stage.moves == "CHEBI":
            members = join(members, _reversed(said, "chemical"))
        if stage.moves == "HP":
            members = join(members, _same_cui(said, movers, targets))
        if stage.by_synonym:
            members = join(members, _by_synonym(movers, targets, words))
    return _substances(said, members, words).select("id", "node")


def join(members: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Let each `id` of `pairs` join the node of `other`, where it may.

    It may if it stands alone, is wanted by one node, is the only one of its vocabulary that this
    node wants, and the node has none of that vocabulary yet.
    """
    alone = members.filter(pl.len().over("node") == 1).select("id", "system")
    wanted = (
        pairs.select("id", "other")
        .join(alone, on="id")
        .join(members.select(other="id", target="node"), on="other")
        .filter(pl.col("id") != pl.col("target"))
        .select("id", "system", "target")
        .unique()
    )
    held = members.select(target="node", system="system").unique()
    one_to_one = (pl.len().over("id") == 1) & (pl.len().over("target", "system") == 1)
    free = wanted.filter(one_to_one).join(held, on=["target", "system"], how="anti")
    # A node that moves takes nobody with it: targets that move themselves are left for later.
    settled = free.join(free.select(target="id"), on="target", how="anti")
    return (
        members.join(settled.select("id", "target"), on="id", how="left", maintain_order="left")
        .with_columns(node=pl.coalesce("target", "node"))
        .drop("target")
    )


def same_name(movers: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
    """id, other: preferred names are equal, but for a plural and the order of `Failure, Heart`."""
    right = targets.select(other="id", word=singular(plain(pl.col("name"))))
    return _spoken(movers).join(right, on="word").select("id", "other").unique()


def _spoken(movers: pl.DataFrame) -> pl.DataFrame:
    """id, word: the preferred name, and the same as it is spoken where it is inverted."""
    turned = pl.col("name").str.replace(r"^([^,]+), ([^,]+)$", "${2} ${1}")
    return pl.concat(
        [
            movers.select("id", word=singular(plain(pl.col("name")))),
            movers.select("id", word=singular(plain(turned))),
        ]
    ).unique()


def singular(word: pl.Expr) -> pl.Expr:
    """A compared name without a last s."""
    return word.str.strip_suffix("s")


def _compared(said: Harvest) -> pl.DataFrame:
    """id, word: all names as they are compared."""
    return said.names.select("id", word=plain(pl.col("name"))).unique()


def _exact(said: Harvest, members: pl.DataFrame) -> pl.DataFrame:
    """id, other of MONDO's exact mappings; an ICD code only where the titles share a word."""
    pairs = said.same.filter(pl.col("why") == "exact").select(id="other", other="id")
    name = members.filter(pl.col("kind") != "group").select("id", "name")
    titled = pairs.join(name, on="id").join(
        name.rename({"id": "other", "name": "other_name"}), on="other"
    )
    return titled.filter(
        ~pl.col("id").str.starts_with("ICD") | share_a_word("name", "other_name")
    ).select("id", "other")


def _same_cui(said: Harvest, movers: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
    cui = said.same.filter(pl.col("why") == "concept unique identifier").select("id", cui="other")
    alone = cui.unique().filter(pl.len().over("id") == 1)
    left = alone.join(movers.select("id"), on="id")
    right = alone.join(targets.select("id"), on="id").rename({"id": "other"})
    return left.join(right, on="cui").select("id", "other")


def _by_synonym(movers: pl.DataFrame, targets: pl.DataFrame, words: pl.DataFrame) -> pl.DataFrame:
    """id, other: the preferred name of one is a name that only one node of the other has."""
    left = _spoken(movers).filter(pl.col("word").str.len_chars() >= FEWEST_LETTERS)
    called = (
        words.join(targets.select("id", "node"), on="id")
        .select("node", word=singular(pl.col("word")))
        .unique()
    )
    one = called.filter(pl.len().over("word") == 1)
    return left.join(one, on="word").select("id", other="node").unique()


def _same_chemical(said: Harvest) -> pl.DataFrame:
    """id of MeSH, other of DrugBank: both are the same one of ChEBI, and no other is."""
    pairs = said.same.filter(pl.col("why") == "chemical").select("id", chemical="other").unique()
    mesh = pairs.filter(pl.col("id").str.starts_with("MESH:"))
    bank = pairs.filter(pl.col("id").str.starts_with("DRUGBANK:")).rename({"id": "other"})
    return mesh.join(bank, on="chemical").select("id", "other").unique()


def _reversed(said: Harvest, why: str) -> pl.DataFrame:
    return said.same.filter(pl.col("why") == why).select(id="other", other="id")


def _substances(said: Harvest, members: pl.DataFrame, words: pl.DataFrame) -> pl.DataFrame:
    """Products' substances join the drug of their name; several salts may join one drug.

    DrugBank's drugs before other chemicals, preferred names before synonyms, and the name as it
    is before the name without its salt.
    """
    drugs = members.filter(pl.col("kind").is_in(CHEMICALS) & (pl.col("system") != "SUBSTANCE"))
    bank = drugs.filter(pl.col("system") == "DRUGBANK")
    for called in (_preferred(bank), _preferred(drugs), _any_name(bank, words)):
        one = called.filter(pl.len().over("word") == 1).rename({"node": "target"})
        for why in ("substance", "substance without salt"):
            wanted = said.same.filter(pl.col("why") == why).select("id", word="other")
            found = wanted.join(one, on="word").select("id", "target").unique("id", keep="none")
            waiting = (pl.col("system") == "SUBSTANCE") & (pl.col("node") == pl.col("id"))
            members = (
                members.join(found, on="id", how="left", maintain_order="left")
                .with_columns(
                    node=pl.when(waiting).then(pl.coalesce("target", "node")).otherwise("node")
                )
                .drop("target")
            )
    return members


def _preferred(drugs: pl.DataFrame) -> pl.DataFrame:
    return drugs.select("node", word=plain(pl.col("name"))).unique()


def _any_name(drugs: pl.DataFrame, words: pl.DataFrame) -> pl.DataFrame:
    return words.join(drugs.select("id", "node"), on="id").select("node", "word").unique()


def families() -> dict[str, Sequence[str]]:
    """Kinds among which a mention is looked up, those preferred first."""
    return {
        "disease": (*DISEASES,),
        "drug": ("drug", "chemical", "drug_class"),
        "organism": ("organism",),
        "anatomy": ("anatomy",),
        "cause": ("organism", "disease", "finding", "diagnosis", "drug", "chemical", "process"),
    }
