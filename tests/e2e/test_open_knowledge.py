"""The open graph of the real packages, where a folder of wheels is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from ehrlich.evidence.knowledge.graph import KnowledgeGraph
from ehrlich.evidence.knowledge.open.build import build
from ehrlich.evidence.knowledge.open.library import OpenConfig

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def graph(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> KnowledgeGraph:
    wheels = os.environ.get("EHRLICH_WHEELS")
    if not wheels:
        pytest.skip("no folder of wheels: name it in EHRLICH_WHEELS")
    config = OpenConfig(
        sources=shared / "data" / "knowledge" / "sources",
        wheels=Path(wheels),
        cache=tmp_path_factory.mktemp("cache"),
        fetch=False,
        allow=("HPO", "LOINC"),
    )
    return build(config).graph


def called(graph: KnowledgeGraph, name: str) -> list[str]:
    return graph.names.filter(pl.col("name") == name)["node"].to_list()


def test_the_graph_has_the_size_its_sources_have(graph: KnowledgeGraph) -> None:
    assert graph.nodes.height > 250_000
    assert graph.edges.height > 700_000
    by_relation = dict(graph.edges.group_by("relation").len().iter_rows())
    least = {"has_phenotype": 200_000, "treats": 8_000, "has_symptom": 2_500, "caused_by": 500}
    assert {name: n for name, n in least.items() if by_relation[name] < n} == {}


@pytest.mark.parametrize(
    ("head", "relation", "tail"),
    [
        ("furosemide", "treats", "edema"),
        ("furosemide", "treats", "congestive heart failure"),
        ("metformin", "treats", "type 2 diabetes mellitus"),
        ("heparin", "treats", "pulmonary embolism"),
        ("escherichia coli", "causes", "urinary tract infection"),
        ("lisinopril", "treats", "hypertension"),
        ("albuterol", "treats", "asthma"),
        ("pneumonia", "has_symptom", "cough"),
        ("levothyroxine", "treats", "hypothyroidism"),
        ("aspirin", "treats", "myocardial infarction"),
    ],
)
def test_what_every_clinician_knows_is_in_it(
    graph: KnowledgeGraph, head: str, relation: str, tail: str
) -> None:
    found = graph.edges.filter(
        pl.col("head").is_in(called(graph, head))
        & pl.col("tail").is_in(called(graph, tail))
        & (pl.col("relation") == relation)
    )
    assert found.height >= 1


@pytest.mark.parametrize("name", ["creatinine high", "potassium high", "hemoglobin low"])
def test_a_result_is_one_finding(graph: KnowledgeGraph, name: str) -> None:
    assert len(called(graph, name)) == 1


def test_no_vocabulary_has_two_ids_in_a_node(graph: KnowledgeGraph) -> None:
    own = graph.xrefs.filter(pl.col("system").is_in(["MONDO", "DOID", "HP", "ICD10CM", "ICD9CM"]))
    held = own.group_by("node", "system").len().filter(pl.col("len") > 1)
    assert held.height == 0


def test_codes_that_look_alike_stay_apart(graph: KnowledgeGraph) -> None:
    by_code = dict(
        graph.xrefs.filter(pl.col("system") == "ICD10CM").select("code", "node").iter_rows()
    )
    assert by_code["B37.0"] != by_code["B37.9"]
    assert by_code["I42.0"] not in called(graph, "dilated cardiomyopathy 1w")
