"""One knowledge folder, whoever builds it: left as it is where the same, refused where another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.unit.evidence.knowledge.open_shelf import write_shelf
from tests.unit.evidence.knowledge.test_umls import CONSO, REL, STY

from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import ConfigError, DataError, StoreError
from ehrlich.base.store import MANIFEST, read_manifest
from ehrlich.evidence.knowledge.build import (
    Built,
    build_knowledge,
    open_built,
    own_built,
    textbook_built,
    umls_built,
)
from ehrlich.evidence.knowledge.graph import read_graph
from ehrlich.evidence.knowledge.open import build as open_build

EDGES = "head\trelation\ttail\nfurosemide\ttreats\toedema\noedema\tdue_to\theart failure\n"


@pytest.fixture
def edges(tmp_path: Path) -> Path:
    path = tmp_path / "edges.tsv"
    path.write_text(EDGES)
    return path


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "META"
    folder.mkdir()
    for name, lines in (("MRCONSO", CONSO), ("MRREL", REL), ("MRSTY", STY)):
        (folder / f"{name}.RRF").write_text("".join(lines), encoding="utf-8")
    return folder


def made(edges: Path, licence: str = "own") -> Callable[[], Built]:
    return lambda: own_built(edges, None, source="me", licence=licence)


def test_the_same_graph_is_left_as_it_is(edges: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = build_knowledge(made(edges), out, fresh=False)
    before = (out / MANIFEST).stat().st_mtime_ns
    assert build_knowledge(made(edges), out, fresh=False).config == first.config
    assert (out / MANIFEST).stat().st_mtime_ns == before


def test_another_graph_is_refused_unless_fresh(edges: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build_knowledge(made(edges), out, fresh=False)
    edges.write_text(EDGES + "aspirin\ttreats\tpain\n")
    with pytest.raises(StoreError, match="other settings or inputs"):
        build_knowledge(made(edges), out, fresh=False)
    assert read_graph(out).edges.height == 2
    build_knowledge(made(edges), out, fresh=True)
    assert read_graph(out).edges.height == 3


def test_an_own_graph_says_whose_it_is_on_what_terms(edges: Path, tmp_path: Path) -> None:
    nodes = tmp_path / "nodes.csv"
    nodes.write_text("node,kind\nfurosemide,drug\noedema,finding\n")
    built = own_built(edges, nodes, source="me", licence="CC0-1.0")
    assert set(built.graph.edges["source"]) == {"me"}
    assert set(built.graph.edges["licence"]) == {"CC0-1.0"}
    assert set(built.inputs) == {"edges.tsv", "nodes.csv"}
    build_knowledge(lambda: built, tmp_path / "out", fresh=False)
    assert read_manifest(tmp_path / "out").counts["dropped"]["edge: unknown node"] == 1


def test_a_graph_without_an_edge_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "edges.csv"
    path.write_text("head,relation,tail\nx,treats,x\n")
    with pytest.raises(DataError, match="without an edge"):
        build_knowledge(made(path), tmp_path / "out", fresh=False)
    assert not (tmp_path / "out" / MANIFEST).exists()
    path.write_text("head,relation,tail\nx,treats,y\n")
    build_knowledge(made(path), tmp_path / "out", fresh=False)
    assert read_graph(tmp_path / "out").edges.height == 1


def test_a_release_of_the_umls_may_not_be_passed_on(release: Path, tmp_path: Path) -> None:
    manifest = build_knowledge(lambda: umls_built(release), tmp_path / "out", fresh=False)
    assert manifest.data_use == DataUse.CREDENTIALED
    assert {"MRCONSO.RRF", "MRREL.RRF", "MRSTY.RRF"} <= set(manifest.config["inputs"])
    assert read_manifest(tmp_path / "out").data_use == DataUse.CREDENTIALED
    with pytest.raises(DataError):
        umls_built(tmp_path / "out")


def test_the_textbook_is_synthetic(tmp_path: Path) -> None:
    manifest = build_knowledge(textbook_built, tmp_path / "out", fresh=False)
    assert manifest.data_use == DataUse.SYNTHETIC
    assert read_graph(tmp_path / "out").edges.height > 1000


def test_the_open_graph_holds_our_own_tables_and_says_what_was_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = write_shelf(tmp_path / "shelf")
    # The pins of the shelf in place of those of the real packages.
    monkeypatch.setattr(open_build, "source_list", lambda: shelf.listed)
    built = open_built(shelf.sources, shelf.wheels, allow=("HPO",), deny=("CC0-1.0",), fetch=False)
    licences = set(built.graph.edges["licence"])
    assert "HPO" in licences
    assert "CC0-1.0" not in licences
    assert "not allowed" in built.told["left_out"]["drugmechdb"]
    own = built.graph.edges.filter(pl.col("source") == "seed")
    assert own.height > 100
    build_knowledge(lambda: built, tmp_path / "out", fresh=False)
    assert read_manifest(tmp_path / "out").config["deny"] == ["CC0-1.0"]


@pytest.mark.parametrize("settings", [{"allow": ("GPL",)}, {"deny": ("GPL",)}])
def test_a_licence_of_no_source_is_refused(
    tmp_path: Path, settings: dict[str, tuple[str, ...]]
) -> None:
    asked = {"allow": (), "deny": ()} | settings
    with pytest.raises(ConfigError, match="under that licence"):
        open_built(tmp_path, tmp_path, **asked, fetch=False)
