"""Evidence of a small hospital: what its graphs may rest on, and what its lift was fitted on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.small_evidence import TASKS, Small, contents, one_task, small_hospital

from ehrlich.base.contracts import graphs_schema, lift_schema
from ehrlich.base.store import MANIFEST, STARTED, read_json, read_manifest
from ehrlich.charts.timeline import Charts, is_visible
from ehrlich.cohorts.finished import Inputs
from ehrlich.evidence import run as evidence
from ehrlich.evidence.config import EvidenceConfig
from ehrlich.evidence.run import PARTS, plan, run

EDGE = ["case_id", "target", "history"]
FIGURES = ["n_both", "lift", "p"]
ALL_PAIRS = """
unit: subject
strata: 1
min_history: 2
min_both: 2
min_lift: 1
"""


def config(**settings: Any) -> EvidenceConfig:
    usual: dict[str, Any] = {"knowledge": "none", "workers": 1, "quiet": True}
    return EvidenceConfig(**(usual | settings))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return small_hospital(tmp_path_factory)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evidence")


@pytest.fixture(scope="module")
def textbook(small: Small, folder: Path) -> Path:
    """Evidence of all tasks, with the textbook's knowledge."""
    run(config(knowledge="textbook"), Inputs(*small), folder / "textbook")
    return folder / "textbook"


@pytest.fixture(scope="module")
def alone(small: Small, folder: Path) -> Path:
    """Evidence of one task, by co-occurrence alone."""
    run(config(), Inputs(small.charts, one_task(small)), folder / "alone")
    return folder / "alone"


def graphs(out: Path, split: str = "*") -> pl.DataFrame:
    return pl.read_parquet(out / "graphs" / f"{split}-*.parquet").sort("case_id", "target", "rank")


def cases_of(folder: Path, task: str = "*", split: str = "*") -> pl.DataFrame:
    paths = sorted(path for path in folder.glob(f"{task}/{split}-*.parquet"))
    return pl.concat([pl.read_parquet(path) for path in paths], how="diagonal_relaxed")


# -- what graphs rest on --------------------------------------------------------------------------


def test_every_edge_points_at_a_measurement_that_could_be_seen(
    small: Small, textbook: Path
) -> None:
    charts = Charts(small.charts)
    keys = ["subject_id", "event", "row_id"]
    rows = pl.concat([charts.read(shard) for shard in charts.shards()]).with_columns(
        pl.col("event").cast(pl.UInt32)
    )
    times = cases_of(small.cases).select("case_id", "subject_id", "prediction_time").unique()
    edges = graphs(textbook)
    placed = edges.drop("time").join(rows, on=keys).join(times, on=["case_id", "subject_id"])
    assert edges.height == placed.height > 1000
    assert placed.select(is_visible(pl.col("prediction_time")).all()).item()
    assert (edges.sort(EDGE)["time"] == placed.sort(EDGE)["time"]).drop_nulls().all()


def test_graphs_of_true_answers_are_those_of_train_and_of_nobody_else(textbook: Path) -> None:
    marked = {
        split: set(graphs(textbook, split)["conditioned"])
        for split in ("train", "held_out", "tuning")
    }
    assert marked == {"train": {True}, "held_out": {False}, "tuning": set()}


def test_all_graphs_have_the_columns_and_the_order_of_the_contract(textbook: Path) -> None:
    for path in (textbook / "graphs").glob("*.parquet"):
        found = pl.read_parquet(path)
        assert dict(found.schema) == {**graphs_schema(), "task": pl.String()}
        assert found.equals(found.sort("case_id", "target", "rank"))
        assert not found.select("case_id", "target", "rank").is_duplicated().any()


def test_edges_are_ties_that_were_kept_or_known(textbook: Path) -> None:
    kept = pl.concat(
        pl.read_parquet(path).filter("kept").select("target", "history", task=pl.lit(path.stem))
        for path in (textbook / "lift").glob("*.parquet")
    )
    paths = pl.read_parquet(textbook / "paths.parquet")
    edges = graphs(textbook)
    together = edges.filter(pl.col("lift").is_not_null())
    assert together.join(kept, on=["task", "target", "history"], how="anti").is_empty()
    known = edges.filter(pl.col("lift").is_null())
    assert known.height > 0
    assert known["hops"].max() <= 1  # type: ignore[operator]
    told = known.join(paths.filter("alone"), on=["target", "history"], how="anti")
    assert told.is_empty()
    ends = edges.drop_nulls("path")
    assert (ends["path"].list.first() == ends["target"]).all()
    assert (ends["path"].list.last() == ends["history"]).all()


def test_all_cases_of_a_held_out_task_have_the_same_candidates(textbook: Path) -> None:
    margins = pl.read_parquet(textbook / "margins" / "diagnoses_ccs.parquet")
    n = margins.filter(pl.col("side") == "target").group_by("concept").agg(pl.col("n").sum())
    first = n.sort("n", "concept", descending=[True, False]).head(50)["concept"]
    asked = graphs(textbook, "held_out").filter(pl.col("task") == "diagnoses_ccs")["target"]
    assert asked.n_unique() > 10
    assert set(asked) <= set(first)


def test_counts_of_the_manifest_are_those_of_the_files(textbook: Path) -> None:
    said = read_manifest(textbook).counts
    edges = graphs(textbook)
    assert (said["edges"], said["cases_with_edges"]) == (edges.height, edges["case_id"].n_unique())
    assert said["paths"] == pl.read_parquet(textbook / "paths.parquet").height
    for task in TASKS:
        lift = pl.read_parquet(textbook / "lift" / f"{task}.parquet")
        assert dict(lift.schema) == lift_schema()
        line = said["by_task"][task]
        assert (line["pairs"], line["kept"]) == (lift.height, lift["kept"].sum())
        assert lift["n"].is_in([line["units"]]).all()


# -- what lift was fitted on ----------------------------------------------------------------------


def test_held_out_cases_change_no_lift_and_their_answers_no_graph(
    small: Small, alone: Path, tmp_path: Path
) -> None:
    cases = tmp_path / "cases"
    shutil.copytree(one_task(small), cases)
    gone: set[str] = set()
    for path in cases.glob("diagnoses_ccs/held_out-*.parquet"):
        held = pl.read_parquet(path)
        gone |= set(held["case_id"].gather_every(2))
        other = held.filter(~pl.col("case_id").is_in(list(gone)))
        assert other.height > 3
        wrong = pl.col("answer").reverse()
        other.with_columns(wrong).write_parquet(path)
    run(config(), Inputs(small.charts, cases), tmp_path / "out")
    for part in ("lift", "margins"):
        name = f"{part}/diagnoses_ccs.parquet"
        assert (tmp_path / "out" / name).read_bytes() == (alone / name).read_bytes()
    assert graphs(tmp_path / "out", "train").equals(graphs(alone, "train"))
    before = graphs(alone, "held_out").filter(~pl.col("case_id").is_in(list(gone)))
    after = graphs(tmp_path / "out", "held_out")
    assert after.height > 50
    assert after.equals(before)


def test_a_train_case_reads_the_figures_of_a_fit_without_its_subject(
    small: Small, tmp_path: Path
) -> None:
    policy = tmp_path / "all.yaml"
    policy.write_text(ALL_PAIRS)
    settings = config(policy=str(policy))
    cases = tmp_path / "cases"
    shutil.copytree(one_task(small), cases)
    run(settings, Inputs(small.charts, cases), tmp_path / "with")
    edges = graphs(tmp_path / "with", "train")
    subject = edges.group_by("subject_id").len().sort("len", "subject_id")["subject_id"][-1]
    own = edges.filter(pl.col("subject_id") == subject)
    for path in cases.glob("diagnoses_ccs/train-*.parquet"):
        pl.read_parquet(path).filter(pl.col("subject_id") != subject).write_parquet(path)
    run(settings, Inputs(small.charts, cases), tmp_path / "without")
    lift = "lift/diagnoses_ccs.parquet"
    anew = pl.read_parquet(tmp_path / "without" / lift).select("target", "history", *FIGURES)
    before = pl.read_parquet(tmp_path / "with" / lift).select("target", "history", *FIGURES)
    both = own.join(anew, on=["target", "history"], suffix="_anew")
    assert both.height == own.height > 10
    assert (both["n_both"] == both["n_both_anew"]).all()
    for figure in ("lift", "p"):
        assert both[figure].to_list() == pytest.approx(both[f"{figure}_anew"].to_list(), rel=1e-9)
    counted = own.join(before, on=["target", "history"], suffix="_with")
    assert (counted["n_both_with"] >= counted["n_both"]).all()
    assert (counted["n_both_with"] > counted["n_both"]).any()


# -- the same bytes -------------------------------------------------------------------------------


def test_a_finished_run_is_left_as_it_is(small: Small, alone: Path) -> None:
    before = (alone / MANIFEST).stat().st_mtime_ns
    manifest = run(config(workers=2), Inputs(small.charts, one_task(small)), alone)
    assert manifest.counts == read_manifest(alone).counts
    assert (alone / MANIFEST).stat().st_mtime_ns == before


@pytest.mark.parametrize("stop", ["find_shard", "fit_task", "tie", "draw_shard", "write_manifest"])
def test_a_run_that_broke_off_goes_on_to_the_same_bytes(
    small: Small, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    out, inputs = tmp_path / "out", Inputs(small.charts, one_task(small))
    real, calls = getattr(evidence, stop), [0]

    def broken(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == (3 if stop in ("find_shard", "draw_shard") else 1):
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(evidence, stop, broken)
        run(config(), inputs, out)
    assert (out / STARTED).is_file()
    assert not (out / MANIFEST).is_file()
    run(config(resume=True), inputs, out)
    assert contents(out) == contents(alone)


def test_a_run_killed_while_it_tidies_up_is_finished(
    small: Small, alone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(alone, out)
    (out / PARTS / "found").mkdir(parents=True)
    run(config(), Inputs(small.charts, one_task(small)), out)
    assert contents(out) == contents(alone)
    assert not (out / PARTS).exists()


@pytest.mark.slow
def test_two_workers_give_the_same_bytes(small: Small, textbook: Path, tmp_path: Path) -> None:
    run(config(knowledge="textbook", workers=2), Inputs(*small), tmp_path / "two")
    assert contents(tmp_path / "two") == contents(textbook)


# -- settings -------------------------------------------------------------------------------------


def test_a_limit_is_of_the_same_subjects_in_charts_and_cases(small: Small, tmp_path: Path) -> None:
    charts = Charts(small.charts)
    run(config(limit=9), Inputs(small.charts, one_task(small)), tmp_path / "out")
    first = {
        subject
        for shard in charts.shards()
        for subject in charts.read(shard)["subject_id"].unique(maintain_order=True).head(9)
    }
    mine = cases_of(one_task(small), "diagnoses_ccs", "train").filter(
        pl.col("subject_id").is_in(list(first))
    )
    lift = read_manifest(tmp_path / "out").counts["by_task"]["diagnoses_ccs"]
    assert 0 < lift["units"] == mine["subject_id"].n_unique()


def test_a_plan_writes_nothing(small: Small, tmp_path: Path) -> None:
    planned = plan(config(), Inputs(*small), tmp_path / "out")
    shards = sum(1 for _ in Charts(small.charts).shards())
    assert planned.counts == {"tasks": len(TASKS), "shards": shards}
    assert not (tmp_path / "out").exists()


def test_the_textbook_lies_beside_what_rests_on_it(textbook: Path) -> None:
    manifest = read_json(textbook / MANIFEST)
    assert Path(manifest["inputs"]["knowledge"]) == (textbook / "knowledge").resolve()
    assert read_manifest(textbook / "knowledge").counts["edges"] > 1000


def test_without_knowledge_there_are_neither_links_nor_paths(alone: Path) -> None:
    assert not (alone / "links.parquet").exists()
    assert pl.read_parquet(alone / "paths.parquet").is_empty()
    assert graphs(alone)["path"].null_count() == graphs(alone).height > 0
