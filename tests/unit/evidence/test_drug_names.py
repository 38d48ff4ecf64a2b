"""Names of drugs: what a chart writes → the ingredient, or nothing."""

from __future__ import annotations

import polars as pl
import pytest

from ehrlich.evidence.drug_names import ingredients


def ingredient_of(name: str) -> str | None:
    found: str | None = ingredients(pl.Series([name]))[0]
    return found


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("CefTRIAXone", "ceftriaxone"),
        ("*NF* Ertapenem Sodium", "ertapenem"),
        ("Heparin (Prophylaxis)", "heparin"),
        ("Heparin Flush (10 units/ml)", "heparin"),
        ("Docusate Sodium (Liquid)", "docusate"),
        ("Vancomycin Desensitization", "vancomycin"),
        ("Norepinephrine in 0.9% Sodium Chloride", "norepinephrine"),
        ("Metoprolol Succinate XL", "metoprolol"),
        ("MetFORMIN XR (Glucophage XR)", "metformin"),
        ("Aspirin 81 mg ", "aspirin"),
        ("Acetaminophen w/Codeine", "acetaminophen-codeine"),
        ("Ipratropium-Albuterol Neb", "albuterol-ipratropium"),
        ("OxyCODONE--Acetaminophen (5mg-325mg)", "acetaminophen-oxycodone"),
        ("Bupivacaine 0.1%|HYDROmorphone (Dilaudid)", "bupivacaine-hydromorphone"),
        ("Sulfameth/Trimethoprim DS", "sulfamethoxazole-trimethoprim"),
        ("Morphine Sulfate (Oral Solution) 2 mg/mL", "morphine"),
        ("Diazepam - CIWA protocol", "diazepam"),
        ("Clonidine Patch 0.2 mg/24 hr", "clonidine"),
        ("Coumadin (Warfarin)", "warfarin"),
        ("Erythromycin 0.5% Ophth Oint", "erythromycin"),
    ],
)
def test_salts_forms_strengths_and_remarks_go(written: str, expected: str) -> None:
    assert ingredient_of(written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Potassium Chloride", "potassium chloride"),
        ("Ferrous Sulfate (Liquid)", "ferrous sulfate"),
        ("Magnesium Sulfate Replacement (Oncology)", "magnesium sulfate"),
        ("0.9% Sodium Chloride (Mini Bag Plus)", "sodium chloride"),
        ("Isosorbide Mononitrate (Extended Release)", "isosorbide mononitrate"),
        ("Vitamin D3 ", "vitamin d3"),
        ("Amoxicillin-Clavulanic Acid", "amoxicillin-clavulanic acid"),
        ("Hepatitis B Vaccine", "hepatitis b vaccine"),
    ],
)
def test_minerals_and_what_tells_drugs_apart_stay(written: str, expected: str) -> None:
    assert ingredient_of(written) == expected


@pytest.mark.parametrize("written", ["Bag", "Soln.", "Syringe (Chemo)", "1", "", "Vial"])
def test_containers_and_lines_are_no_drug(written: str) -> None:
    assert ingredient_of(written) is None


def test_names_keep_their_order_and_unknown_ones_pass() -> None:
    found = ingredients(pl.Series(["Zzyzxine", None, "ASPIRIN", "Zzyzxine"]))
    assert found.to_list() == ["zzyzxine", None, "aspirin", "zzyzxine"]


def test_an_ingredient_is_its_own_ingredient() -> None:
    once = ingredients(pl.Series(["Labetalol", "Insulin - Regular", "K Phos", "Albumin 25%"]))
    assert ingredients(once).to_list() == once.to_list()
