"""A made-up release in the official layout of columns; nothing in it is from the UMLS."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from ehrlich.base.errors import DataError
from ehrlich.evidence.knowledge import umls
from ehrlich.evidence.knowledge.graph import KnowledgeGraph
from ehrlich.evidence.knowledge.umls import COLUMNS, LICENCE, umls_files, umls_graph


def line(table: str, **fields: str) -> str:
    """One row with every column of the layout, and the bar at its end."""
    columns = COLUMNS[table].split()
    assert set(fields) <= set(columns)
    return "|".join([*(fields.get(column, "") for column in columns), ""]) + "\n"


def atom(cui: str, text: str, sab: str = "MTH", code: str = "NOCODE", **more: str) -> str:
    usual = {"LAT": "ENG", "TS": "P", "STT": "PF", "ISPREF": "Y", "SUPPRESS": "N"}
    return line("MRCONSO", **usual | {"CUI": cui, "STR": text, "SAB": sab, "CODE": code} | more)


def row(one: str, rel: str, two: str, rela: str = "", **more: str) -> str:
    usual = {"SAB": "MADEUP", "SUPPRESS": "N"}
    return line("MRREL", **usual | {"CUI1": one, "REL": rel, "CUI2": two, "RELA": rela} | more)


CONSO = [
    atom("C1", 'Knee "ache"', "SNOMEDCT_US", "111", TS="S"),
    atom("C1", "Ache of knee", "ICD10CM", "M25.5"),
    atom("C1", "Knieschmerz", LAT="GER"),
    atom("C1", "Old name", SUPPRESS="O"),
    atom("C2", "Coolidine", "RXNORM", "222"),
    atom("C3", "Raised knee count", "HPO", "HP:0000003"),
    atom("C4", "Knee count", "LNC", "333-4"),
    atom("C5", "Disease"),
    atom("C6", "Schmerz", LAT="GER"),
    "C7|ENG|broken line\n",
]
REL = [
    row("C1", "RO", "C2", "may_treat"), row("C2", "RO", "C1", "may_be_treated_by"),
    row("C5", "PAR", "C1"), row("C1", "CHD", "C5"),
    row("C1", "PAR", "C5", "inverse_isa"), row("C5", "CHD", "C1", "isa"),
    row("C3", "RO", "C4", "zz_made_from"), row("C4", "RO", "C3", "aa_makes"),
    row("C3", "RO", "C1", "like"), row("C1", "RO", "C3", "like"),
    row("C1", "RO", "C4", "", SUPPRESS="Y"),
    row("C1", "SIB", "C3"), row("C1", "RO", "C1", "due_to"), row("C1", "RO", "C6", "due_to"),
    row("C1", "RO", "C3", "due_to")[:-2] + "|extra|\n",
]  # fmt: skip
STY = [
    line("MRSTY", CUI=cui, TUI=tui)
    for cui, tui in (("C1", "T047"), ("C2", "T121"), ("C2", "T109"), ("C3", "T033"),
                     ("C4", "T059"), ("C5", "T047"), ("C1", "T170"))
]  # fmt: skip
SAT = [
    line("MRSAT", CUI="C2", ATN="NDC", ATV="00000111122", SUPPRESS="N"),
    line("MRSAT", CUI="C2", ATN="NDC", ATV="1-2-3", SUPPRESS="N"),
    line("MRSAT", CUI="C2", ATN="OTHER", ATV="00000111133", SUPPRESS="N"),
]


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(umls, "SAMPLE", 1)  # of so few pairs, learn from all
    monkeypatch.setattr(umls, "BLOCK_BYTES", 400)  # several blocks
    tables = {"MRCONSO": CONSO, "MRREL": REL, "MRSTY": STY, "MRSAT": SAT}
    for name, lines in tables.items():
        (tmp_path / f"{name}.RRF").write_text("".join(lines), encoding="utf-8")
    return tmp_path


@pytest.fixture
def graph(release: Path) -> KnowledgeGraph:
    return umls_graph(umls_files(release))


def test_nodes_are_concepts_with_an_english_name(graph: KnowledgeGraph) -> None:
    assert graph.nodes.drop("source").rows() == [
        ("C1", "Ache of knee", "disease", LICENCE, False),
        ("C2", "Coolidine", "drug", LICENCE, False),
        ("C3", "Raised knee count", "finding", LICENCE, False),
        ("C4", "Knee count", "test", LICENCE, False),
        ("C5", "Disease", "disease", LICENCE, True),
    ]
    assert graph.names.filter(pl.col("node") == "C1")["name"].to_list() == [
        "ache of knee",
        'knee "ache"',
    ]


def test_codes_get_the_names_of_the_other_graphs(graph: KnowledgeGraph) -> None:
    assert set(graph.xrefs.iter_rows()) == {
        ("C1", "ICD10CM", "M25.5"), ("C1", "SNOMED", "111"), ("C2", "RXNORM", "222"),
        ("C2", "NDC", "00000111122"), ("C3", "HP", "0000003"), ("C4", "LOINC", "333-4"),
    }  # fmt: skip


def test_each_statement_stands_once_and_one_way(graph: KnowledgeGraph) -> None:
    assert set(graph.edges.iter_rows()) == {
        ("C2", "treats", "C1", "MADEUP", LICENCE),
        ("C5", "isa", "C1", "MADEUP", LICENCE),  # by a row without a RELA: C1 is its parent
        ("C1", "isa", "C5", "MADEUP", LICENCE),
        ("C3", "aa_makes", "C4", "MADEUP", LICENCE),
        ("C1", "like", "C3", "MADEUP", LICENCE),
    }


def test_everything_left_out_is_counted(graph: KnowledgeGraph) -> None:
    assert graph.dropped == {
        "MRCONSO: broken line": 1,
        "MRCONSO: not English": 2,
        "MRCONSO: suppressed": 1,
        "MRREL: broken line": 1,
        "MRREL: says again what another row says": 5,
        "MRREL: siblings, qualifiers and the like": 1,
        "MRREL: suppressed": 1,
        "MRREL: unknown concept": 1,
        "MRREL: within one concept": 1,
    }


def test_compressed_files_give_the_same(release: Path, graph: KnowledgeGraph) -> None:
    for path in list(release.glob("*.RRF")):
        path.with_suffix(".RRF.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    again = umls_graph(umls_files(release))
    assert again.edges.equals(graph.edges)
    assert again.names.equals(graph.names)


def test_without_mrsat_there_are_no_ndc_codes(release: Path) -> None:
    (release / "MRSAT.RRF").unlink()
    found = umls_graph(umls_files(release))
    assert "NDC" not in set(found.xrefs["system"])


def test_an_absent_file_is_one_sentence(release: Path) -> None:
    (release / "MRREL.RRF").unlink()
    with pytest.raises(DataError, match=r"holds no UMLS release; expected MRREL\.RRF\. Unpack"):
        umls_files(release)


def test_an_empty_or_damaged_file_is_one_sentence(release: Path) -> None:
    (release / "MRREL.RRF").write_text("")
    with pytest.raises(DataError, match=r"MRREL\.RRF"):
        umls_graph(umls_files(release))
    (release / "MRREL.RRF").unlink()
    (release / "MRREL.RRF.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match="cannot be read as RRF"):
        umls_graph(umls_files(release))
