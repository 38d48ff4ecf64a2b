"""One case out of an evidence folder, as text and as a picture."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from ehrlich.base.contracts import concepts_schema, graphs_schema
from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import ConfigError, DataError, StoreError
from ehrlich.base.store import Manifest, write_manifest
from ehrlich.evidence.show import draw_case, graph_of_case, show_text

HISTORY = "lab//creatinine//high"
TIME = datetime(2150, 1, 1, 8, 30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Case one has two edges of true answers, case two an edge of candidates, case three none."""
    out, cases = tmp_path / "evidence", tmp_path / "cases" / "dx"
    (out / "graphs").mkdir(parents=True)
    cases.mkdir(parents=True)
    edges = [
        {"case_id": "one", "target": "ccs//kidney", "history": HISTORY, "rank": rank,
         "event": 4, "time": TIME, "lift": 2.5, "n_both": 9, "q": 0.01, "conditioned": True,
         "task": "dx"}
        for rank in (2, 1)
    ]  # fmt: skip
    free = {**edges[0], "case_id": "two", "conditioned": False}
    schema = graphs_schema() | {"task": pl.String()}
    pl.DataFrame(edges, schema=schema).write_parquet(out / "graphs" / "train-0.parquet")
    pl.DataFrame([free], schema=schema).write_parquet(out / "graphs" / "held_out-1.parquet")
    pl.DataFrame().write_parquet(out / "graphs" / "tuning-0.parquet")
    for name, known in (("train-0", ["one", "three"]), ("held_out-1", ["two"])):
        times = pl.DataFrame({"case_id": known, "prediction_time": [TIME] * len(known)})
        times.write_parquet(cases / f"{name}.parquet")
    pl.DataFrame(
        [{"concept": HISTORY, "name": "Creatinine, high"}], schema=concepts_schema()
    ).write_parquet(out / "concepts.parquet")
    inputs = {"cases": str(cases.parent)}
    write_manifest(out, Manifest("evidence", DataUse.SYNTHETIC, {}, inputs=inputs))
    return out


def test_a_case_is_told_with_what_it_is(folder: Path) -> None:
    first, second, *rest = show_text(folder, "one").splitlines()
    assert first == "Task dx, split train, predicted at 2150-01-01 08:30:00."
    assert second == "Its targets are the true answers: for training only, never for a prompt."
    assert rest[0] == "Case one: true answers (training only)"
    assert sum("Creatinine, high" in line for line in rest) == 2
    assert graph_of_case(folder, "one").edges["rank"].to_list() == [1, 2]


def test_candidates_are_told_from_answers(folder: Path) -> None:
    first, second, *_ = show_text(folder, "two").splitlines()
    assert first == "Task dx, split held_out, predicted at 2150-01-01 08:30:00."
    assert second == "Its targets are candidates: no answer was looked at."


def test_cases_that_are_gone_do_not_hide_the_graph(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cases").rename(tmp_path / "elsewhere")
    text = show_text(folder, "one")
    assert "no longer" in text.splitlines()[0]
    assert "Creatinine, high" in text
    with pytest.raises(DataError, match="no such case"):
        show_text(folder, "three")


def test_a_case_is_drawn(folder: Path, tmp_path: Path) -> None:
    draw_case(folder, "one", path=tmp_path / "one.svg")
    assert "<svg" in (tmp_path / "one.svg").read_text()
    draw_case(folder, "two", path=tmp_path / "two.png")
    assert (tmp_path / "two.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match="no picture of this kind"):
        draw_case(folder, "one", path=tmp_path / "one.pdf")


def test_unknown_and_empty_cases_are_told_apart(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such case; got four"):
        show_text(folder, "four")
    with pytest.raises(DataError, match="no edge, or the case is in no sample; got three"):
        draw_case(folder, "three", path=tmp_path / "three.svg")
    assert not (tmp_path / "three.svg").exists()


def test_a_folder_of_another_step_is_an_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no finished output"):
        show_text(tmp_path, "one")
    write_manifest(folder, replace(Manifest("cases", DataUse.SYNTHETIC, {})))
    with pytest.raises(DataError, match="holds no evidence; got cases"):
        show_text(folder, "one")
