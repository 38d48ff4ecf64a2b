"""What the textbook planted, as concepts."""

from __future__ import annotations

import polars as pl
import pytest

from ehrlich.charts.hospital.textbook import load_textbook
from ehrlich.evidence.planted import LINKS, planted_links


@pytest.fixture(scope="module")
def links() -> pl.DataFrame:
    return planted_links(load_textbook())


def of(links: pl.DataFrame, target: str, history: str) -> pl.DataFrame:
    return links.filter((pl.col("target") == target) & (pl.col("history") == history))


def test_the_frame_is_typed_sorted_and_unique(links: pl.DataFrame) -> None:
    assert links.schema == pl.Schema(LINKS)
    assert links.equals(links.unique().sort(list(LINKS)))
    assert links.select(pl.exclude("p", "via").null_count()).sum_horizontal().item() == 0


def test_a_kidney_injury_raises_creatinine(links: pl.DataFrame) -> None:
    target = "diagnosis//icd10//n179"
    own = of(links, target, "lab//creatinine//high").filter(
        pl.col("condition") == "acute_kidney_injury", pl.col("via").is_null()
    )
    assert own["kind"].to_list() == ["finding"]
    assert own["p"][0] > 0.9
    assert of(links, target, "lab//creatinine//low").filter(pl.col("via").is_null()).is_empty()


def test_a_small_shift_seldom_leaves_the_range(links: pl.DataFrame) -> None:
    found = of(links, "diagnosis//icd10//n179", "lab//sodium//low").filter(
        pl.col("condition") == "acute_kidney_injury", pl.col("via").is_null()
    )
    assert 0 < found["p"][0] < 0.05


def test_treatments_procedures_and_neighbours(links: pl.DataFrame) -> None:
    target = "diagnosis//icd9//5849"
    own = links.filter(
        (pl.col("target") == target) & (pl.col("condition") == "acute_kidney_injury")
    )
    direct = dict(own.filter(pl.col("via").is_null()).select("history", "kind").iter_rows())
    assert direct["procedure//icd10//5a1d70z"] == "procedure"
    assert direct["diagnosis//icd10//e875"] == "complication"
    assert direct["diagnosis//icd10//n179"] == "same"
    near = own.filter(pl.col("via") == "hyperkalemia")
    assert "lab//potassium//high" in near["history"].to_list()
    assert near["p"].null_count() == near.height


def test_shares_are_probabilities(links: pl.DataFrame) -> None:
    assert links["p"].drop_nulls().is_between(0, 1).all()


def test_beside_goes_both_ways(links: pl.DataFrame) -> None:
    pairs = set(links.drop_nulls("via").select("condition", "via").unique().iter_rows())
    assert pairs == {(via, condition) for condition, via in pairs}
