"""Our own tables: well formed, and they join the graph they are meant for."""

from __future__ import annotations

import polars as pl
import pytest

from ehrlich.evidence.knowledge.graph import graph_of, join_graphs
from ehrlich.evidence.knowledge.seed import alternatives, seed_graph, seed_table

TABLES = (
    "lab_links", "procedure_links", "condition_names", "lab_names", "drug_names",
    "organism_names", "umls_types", "umls_relations",
)  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_clean(name: str) -> None:
    table = seed_table(name)
    assert table.height > 10
    assert table.is_unique().all()
    for column in table.columns:
        cells = table[column]
        assert (cells == cells.str.strip_chars()).all(), column
    keys = {"lab_links": table.columns, "umls_types": ["tui"], "umls_relations": ["rela"]}
    assert table.select(keys.get(name, table.columns[0])).is_unique().all()


def test_lab_links_use_known_words_only() -> None:
    table = seed_table("lab_links")
    assert set(table["direction"]) == {"high", "low", "abnormal", ""}
    assert set(table["relation"]) == {
        "finding_of", "treated_with", "monitored_with", "adverse_effect_of",
    }  # fmt: skip
    undirected = table.filter(pl.col("direction") == "")
    assert set(undirected["relation"]) == {"monitored_with"}


def test_relations_read_from_head_to_tail() -> None:
    edges = set(seed_graph().edges.select("head", "relation", "tail").iter_rows())
    assert {
        ("seed:finding:creatinine high", "finding_of", "seed:disease:acute kidney failure"),
        ("seed:drug:allopurinol", "treats", "seed:finding:uric acid high"),
        ("seed:finding:potassium low", "adverse_effect_of", "seed:drug:furosemide"),
        ("seed:drug:warfarin", "monitored_with", "seed:test:inr(pt)"),
        ("seed:test:lactate", "measures", "seed:finding:lactate high"),
        ("seed:procedure:hemodialysis", "procedure_for", "seed:disease:end stage renal failure"),
    } <= edges
    assert set(seed_graph().edges["licence"]) == {"Apache-2.0"}
    assert not seed_graph().dropped


def test_names_of_a_line_stand_for_each_other() -> None:
    pairs = set(alternatives("drug_names").iter_rows())
    assert {("acetaminophen", "paracetamol"), ("paracetamol", "acetaminophen")} <= pairs
    assert not {(name, also) for name, also in pairs if name == also}


def test_a_listed_alternative_joins_and_a_direction_comes_along() -> None:
    base = graph_of(
        {
            "nodes": [("M:1", "acute kidney injury", "disease", "m", "CC0-1.0", False)],
            "names": [("M:1", "acute kidney injury", "m")],
        }
    )
    joined = join_graphs(base, seed_graph())
    heads = joined.edges.filter(pl.col("tail") == "M:1")["head"].to_list()
    assert "seed:finding:creatinine high" in heads
    names = joined.names.filter(pl.col("node") == "seed:finding:urea nitrogen high")["name"]
    assert "bun high" in names.to_list()
