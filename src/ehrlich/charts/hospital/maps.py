"""`maps/`: the hospital's own drug classes, in the files that `ehrlich read --maps` knows.

Plain words from the textbook, not ATC, whose terms forbid us to ship it.
"""

from __future__ import annotations

import polars as pl

from ehrlich.charts.hospital.textbook import Textbook

FOLDER = "maps"


def drug_classes(book: Textbook) -> dict[str, pl.DataFrame]:
    """File name → columns (ndc | gsn | name) and atc; a key of several drugs keeps the first."""
    drugs = sorted(book.drugs.values(), key=lambda drug: drug.key)
    classes = [drug.drug_class for drug in drugs]
    keys = {
        "ndc": [drug.ndc for drug in drugs],
        "gsn": [drug.gsn for drug in drugs],
        "name": [drug.name for drug in drugs],
    }
    return {
        f"atc_by_{key}": pl.DataFrame({key: values, "atc": classes}).unique(
            key, keep="first", maintain_order=True
        )
        for key, values in keys.items()
    }
