"""The synthetic hospital's textbook as a graph."""

from __future__ import annotations

import polars as pl
import pytest

from ehrlich.charts.hospital.textbook import load_textbook
from ehrlich.evidence.knowledge.graph import KnowledgeGraph
from ehrlich.evidence.knowledge.textbook import textbook_graph


@pytest.fixture(scope="module")
def graph() -> KnowledgeGraph:
    return textbook_graph()


def said(graph: KnowledgeGraph, relation: str) -> set[tuple[str, str]]:
    """(name of head, name of tail), in lower case."""
    names = graph.nodes.select("node", name=pl.col("name").str.to_lowercase())
    edges = graph.edges.filter(pl.col("relation") == relation)
    for end in ("head", "tail"):
        edges = edges.join(names, left_on=end, right_on="node").drop(end).rename({"name": end})
    return set(edges.select("head", "tail").iter_rows())


@pytest.mark.parametrize(
    ("head", "relation", "tail"),
    [
        ("creatinine high", "finding_of", "acute kidney injury"),
        ("heart rate high", "finding_of", "dehydration"),
        ("albuterol", "treats", "hyperkalemia"),
        ("tamsulosin", "treats", "acute urinary retention"),
        ("hyperkalemia", "complication_of", "acute kidney injury"),
        ("cirrhosis of the liver", "predisposes_to", "hyponatremia"),
        ("hyponatremia", "associated_with", "essential hypertension"),
        ("renal colic from a ureteral stone", "has_symptom", "restlessness"),
        ("hypokalemia", "monitored_with", "potassium"),
        ("creatinine", "measures", "creatinine high"),
        ("furosemide", "has_class", "loop diuretic"),
        ("distended bladder with mild bilateral hydronephrosis", "finding_of",
         "acute urinary retention"),
    ],
)  # fmt: skip
def test_the_textbook_says(graph: KnowledgeGraph, head: str, relation: str, tail: str) -> None:
    assert (head, tail) in said(graph, relation)


def test_what_was_not_found_is_no_finding(graph: KnowledgeGraph) -> None:
    assert graph.dropped["finding: says what was not found"] > 10
    seen = graph.names.filter(pl.col("node").str.contains("^textbook:(imaging|symptom):"))
    assert seen.height > 100
    assert not seen["name"].str.starts_with("no ").any()


def test_a_drug_for_everything_treats_nothing(graph: KnowledgeGraph) -> None:
    treats = said(graph, "treats")
    assert graph.dropped["treats: a drug that is given for many conditions"] > 100
    assert not {tail for head, tail in treats if head == "lactated ringers"}
    # Heparin under the skin is for everybody; by infusion it treats.
    assert ("heparin", "acute kidney injury") not in treats
    assert any(head == "heparin" and "pulmonary embol" in tail for head, tail in treats)


def test_codes_have_dots_and_directions(graph: KnowledgeGraph) -> None:
    xrefs = set(graph.xrefs.select("system", "code").iter_rows())
    assert {
        ("ICD10CM", "N17.9"), ("ICD9CM", "584.9"), ("ICD10PCS", "5A1D70Z"), ("ICD9PCS", "3995"),
        ("MIMIC", "50912"), ("MIMIC", "50912//high"),
    } <= xrefs  # fmt: skip


def test_every_condition_and_lab_has_a_node_and_ties(graph: KnowledgeGraph) -> None:
    book = load_textbook()
    tied = {*graph.edges["head"], *graph.edges["tail"]}
    assert {f"textbook:condition:{key}" for key in book.conditions} <= tied
    assert {f"textbook:lab:{key}" for key in book.labs} <= tied
    assert set(graph.edges["licence"]) == {"Apache-2.0"}


def test_nothing_found_is_no_organism_and_no_disease(graph: KnowledgeGraph) -> None:
    generic = set(graph.nodes.filter(pl.col("generic"))["name"])
    healthy = "Encounter for observation without acute disease"
    assert generic == {"positive", "mixed bacterial flora", healthy}
    assert not {tail for _, tail in said(graph, "caused_by")} & generic
