from __future__ import annotations

import collections
import pickle

import polars as pl
import pytest

from ehrlich.base.errors import DataError
from ehrlich.evidence.knowledge.open.clusters import join
from ehrlich.evidence.knowledge.open.drug_words import plain_data
from ehrlich.evidence.knowledge.open.drugs import base_name
from ehrlich.evidence.knowledge.open.groups import common_start
from ehrlich.evidence.knowledge.open.harvest import below, first_levels, plain
from ehrlich.evidence.knowledge.open.mechanisms import FOLDED, TURNED, fold
from ehrlich.evidence.knowledge.open.words import (
    is_subtype_of_a_gene,
    mentioned,
    share_a_word,
)


def one(expression: pl.Expr, **columns: str) -> object:
    return (
        pl.DataFrame({name: [value] for name, value in columns.items()}).select(expression).item()
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Crohn's  Disease", "crohn disease"),
        ("Alzheimer\u2019s disease", "alzheimer disease"),
        ("HIV/AIDS", "hiv aids"),
        ("  (R)-Thing, 5% ", "r thing 5%"),
    ],
)
def test_names_are_compared_without_case_marks_and_possessives(text: str, expected: str) -> None:
    assert one(plain(pl.col("name")), name=text) == expected


@pytest.mark.parametrize(
    ("title", "other", "expected"),
    [
        ("Acute kidney failure, unspecified", "renal disease", False),
        ("Acute kidney failure, unspecified", "kidney disease", True),
        ("Malignant disease, unspecified site", "malignant disease", False),
        ("Candidal stomatitis", "candidiasis", True),
        ("Urinary tract infection", "infectious disease of the urinary bladder", True),
    ],
)
def test_titles_share_a_word_only_if_it_says_something(
    title: str, other: str, expected: bool
) -> None:
    assert one(share_a_word("a", "b"), a=title, b=other) is expected


@pytest.mark.parametrize(
    ("name", "title", "expected"),
    [
        ("dilated cardiomyopathy 1W", "Dilated cardiomyopathy", True),
        ("diabetes mellitus type 2", "Type 2 diabetes mellitus", False),
        ("heart failure", "Heart failure, unspecified", False),
    ],
)
def test_subtypes_of_genes_are_told_by_their_last_word(
    name: str, title: str, expected: bool
) -> None:
    assert one(is_subtype_of_a_gene(pl.col("a"), pl.col("b")), a=name, b=title) is expected


@pytest.mark.parametrize(
    ("substance", "expected"),
    [
        ("METOPROLOL TARTRATE", "metoprolol"),
        ("Heparin Sodium", "heparin"),
        ("Potassium Chloride", "potassium chloride"),
        ("sodium bicarbonate", "sodium bicarbonate"),
        ("codeine phosphate anhydrous", "codeine"),
    ],
)
def test_a_drug_keeps_its_name_without_its_salt(substance: str, expected: str) -> None:
    assert one(base_name(pl.col("name")), name=substance) == expected


def test_of_names_within_each_other_a_title_mentions_the_longest() -> None:
    names = pl.DataFrame(
        {"node": ["k", "a", "h"], "word": ["kidney failure", "acute kidney failure", "heart block"]}
    )
    titles = pl.DataFrame(
        {
            "node": ["1", "2", "3"],
            "title": [
                "Acute kidney failure, after heart block",
                "Pneumonia without heart block",
                "Sacute kidney failures",
            ],
        }
    )
    found = set(mentioned(titles, names).iter_rows())
    assert found == {("1", "a"), ("1", "h")}


def test_thecommon_start_of_codes_is_their_parent() -> None:
    frame = pl.DataFrame({"a": ["I50.1", "I50.9", "E11.21"], "b": ["I50.9", "I50.9", "E11.29"]})
    assert frame.select(common_start("a", "b")).to_series().to_list() == ["I50", "I50.9", "E11.2"]


def tree(*pairs: str) -> pl.DataFrame:
    rows = [tuple(pair.split(">")) for pair in pairs]
    return pl.DataFrame(rows, schema=["head", "tail"], orient="row")


def test_below_ends_on_cycles_and_first_levels_keeps_only_wide_terms() -> None:
    isa = tree("a>root", "b>a", "c>b", "a>c", "d>root", "e>other")
    assert set(below(isa, ["a"])["id"]) == {"a", "b", "c"}
    broad = first_levels(isa, ["root"], levels=1, more_than=2)
    assert set(broad["id"]) == {"root", "a"}


def members(*rows: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["id", "system"], orient="row").with_columns(node="id")


def nodes_after(frame: pl.DataFrame, *pairs: tuple[str, str]) -> dict[str, str]:
    wanted = pl.DataFrame(pairs, schema=["id", "other"], orient="row")
    return dict(join(frame, wanted).select("id", "node").iter_rows())


def test_an_id_joins_one_node_that_has_none_of_its_vocabulary() -> None:
    frame = members(("m", "M"), ("d1", "D"), ("d2", "D"), ("n", "M"))
    assert nodes_after(frame, ("d1", "m"))["d1"] == "m"
    assert nodes_after(frame, ("d1", "m"), ("d2", "m"))["d1"] == "d1"  # both want it
    assert nodes_after(frame, ("d1", "m"), ("d1", "n"))["d1"] == "d1"  # wants two
    taken = frame.with_columns(
        node=pl.when(pl.col("id") == "d2").then(pl.lit("m")).otherwise("node")
    )
    assert nodes_after(taken, ("d1", "m"))["d1"] == "d1"


def test_every_link_of_mechanisms_folds_to_one_relation_and_some_are_turned() -> None:
    said = [name for names in FOLDED.values() for name in names]
    assert len(said) == len(set(said))
    assert not set(said) & set(TURNED)
    links = pl.DataFrame(
        [("DB:1", "disrupts", "x"), ("x", "location of", "y"), ("x", "in taxon", "y"),
         ("MESH:MESH:D1", "treats", "taxonomy:9")],
        schema=["head", "said", "tail"], orient="row",
    )  # fmt: skip
    assert fold(links).rows() == [
        ("DRUGBANK:1", "decreases", "x"),
        ("y", "has_location", "x"),
        ("MESH:D1", "treats", "NCBITAXON:9"),
    ]


def test_a_stream_of_plain_data_is_read_and_one_with_code_is_refused() -> None:
    same = ["x"]
    data = {"a": ["b", 1.5, True, None], "c": {"d": same, "e": same}, "f": [], "g": {"h": "i"}}
    assert plain_data(pickle.dumps(data, protocol=4)) == data
    with pytest.raises(DataError, match="more than plain data"):
        plain_data(pickle.dumps({"a": collections.OrderedDict(b=1)}, protocol=4))
    with pytest.raises(DataError, match="cannot be read"):
        plain_data(b"\x80\x04}q")
