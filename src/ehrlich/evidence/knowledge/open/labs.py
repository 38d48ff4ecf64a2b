"""Laboratory and bedside measurements: LOINC codes, what high and low mean, MIMIC item ids."""

from __future__ import annotations

import polars as pl

from ehrlich.evidence.knowledge.open.harvest import Harvest, mention, said_by
from ehrlich.evidence.knowledge.open.library import Library

# Outcomes of an annotation, and what concepts call them.
DIRECTIONS = {"H": "high", "L": "low", "POS": "positive", "A": "abnormal"}
MAPS = ("mimic_labs", "mimic_charted", "mimic_outputs")


def loinc2hpo(library: Library) -> Harvest:
    """Findings of results: an HPO term has the cross-reference `code//high`."""
    table = library.table("loinc2hpo")
    rows = table.select(
        id="hpoTermId",
        loinc="loincId",
        direction=pl.col("outcome").replace_strict(
            DIRECTIONS, default=None, return_dtype=pl.String
        ),
    )
    held = rows.drop_nulls()
    # A term that both high and low stand for (abnormal ...) does not tell which.
    clear = held.filter(pl.col("direction").n_unique().over("loinc", "id") == 1)
    return said_by(
        "loinc2hpo",
        {
            "normal or coded outcome": rows.height - held.height,
            "one term for both directions": held.height - clear.height,
        },
        xrefs=clear.select(
            "id",
            system=pl.lit("LOINC"),
            code=pl.concat_str("loinc", pl.lit("//"), "direction"),
        ),
        edges=clear.select(
            head=pl.lit("LOINC:") + pl.col("loinc"), relation=pl.lit("measures"), tail="id"
        ),
    )


def tests(library: Library) -> Harvest:
    """Tests by LOINC code, with the item ids and labels of MIMIC-IV; what absent maps would add
    is left out. Blood labels also name a finding: `creatinine high`.
    """
    rows = pl.concat([_map(library, source) for source in MAPS if not library.obstacle(source)])
    blood = rows.filter(pl.col("fluid") == "blood").select(
        label=pl.col("label").str.to_lowercase(), loinc="id"
    )
    known = rows.select("id", "name", "source").unique("id", keep="first", maintain_order=True)
    return said_by(
        "mimic_labs",
        terms=known.with_columns(kind=pl.lit("test")),
        names=pl.concat(
            [
                rows.select("id", "name", "source"),
                rows.select("id", "label", "source").rename({"label": "name"}),
            ]
        ),
        xrefs=pl.concat(
            [
                rows.select("id", system=pl.lit("MIMIC"), code="itemid"),
                rows.filter(pl.col("id").str.starts_with("LOINC:")).select(
                    "id", system=pl.lit("LOINC"), code=pl.col("id").str.strip_prefix("LOINC:")
                ),
            ]
        ),
        same=blood.select(id="loinc", other="label", why=pl.lit("blood test")),
    )


def _map(library: Library, source: str) -> pl.DataFrame:
    """id, name, label, itemid, fluid, source. An item without a LOINC code is its own test."""
    table = library.table(source)
    itemid = pl.col(table.columns[0]).str.strip_suffix(".0")
    coded = pl.col("omop_vocabulary_id").fill_null("") == "LOINC"
    no_fluid = pl.lit(None, dtype=pl.String)
    return table.select(
        id=pl.when(coded)
        .then(pl.lit("LOINC:") + pl.col("omop_concept_code"))
        .otherwise(pl.lit("MIMIC:") + itemid),
        name=pl.when(coded).then("omop_concept_name").otherwise("label"),
        label="label",
        itemid=itemid,
        fluid=pl.col("fluid").str.to_lowercase() if "fluid" in table.columns else no_fluid,
        source=pl.lit(source),
    ).drop_nulls(["id", "name", "label", "itemid"])


def infusions(library: Library) -> Harvest:
    """Inputs of MIMIC-IV as RxNorm codes and item ids of the drug of that label."""
    table = library.table("mimic_inputs").filter(pl.col("omop_vocabulary_id") == "RxNorm")
    drug = mention("drug", pl.col("label").str.replace(r"\s*\(.*\)", ""))
    rows = table.select(
        id=drug, itemid=pl.col(table.columns[0]).str.strip_suffix(".0"), rxnorm="omop_concept_code"
    ).drop_nulls()
    return said_by(
        "mimic_inputs",
        xrefs=pl.concat(
            [
                rows.select("id", system=pl.lit("MIMIC"), code="itemid"),
                rows.select("id", system=pl.lit("RXNORM"), code="rxnorm"),
            ]
        ),
    )


def result_names(said: Harvest) -> pl.DataFrame:
    """id, name, source: a finding by the test as charts call it, `creatinine high`.

    Only of tests on blood, and only where the name stands for one finding.
    """
    labels = said.same.filter(pl.col("why") == "blood test").select(
        code=pl.col("id").str.strip_prefix("LOINC:"), label="other"
    )
    results = said.xrefs.filter(
        (pl.col("system") == "LOINC") & pl.col("code").str.contains("//", literal=True)
    ).select(
        "id",
        code=pl.col("code").str.extract("^(.+)//"),
        direction=pl.col("code").str.extract("//(.+)$"),
    )
    named = results.join(labels, on="code").select(
        "id", name=pl.concat_str("label", pl.lit(" "), "direction"), source=pl.lit("loinc2hpo")
    )
    return named.unique().filter(pl.len().over("name") == 1)
