"""Treatments, symptoms and causes by Wikidata: names only, written by a crowd."""

from __future__ import annotations

import io

import polars as pl

from ehrlich.evidence.knowledge.open.harvest import Harvest, mention, said_by
from ehrlich.evidence.knowledge.open.library import Library

LISTED = pl.List(pl.String)


def diseases(library: Library) -> Harvest:
    """What treats, shows and causes a disease."""
    table = _table(library, "wikidata_diseases", ("Disease", "TreatmentDrugs", "Cause", "Symptons"))
    disease = mention("disease", pl.col("Disease"))

    def said(column: str, *, as_drug: bool = False) -> pl.DataFrame:
        rows = table.select("Disease", other=column).explode("other", empty_as_null=True)
        kind = "drug" if as_drug else "disease"
        return rows.select(disease=disease, other=mention(kind, pl.col("other"))).drop_nulls()

    return said_by(
        "wikidata_diseases",
        edges=pl.concat(
            [
                said("TreatmentDrugs", as_drug=True).select(
                    head="other", relation=pl.lit("treats"), tail="disease"
                ),
                said("Symptons").select(
                    head="disease", relation=pl.lit("has_symptom"), tail="other"
                ),
                _causes(table, disease),
            ]
        ),
    )


def _causes(table: pl.DataFrame, disease: pl.Expr) -> pl.DataFrame:
    """A cause may be an organism or a disease: it is looked up as whichever it is."""
    return (
        table.select("Disease", other="Cause")
        .explode("other", empty_as_null=True)
        .select(head=disease, relation=pl.lit("caused_by"), tail=mention("cause", pl.col("other")))
        .drop_nulls()
    )


def medicines(library: Library) -> Harvest:
    """What a medicine treats."""
    table = _table(library, "wikidata_medicines", ("Medicine", "ConditionsTreated"))
    rows = table.explode("ConditionsTreated", empty_as_null=True)
    edges = rows.select(
        head=mention("drug", pl.col("Medicine")),
        relation=pl.lit("treats"),
        tail=mention("disease", pl.col("ConditionsTreated")),
    )
    return said_by("wikidata_medicines", edges=edges.drop_nulls())


def _table(library: Library, source: str, columns: tuple[str, ...]) -> pl.DataFrame:
    schema = {name: pl.String if n == 0 else LISTED for n, name in enumerate(columns)}
    return pl.read_ndjson(io.BytesIO(library.read(source)), schema=schema)
