"""The report of a small evidence folder made by hand: what it compares, and what it leaves out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from ehrlich.base.contracts import concepts_schema, graphs_schema
from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import ConfigError, DataError, StoreError
from ehrlich.base.store import Manifest, write_manifest
from ehrlich.evidence.cooccurrence import Axes, Counts, Margins, fit
from ehrlich.evidence.graphs import GraphPolicy
from ehrlich.evidence.hop_plot import draw_hops
from ehrlich.evidence.knowledge.graph import graph_of, write_graph
from ehrlich.evidence.lookup import margins_frame
from ehrlich.evidence.policy import Policy
from ehrlich.evidence.report import read_evidence, shown_edges, write_report
from ehrlich.evidence.report_text import reading

TARGETS = ("diagnosis//d0", "diagnosis//d1")
HISTORIES = tuple(f"lab//h{place:02}" for place in range(30))
POLICY = Policy(unit="subject", min_history=2, min_both=2, max_q=0.05, per_target=50)
MANIFEST = Manifest(
    "evidence",
    DataUse.SYNTHETIC,
    {"policy": POLICY.model_dump(), "graph": GraphPolicy(per_target=3).model_dump()},
    inputs={"cases": "nowhere", "charts": "nowhere", "knowledge": ""},
)


def counts() -> Counts:
    """100 subjects; target d0 comes with h00 and h01, d1 with h02; the rest by chance."""
    targets, histories = np.array([[40], [30]]), np.full((30, 1), 30)
    joint = np.full((2, 30), 10)
    joint[0, :2] = 30
    joint[1, 2] = 28
    margins = Margins(Axes(TARGETS, HISTORIES, ()), np.array([100]), targets, histories)
    return Counts(margins, sparse.csr_array(joint))


def edge(subject: int, target: str, history: str, **more: object) -> dict[str, object]:
    tied = {"lift": 3.0, "p": 0.001, "q": 0.01, "n_both": 30}
    base = {"case_id": f"c{subject}", "subject_id": subject, "target": target, "history": history,
            "rank": 1, "conditioned": True, "task": "dx"}  # fmt: skip
    return base | tied | more


def graph_frame(edges: list[dict[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(edges, schema=graphs_schema() | {"task": pl.String()})


BOOK = ["book (Apache-2.0)"]
EDGES = [
    *(edge(subject, TARGETS[0], HISTORIES[0], sources=BOOK) for subject in range(10)),
    *(edge(subject, TARGETS[0], HISTORIES[1]) for subject in range(10)),
    *(edge(subject, TARGETS[1], HISTORIES[2]) for subject in range(10, 14)),
    edge(20, TARGETS[0], TARGETS[0]),
    edge(21, "label//dx//yes", HISTORIES[3]),
    edge(22, TARGETS[0], HISTORIES[4], lift=None, sources=BOOK),
    *(edge(23, TARGETS[0], HISTORIES[place]) for place in range(3)),
    edge(24, TARGETS[0], HISTORIES[0], conditioned=False),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """d0 shows as h00 (one hop); nothing else is known."""
    out = tmp_path / "evidence"
    for name in ("lift", "margins", "graphs"):
        (out / name).mkdir(parents=True)
    fit(counts(), POLICY).write_parquet(out / "lift" / "dx.parquet")
    margins_frame(counts().margins).write_parquet(out / "margins" / "dx.parquet")
    graph_frame(EDGES).write_parquet(out / "graphs" / "train-0.parquet")
    pl.DataFrame().write_parquet(out / "graphs" / "tuning-0.parquet")
    pl.DataFrame(schema=concepts_schema()).write_parquet(out / "concepts.parquet")
    concepts = [*TARGETS, *HISTORIES]
    links = pl.DataFrame({"concept": concepts, "node": concepts, "via": ["exact"] * len(concepts)})
    links.write_parquet(out / "links.parquet")
    pl.DataFrame(
        {"kind": ["all"], "concepts": [32], "linked": [1.0], "telling": [0.5],
         "measurements": [99], "linked_weighted": [1.0], "telling_weighted": [None]},
        schema_overrides={"telling_weighted": pl.Float64},
    ).write_parquet(out / "coverage.parquet")  # fmt: skip
    nodes = [(name, name, "disease", "book", "Apache-2.0", False) for name in concepts]
    said = [(HISTORIES[0], "finding_of", TARGETS[0], "book", "Apache-2.0")]
    graph = graph_of({"nodes": nodes, "edges": said})
    write_graph(
        graph,
        out / "knowledge",
        manifest=Manifest("knowledge", DataUse.SYNTHETIC, {"builder": "x"}),
    )
    write_manifest(out, MANIFEST)
    return out


def test_pairs_are_compared_with_controls(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    report = write_report(folder, out, replicates=200, quiet=True)
    row = {line["hops"]: line for line in report["hops"]}
    # Ten subjects with two pairs, four with one; ten pairs have one hop, and no other concept has.
    assert row["1"]["pairs"] == 24
    assert row["1"]["share"] == pytest.approx(10 / 24)
    assert row["1"]["control"] == 0
    assert row["1"]["share_low"] < row["1"]["share"] < row["1"]["share_high"]
    reached = {line["hops"]: line for line in report["target_coverage"]}
    assert (reached["1"]["targets"], reached["1"]["share"]) == (14, pytest.approx(10 / 14))
    (lift,) = report["lift"]
    assert (lift["tested"], lift["kept"]) == (60, 3)
    assert lift["null_kept"] < 1
    assert report["sources"] == [{"source": "book (Apache-2.0)", "hops": 11}]
    assert report["hops_by_task"][0]["task"] == "dx"


def test_what_would_flatter_is_left_out_and_told(folder: Path, tmp_path: Path) -> None:
    report = write_report(folder, tmp_path / "report", replicates=50, quiet=True)
    left = report["left_out"]
    # Subject 23's graph is full. Subject 24 is conditioned on nothing, so not counted at all.
    assert left == {"subjects": 18, "labels": 1, "self": 1, "cut": 3, "compared": 24}
    text = (tmp_path / "report" / "report.md").read_text()
    assert "1 edges of a concept to itself" in text
    assert "For research only" in text
    assert "| book (Apache-2.0) | 11 |" in text


def test_files_are_whole_and_repeat(folder: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    report = write_report(folder, first, seed=3, replicates=50, quiet=True)
    write_report(folder, second, seed=3, replicates=50, quiet=True)
    names = ["hops.png", "hops.svg", "report.json", "report.md"]
    assert sorted(path.name for path in first.iterdir()) == names
    assert json.loads((first / "report.json").read_text()) == report
    for name in ("report.json", "report.md", "hops.png"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert (first / "hops.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (first / "hops.svg").read_text()


def test_a_graph_with_room_for_all_that_is_kept_is_not_cut(folder: Path) -> None:
    roomy = {"policy": {**POLICY.model_dump(), "per_target": 3}, "graph": {"per_target": 3}}
    write_manifest(folder, replace(MANIFEST, config=roomy))
    _, left = shown_edges(read_evidence(folder), seed=0)
    assert (left["cut"], left["compared"]) == (0, 27)


def test_without_knowledge_only_lift_is_told(folder: Path, tmp_path: Path) -> None:
    (folder / "knowledge" / "manifest.json").unlink()
    report = write_report(folder, tmp_path / "report", replicates=10, quiet=True)
    assert "hops" not in report
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "report.json",
        "report.md",
    ]
    assert "no paths to judge" in (tmp_path / "report" / "report.md").read_text()


def test_graphs_without_an_edge_give_an_empty_table(folder: Path, tmp_path: Path) -> None:
    graph_frame([]).write_parquet(folder / "graphs" / "train-0.parquet")
    report = write_report(folder, tmp_path / "report", replicates=10, quiet=True)
    assert {row["pairs"] for row in report["hops"]} == {0}
    assert {row["share"] for row in report["hops"]} == {None}
    assert report["matching"]["support_ratio"]["median"] is None


def test_no_evidence_is_an_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no finished output"):
        write_report(tmp_path / "nothing", tmp_path / "report")
    (folder / "margins" / "dx.parquet").unlink()
    with pytest.raises(DataError, match="not of the same tasks"):
        write_report(folder, tmp_path / "report")
    write_manifest(folder, replace(MANIFEST, step="cases"))
    with pytest.raises(DataError, match="holds no evidence; got cases"):
        write_report(folder, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_replicates_and_pictures_are_checked(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs replicates"):
        write_report(folder, tmp_path / "report", replicates=0)
    with pytest.raises(ConfigError, match="no picture of this kind"):
        draw_hops([], tmp_path / "hops.pdf")


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        ((2.0, 1.5, 3.0), "more often than chance"),
        ((2.0, 1.5, None), "more often than chance"),
        ((0.5, 0.4, 0.6), "less often than chance"),
        ((1.1, 0.9, 1.3), "not told from chance"),
        ((None, None, None), "cannot be compared"),
    ],
)
def test_an_interval_is_read(ratio: tuple[float | None, ...], said: str) -> None:
    names = ("ratio", "ratio_low", "ratio_high")
    assert reading(dict(zip(names, ratio, strict=True))) == said
