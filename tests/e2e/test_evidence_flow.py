"""Cases → evidence by the verbs: its knowledge, its policies, what is refused, and a killed run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from tests.e2e.conftest import Door
from tests.small_evidence import Small, contents, one_task, small_hospital
from tests.unit.evidence.knowledge.open_shelf import write_shelf
from tests.unit.evidence.knowledge.test_umls import CONSO, REL, STY

from ehrlich.evidence.knowledge.open import build as open_build

QUIET = ("--workers", "1", "--quiet")
# Runs the door, and kills its own process just before the Nth call of an os function.
KILLED_AT = """
import os, sys
name, n = sys.argv[1], int(sys.argv[2])
real, calls = getattr(os, name), [0]
def counted(*args, **kwargs):
    calls[0] += 1
    if calls[0] == n:
        os.kill(os.getpid(), 9)
    return real(*args, **kwargs)
setattr(os, name, counted)
del sys.argv[1:3]
from ehrlich.__main__ import main
main()
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    made = small_hospital(tmp_path_factory)
    return Small(made.charts, one_task(made))


def edges(out: Path, name: str = "*") -> pl.DataFrame:
    return pl.read_parquet(out / "graphs" / f"{name}.parquet")


# -- knowledge and policies -----------------------------------------------------------------------


def test_the_textbook_ties_what_comes_together(door: Door, small: Small, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = door("evidence", *small, "--out", out, "--workers", "1", "--json")
    assert ended.code == 0, ended.err
    said = json.loads(ended.out)
    found = edges(out)
    assert said["counts"]["edges"] == found.height
    assert said["data_use"] == "synthetic"
    tied = found.filter(pl.col("lift").is_not_null() & pl.col("hops").is_not_null())
    assert tied.height > 50
    assert {path.name for path in out.iterdir()} == {
        "concepts.parquet", "coverage.parquet", "graphs", "knowledge", "lift", "links.parquet",
        "manifest.json", "margins", "paths.parquet",
    }  # fmt: skip


def test_an_edge_list_of_ones_own_ties_by_name(door: Door, small: Small, tmp_path: Path) -> None:
    out = tmp_path / "none"
    paper = ("--policy", "paper")
    ended = door("evidence", *small, "--out", out, "--knowledge", "none", *paper, *QUIET)
    assert ended.code == 0, ended.err
    drugs = edges(out).filter(pl.col("history").str.starts_with("drug//"))
    assert drugs["path"].null_count() == drugs.height > 0
    target, history = drugs.group_by("target", "history").len().sort("len").row(-1)[:2]
    lines = ["head\trelation\ttail\thead_kind\ttail_kind"]
    names = [concept.partition("//")[2] for concept in (history, target)]
    lines.append("\t".join([names[0], "treats", names[1], "drug", "disease"]))
    (tmp_path / "own.tsv").write_text("\n".join(lines))
    built = door("evidence", "knowledge", "edges", tmp_path / "own.tsv", "--out", tmp_path / "own",
                 "--source", "my ward", "--quiet")  # fmt: skip
    assert built.code == 0, built.err
    own = ("--knowledge", tmp_path / "own")
    ended = door("evidence", *small, "--out", tmp_path / "out", *own, *paper, *QUIET)
    assert ended.code == 0, ended.err
    told = edges(tmp_path / "out").drop_nulls("path").filter(pl.col("target") != pl.col("history"))
    assert set(told.select("target", "history").iter_rows()) == {(target, history)}
    assert told["path"].list.len().unique().to_list() == [3]
    assert set(told["hops"]) == {1}
    assert "my ward" in str(told["sources"][0].to_list())


def test_a_limit_shortens_and_a_dry_run_writes_nothing(
    door: Door, small: Small, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    none = ("--knowledge", "none", "--limit", "8")
    ended = door("evidence", *small, "--out", out, *none, "--dry-run", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["counts"]["tasks"] == 1
    assert not out.exists()
    ended = door("evidence", *small, "--out", out, *none, *QUIET)
    assert (ended.code, ended.out) == (0, "")
    again = door("evidence", *small, "--out", out, "--knowledge", "none", *QUIET)
    assert again.code == 2
    assert "other settings" in again.err


@pytest.mark.slow
def test_killed_and_resumed_the_bytes_are_the_same(small: Small, tmp_path: Path) -> None:
    options = ("--knowledge", "textbook", *QUIET)
    here = ["evidence", str(small.charts), str(small.cases), *options, "--resume", "--out"]
    whole, out = str(tmp_path / "whole"), str(tmp_path / "out")
    subprocess.run([sys.executable, "-m", "ehrlich", *here, whole], check=True)
    # Each is counted from the start of the attempt that it ends; the last two while it tidies up.
    kills = 0
    for name, moment in (("replace", 2), ("replace", 25), ("unlink", 3), ("rmdir", 2)):
        command = [sys.executable, "-c", KILLED_AT, name, str(moment), *here, out]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        kills += ended.returncode == -signal.SIGKILL
        assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    assert kills >= 3
    ended = subprocess.run([sys.executable, "-m", "ehrlich", *here, out], capture_output=True,
                           text=True, check=False)  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert contents(Path(out)) == contents(Path(whole))


# -- the verbs of knowledge -----------------------------------------------------------------------


def test_each_builder_writes_a_graph(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = tmp_path / "META"
    release.mkdir()
    for name, lines in (("MRCONSO", CONSO), ("MRREL", REL), ("MRSTY", STY)):
        (release / f"{name}.RRF").write_text("".join(lines), encoding="utf-8")
    shelf = write_shelf(tmp_path / "shelf")
    # The pins of the shelf in place of those of the real packages.
    monkeypatch.setattr(open_build, "source_list", lambda: shelf.listed)
    monkeypatch.setenv("EHRLICH_CACHE", str(tmp_path / "cache"))
    shelves = ("--sources", shelf.sources, "--wheels", shelf.wheels, "--no-fetch")
    for use, arguments in (
        ("synthetic", ("textbook",)),
        ("credentialed", ("umls", release)),
        ("open", ("open", *shelves, "--deny", "CC0-1.0")),
    ):
        out = tmp_path / arguments[0]
        ended = door("evidence", "knowledge", *arguments, "--out", out, "--json")
        assert ended.code == 0, ended.err
        said = json.loads(ended.out)
        assert said["data_use"] == use
        assert said["counts"]["edges"] == pl.read_parquet(out / "edges.parquet").height > 0


# -- refusals -------------------------------------------------------------------------------------


def refused(door: Door, *arguments: str | Path) -> str:
    ended = door("evidence", *arguments)
    assert ended.code == 2, ended.out
    assert "Traceback" not in ended.err
    return " ".join(ended.err.split())


def test_what_cannot_be_is_refused_in_one_sentence(
    door: Door, small: Small, tmp_path: Path
) -> None:
    out = ("--out", tmp_path / "out")
    other = tmp_path / "cases"
    other.mkdir()
    body = json.loads((small.cases / "manifest.json").read_text())
    body["config"]["charts"] = "0123456789abcdef"
    (other / "manifest.json").write_text(json.dumps(body))
    (tmp_path / "unfinished").mkdir()
    broken = tmp_path / "policy.yaml"
    broken.write_text("unit: patient\n")
    for arguments, expected in (
        ((small.charts, other), "built from other charts"),
        ((small.charts, small.charts), "holds no cases"),
        ((tmp_path / "unfinished", small.cases), "no finished output"),
        ((small.charts, tmp_path / "unfinished"), "no finished output"),
        ((*small, "--policy", "fdrr"), "Did you mean 'fdr'?"),
        ((*small, "--policy", broken), "policy.yaml"),
        ((*small, "--policy", tmp_path / "absent.yaml"), "absent.yaml"),
        ((*small, "--knowledge", small.charts), "is no knowledge graph"),
        ((*small, "--knowledge", "textbok"), "no finished output"),
        ((*small, "--max-hops", "4"), "max-hops"),
    ):
        assert expected in refused(door, *arguments, *out), arguments
        assert not (tmp_path / "out").exists(), arguments


def test_an_unfinished_run_asks_for_resume(door: Door, small: Small, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "out", "--knowledge", "none", "--limit", "5", *QUIET)
    assert door("evidence", *small, *out).code == 0
    (tmp_path / "out" / "manifest.json").rename(tmp_path / "out" / ".started.json")
    assert "--resume" in refused(door, *small, *out)
    assert door("evidence", *small, *out, "--resume").code == 0


def test_knowledge_that_cannot_be_is_refused_in_one_sentence(door: Door, tmp_path: Path) -> None:
    def file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    for arguments, expected in (
        (("open", "--deny", "GPL", "--no-fetch"), "no source of the open graph is under"),
        (("open", "--wheels", tmp_path, "--no-fetch"), "needs the source"),
        (("umls", tmp_path), "MRCONSO"),
        (("edges", file("a.tsv", "from\tto\nx\ty\n")), "has no column head"),
        (("edges", file("b.tsv", "head\trelation\ttail\n")), "without an edge"),
        (("edges", file("c.tsv", "")), "cannot be read as a table"),
        (("edges", file("d.xlsx", "head")), "is of no known kind"),
        (("edges", tmp_path / "absent.tsv"), "absent.tsv"),
        (("edges", file("e.csv", "head,relation,tail\nx,treats,x\n")), "without an edge"),
    ):
        out = ("--out", tmp_path / "out")
        assert expected in refused(door, "knowledge", *arguments, *out), arguments
        assert not (tmp_path / "out").exists(), arguments
