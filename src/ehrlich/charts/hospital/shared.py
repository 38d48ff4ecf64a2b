"""Dictionaries of the hospital: the d_ tables, providers, caregivers, written once."""

from __future__ import annotations

import polars as pl

from ehrlich.charts.hospital.records.frames import CAREGIVERS, Tables, provider_ids, table
from ehrlich.charts.hospital.records.procedures import procedures_of
from ehrlich.charts.hospital.textbook import Textbook


def shared_tables(book: Textbook) -> Tables:
    """Every table of layout.SHARED."""
    procedures = {
        (version, code): p.title
        for p in procedures_of(book)
        for version, code in ((9, p.icd9), (10, p.icd10))
    }
    bills = sorted(book.hcpcs.values(), key=lambda bill: bill.code)
    return {
        "hosp/d_hcpcs": table(
            "hosp/d_hcpcs",
            {
                "code": [b.code for b in bills],
                "long_description": [b.long for b in bills],
                "short_description": [b.short for b in bills],
            },
        ),
        "hosp/d_icd_diagnoses": _titles("hosp/d_icd_diagnoses", dict(book.titles)),
        "hosp/d_icd_procedures": _titles("hosp/d_icd_procedures", procedures),
        "hosp/d_labitems": _labs(book),
        "hosp/provider": table("hosp/provider", {"provider_id": sorted(provider_ids())}),
        "icu/caregiver": table(
            "icu/caregiver", {"caregiver_id": [10_003 + 53 * i for i in range(CAREGIVERS)]}
        ),
        "icu/d_items": _items(book),
    }


def _titles(name: str, titles: dict[tuple[int, str], str]) -> pl.DataFrame:
    rows = sorted(titles.items(), key=lambda item: (item[0][1], item[0][0]))
    return table(
        name,
        {
            "icd_code": [code for (_, code), _ in rows],
            "icd_version": [version for (version, _), _ in rows],
            "long_title": [title for _, title in rows],
        },
    )


def _labs(book: Textbook) -> pl.DataFrame:
    labs = sorted(book.labs.values(), key=lambda lab: lab.itemid)
    columns = {
        name: [getattr(lab, name) for lab in labs]
        for name in ("itemid", "label", "fluid", "category")
    }
    return table("hosp/d_labitems", columns)


def _items(book: Textbook) -> pl.DataFrame:
    vitals = [
        (
            v.itemid,
            v.label,
            v.abbreviation,
            "chartevents",
            v.category,
            v.unitname,
            "Numeric",
            None,
            None,
        )
        for v in book.vitals.values()
    ]
    others = [
        (
            i.itemid,
            i.label,
            i.abbreviation,
            i.linksto,
            i.category,
            i.unitname,
            i.param_type,
            i.low,
            i.high,
        )
        for i in book.icu_items.values()
    ]
    names = (
        "itemid",
        "label",
        "abbreviation",
        "linksto",
        "category",
        "unitname",
        "param_type",
        "lownormalvalue",
        "highnormalvalue",
    )
    frame = pl.DataFrame(
        sorted(vitals + others, key=lambda row: row[0]),
        schema=list(names),
        orient="row",
        infer_schema_length=None,
    )
    return table("icu/d_items", frame.to_dict())
