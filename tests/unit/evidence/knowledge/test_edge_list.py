"""A user's edge list, in three formats, with and without a file of nodes."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ehrlich.base.errors import DataError
from ehrlich.evidence.knowledge.edge_list import edge_list_graph

EDGES = {
    "head": ["drug:1", "drug:1", "dis:1", "dis:1", None, "drug:2"],
    "relation": ["treats", "", "isa", "isa", "treats", " treats "],
    "tail": ["dis:1", "dis:1", "dis:1", "dis:2", "dis:1", "dis:2"],
}
NODES = {
    "node": ["drug:1", "dis:1", "dis:2"],
    "name": ["Allopurinol", "Gout", ""],
    "names": ["Zyloric|Zyloprim", "", ""],
    "kind": ["drug", "disease", "disease"],
    "xrefs": ["RXNORM:519|broken", "icd10cm:M10.9", ""],
    "generic": ["", "no", "TRUE"],
}


def write(frame: pl.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        plain = path.suffix == ".tsv"
        frame.write_csv(
            path,
            separator="\t" if plain else ",",
            quote_style="never" if plain else "necessary",
        )
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".tsv", ".csv"])
def test_edges_alone_are_enough(tmp_path: Path, suffix: str) -> None:
    graph = edge_list_graph(write(pl.DataFrame(EDGES), tmp_path / f"edges{suffix}"))
    assert graph.edges.rows() == [
        ("dis:1", "isa", "dis:2", "edge list", "own"),
        ("drug:1", "treats", "dis:1", "edge list", "own"),
        ("drug:2", "treats", "dis:2", "edge list", "own"),
    ]
    assert graph.dropped == {"edge: an empty field": 2, "edge: from a node to itself": 1}
    assert graph.nodes["node"].to_list() == ["dis:1", "dis:2", "drug:1", "drug:2"]
    assert graph.names["name"].to_list() == ["dis:1", "dis:2", "drug:1", "drug:2"]


def test_a_file_of_nodes_says_what_is_known(tmp_path: Path) -> None:
    edges = write(pl.DataFrame(EDGES), tmp_path / "edges.tsv")
    nodes = write(pl.DataFrame(NODES), tmp_path / "nodes.csv")
    graph = edge_list_graph(edges, nodes, source="mine", licence="CC0-1.0")
    assert graph.dropped["edge: unknown node"] == 1
    assert graph.dropped["xref: no system"] == 1
    assert graph.xrefs.rows() == [("dis:1", "ICD10CM", "M10.9"), ("drug:1", "RXNORM", "519")]
    assert graph.nodes["generic"].to_list() == [False, True, False]
    assert graph.names["name"].to_list() == ["allopurinol", "dis:2", "gout", "zyloprim", "zyloric"]
    assert set(graph.edges["licence"]) == {"CC0-1.0"}


def test_edges_may_say_what_their_ends_are(tmp_path: Path) -> None:
    edge = {
        "head": "a", "relation": "treats", "tail": "b", "head_name": "Aspirin",
        "head_kind": "drug", "tail_xrefs": "ICD10CM:I21.9|MESH:D009203", "licence": "CC-BY-4.0",
    }  # fmt: skip
    path = write(pl.DataFrame([edge]), tmp_path / "edges.csv")
    graph = edge_list_graph(path)
    assert graph.nodes.row(0) == ("a", "Aspirin", "drug", "edge list", "CC-BY-4.0", False)
    assert graph.xrefs["system"].to_list() == ["ICD10CM", "MESH"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("edges.csv", "head,tail\na,b\n", "has no column relation; got head, tail; expected head"),
        ("edges.xlsx", "", r"is of no known kind; expected \.parquet, \.tsv or \.csv"),
        ("edges.parquet", "no parquet", "cannot be read as a table; got "),
        ("edges.csv", "", "cannot be read as a table; got NoDataError"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        edge_list_graph(path)
    assert "\n" not in caught.value.sentence()


def test_an_absent_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read as a table"):
        edge_list_graph(tmp_path / "absent.csv")
