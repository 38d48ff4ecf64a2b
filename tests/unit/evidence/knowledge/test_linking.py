"""Concepts find their nodes by code, by parent, by name; and how much of a timeline does."""

from __future__ import annotations

import polars as pl
import pytest

from ehrlich.base.contracts import concepts_schema
from ehrlich.evidence.knowledge.coverage import coverage
from ehrlich.evidence.knowledge.graph import KnowledgeGraph, graph_of, join_graphs
from ehrlich.evidence.knowledge.linking import link
from ehrlich.evidence.knowledge.seed import seed_graph
from ehrlich.evidence.knowledge.textbook import textbook_graph

NODES = {
    "ICD10CM:N17.9": "diagnosis",
    "ICD10CM:N17": "diagnosis",
    "ICD10CM:S72.0": "diagnosis",
    "M:aki": "disease",
    "M:hip": "disease",
    "M:gout": "disease",
    "M:disease": "disease",
    "LOINC:2160-0": "test",
    "HP:creatinine": "finding",
    "S:creatinine": "finding",
    "HP:sodium": "finding",
    "D:acetaminophen": "drug",
    "D:heparin": "drug",
    "C:heparin": "drug_class",
    "D:tazobactam": "drug",
    "D:piperacillin": "drug",
    "O:staph": "organism",
    "O:proteus": "organism",
    "P:58": "procedure",
    "U:own kind": "custom",
}
NAMES = {
    "M:aki": ["acute kidney injury"],
    "M:gout": ["gout"],
    "M:disease": ["disease", "unspecified disease"],
    "LOINC:2160-0": ["creatinine [mass/volume] in serum", "creatinine"],
    "S:creatinine": ["creatinine high"],
    "HP:sodium": ["sodium low"],
    "D:acetaminophen": ["paracetamol"],
    "D:heparin": ["heparin"],
    "C:heparin": ["heparin"],
    "D:tazobactam": ["tazobactam"],
    "D:piperacillin": ["piperacillin"],
    "O:staph": ["staphylococcus aureus"],
    "O:proteus": ["proteus"],
    "U:own kind": ["gouty thing"],
}
XREFS = [
    ("ICD10CM:N17.9", "ICD10CM", "N17.9"),
    ("ICD10CM:N17", "ICD10CM", "N17"),
    ("ICD10CM:S72.0", "ICD10CM", "S72.0"),
    ("M:disease", "ICD10CM", "R69"),
    ("LOINC:2160-0", "LOINC", "2160-0"),
    ("LOINC:2160-0", "MIMIC", "50912"),
    ("HP:creatinine", "LOINC", "2160-0//high"),
    ("D:heparin", "NDC", "00409272001"),
    ("P:58", "ICD9PCS", "39.95"),
    ("P:58", "ICD10PCS", "5A1D"),
]
EDGES = [
    ("ICD10CM:N17.9", "isa", "ICD10CM:N17"),
    ("ICD10CM:N17", "mapped_to", "M:aki"),
    ("ICD10CM:S72.0", "mapped_to", "M:hip"),
    ("HP:creatinine", "finding_of", "M:aki"),
    ("S:creatinine", "finding_of", "M:aki"),
    ("M:hip", "associated_with", "M:gout"),
    ("P:58", "procedure_for", "M:aki"),
    ("M:gout", "isa", "M:disease"),
]


@pytest.fixture(scope="module")
def graph() -> KnowledgeGraph:
    nodes = [(node, NAMES.get(node, [node])[0], kind, "t", "CC0-1.0", node == "M:disease")
             for node, kind in NODES.items()]  # fmt: skip
    return graph_of(
        {
            "nodes": nodes,
            "names": [(node, name, "t") for node, names in NAMES.items() for name in names],
            "xrefs": XREFS,
            "edges": [(head, relation, tail, "t", "CC0-1.0") for head, relation, tail in EDGES],
        }
    )


def vocabulary(*rows: tuple[str, str, list[str]]) -> pl.DataFrame:
    """Rows of concept, name, codes; a measurement each."""
    full = [(concept, concept.split("//")[0], name, codes, 1, 1) for concept, name, codes in rows]
    return pl.DataFrame(full, schema=concepts_schema(), orient="row")


@pytest.mark.parametrize(
    ("concept", "name", "codes", "links"),
    [
        ("diagnosis//icd10//n179", "x", [],
         [("ICD10CM:N17", "parent"), ("ICD10CM:N17.9", "exact"), ("M:aki", "parent")]),
        ("diagnosis//icd10//n17", "x", ["ICD10CM:N17"],
         [("ICD10CM:N17", "exact"), ("M:aki", "mapped")]),
        ("diagnosis//icd10//s72001", "x", [], [("ICD10CM:S72.0", "parent"), ("M:hip", "parent")]),
        ("diagnosis//icd10//s720010", "x", [], [("ICD10CM:S72.0", "parent"), ("M:hip", "parent")]),
        ("diagnosis//icd10//s72001aa", "four cuts away", [], []),
        ("diagnosis//icd9//2749", "Gout", [], [("M:gout", "name")]),
        ("lab//creatinine", "creatinine", ["MIMIC:50912"], [("LOINC:2160-0", "exact")]),
        ("lab//creatinine//high", "creatinine high", ["MIMIC:50912"],
         [("HP:creatinine", "exact"), ("S:creatinine", "name")]),
        ("lab//creatinine//low", "creatinine low", ["MIMIC:50912"], [("LOINC:2160-0", "parent")]),
        ("lab//creatinine//high", "creatinine high", [], [("S:creatinine", "name")]),
        ("lab//sodium (serum)//low", "sodium (serum) low", [], [("HP:sodium", "name")]),
        ("drug//heparin", "heparin", ["NDC:409-2720-01", "NDC:00409272001"],
         [("D:heparin", "exact")]),
        ("drug//heparin sodium", "x", [], [("D:heparin", "name")]),
        ("drug_class//heparin", "heparin", [], [("C:heparin", "name")]),
        ("drug//acetaminophen", "acetaminophen", [], [("D:acetaminophen", "name")]),
        ("drug//piperacillin-tazobactam", "x", [],
         [("D:piperacillin", "name"), ("D:tazobactam", "name")]),
        ("organism//staph aureus coag +", "x", [], [("O:staph", "name")]),
        ("organism//proteus mirabilis", "x", [], [("O:proteus", "parent")]),
        ("procedure//icd9//3995", "x", [], [("P:58", "exact")]),
        ("procedure//icd10//5a1d70z", "x", [], [("P:58", "parent")]),
        ("finding//gout", "gout", [], [("M:gout", "name")]),
        ("finding//podagra", "podagra", ["NODE:M:gout"], [("M:gout", "exact")]),
        ("finding//gouty thing", "gouty thing", [], [("U:own kind", "name")]),
        ("finding//disease", "disease", ["NODE:M:disease"], []),
        ("diagnosis//icd10//r69", "unspecified disease", [], []),
        ("unit//medicine", "medicine", [], []),
    ],
)  # fmt: skip
def test_a_concept_finds_its_nodes(
    graph: KnowledgeGraph, concept: str, name: str, codes: list[str], links: list[tuple[str, str]]
) -> None:
    found = link(vocabulary((concept, name, codes)), graph)
    assert found.schema == {"concept": pl.String, "node": pl.String, "via": pl.String}
    assert found.select("node", "via").rows() == links


def test_a_code_that_stands_for_too_many_stands_for_none() -> None:
    nodes = [(f"M:{n}", f"d{n}", "disease", "t", "l", False) for n in range(9)]
    codes = [(f"M:{n}", "ICD10CM", "H35.5") for n in range(9)]
    own = ("ICD10CM:H355", "own", "diagnosis", "t", "l", False)
    graph = graph_of({"nodes": [*nodes, own], "xrefs": [*codes, (own[0], "ICD10CM", "H355")]})
    found = link(vocabulary(("diagnosis//icd10//h355", "x", [])), graph)
    assert found.rows() == [("diagnosis//icd10//h355", "ICD10CM:H355", "exact")]


def test_no_concepts_no_links(graph: KnowledgeGraph) -> None:
    assert link(pl.DataFrame(schema=concepts_schema()), graph).is_empty()


def test_coverage_counts_concepts_and_measurements(graph: KnowledgeGraph) -> None:
    words = vocabulary(
        ("lab//creatinine", "creatinine", ["MIMIC:50912"]),
        ("lab//creatinine//high", "creatinine high", ["MIMIC:50912"]),
        ("lab//other", "other", []),
        ("unit//medicine", "medicine", []),
    ).with_columns(measurements=pl.Series([6, 3, 1, 0]))
    found = coverage(link(words, graph), words, graph=graph)
    assert found["kind"].to_list() == ["lab", "unit", "all"]
    lab = found.row(0, named=True)
    assert lab["linked"] == pytest.approx(2 / 3)
    assert lab["telling"] == pytest.approx(1 / 3)
    assert (lab["linked_weighted"], lab["telling_weighted"]) == (0.9, 0.3)
    assert found.row(1, named=True)["linked_weighted"] is None
    none = coverage(link(words, graph), words, graph=graph, usable=["treats"])
    assert none["telling"].to_list() == [0, 0, 0]


def test_the_textbook_and_the_seed_link_to_what_charts_say() -> None:
    graph = join_graphs(textbook_graph(), seed_graph())
    words = vocabulary(
        ("lab//creatinine//high", "creatinine high", ["MIMIC:50912"]),
        ("vital//heart rate//high", "heart rate high", []),
        ("drug//furosemide", "furosemide", []),
        ("diagnosis//icd10//n179", "acute kidney failure, unspecified", []),
        ("organism//escherichia coli", "escherichia coli", []),
        ("procedure//icd9//3995", "hemodialysis", []),
    )
    shares = coverage(link(words, graph), words, graph=graph)
    assert shares.filter(pl.col("kind") == "all")["telling"].item() == 1
