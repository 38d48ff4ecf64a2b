"""The main job as far as it goes today: a hospital is written, read and checked, by the verbs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ehrlich.charts.timeline import Charts
from ehrlich.charts.validate import problems_of

PATIENTS = 240
Flow = tuple[Path, Path, dict[str, Any], dict[str, Any]]


def ehrlich(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ehrlich", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def done(*arguments: str | Path) -> dict[str, Any]:
    ended = ehrlich(*arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    result: dict[str, Any] = json.loads(ended.stdout)
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flow")


@pytest.fixture(scope="module", params=["clean", "dirty"])
def flow(request: pytest.FixtureRequest, folder: Path) -> Flow:
    """Folder of the hospital and of its charts, and what the two verbs said."""
    hospital, charts = folder / request.param, folder / f"{request.param}-charts"
    defects = ["--defects"] if request.param == "dirty" else []
    wrote = done(
        "hospital", "--patients", str(PATIENTS), "--seed", "7", *defects, "--out", hospital
    )
    return hospital, charts, wrote, done("read", hospital, "--out", charts)


def test_every_row_that_was_written_is_accounted_for(flow: Flow) -> None:
    hospital, _, wrote, read = flow
    tables = read["counts"]["tables"]
    for name, line in tables.items():
        module = next(path.parent.name for path in hospital.glob(f"*/{name}.csv.gz"))
        assert line["in"] == wrote["counts"]["rows"][f"{module}/{name}"]
        assert line["in"] == line["measurements"] + line["completing"] + sum(
            line["dropped"].values()
        )
    made = sum(line["measurements"] for line in tables.values())
    derived = sum(read["counts"]["derived"].values())
    assert read["counts"]["measurements"] == made + derived


def test_the_charts_are_sound_and_the_check_says_so(flow: Flow) -> None:
    hospital, charts, *_ = flow
    assert problems_of(Charts(charts)) == []
    for checked in (hospital, charts):
        ended = ehrlich("check", checked)
        assert ended.returncode == 0
        assert "no problem found" in ended.stdout
        assert "synthetic" in ended.stdout


def test_defects_are_dropped_by_the_reason_that_made_them(flow: Flow) -> None:
    _, _, wrote, read = flow
    dropped = [line["dropped"] for line in read["counts"]["tables"].values()]
    copies = sum(reasons.get("the same row again", 0) for reasons in dropped)
    untimed = sum(reasons.get("no time", 0) for reasons in dropped)
    defects = wrote["counts"].get("defects")
    if defects is None:
        assert (copies, untimed) == (0, 0)
        return
    assert all(defects.values())
    assert copies == defects["duplicated_rows"]
    # A prescription without a start still has its order's time, a pharmacy row its entry time.
    assert 0 < untimed <= defects["null_times"]


def test_the_truth_is_read_by_no_reader(flow: Flow) -> None:
    hospital, charts, *_ = flow
    assert (hospital / "truth" / "risks.parquet").is_file()
    inputs = json.loads((charts / "manifest.json").read_text())["config"]["files"]
    assert not any("truth" in name for name in inputs)


def test_deaths_in_hospital_end_the_chart_of_their_encounter(flow: Flow) -> None:
    _, charts, *_ = flow
    rows = pl.read_parquet(charts / "data" / "**" / "*.parquet")
    died = rows.filter(pl.col("code") == "HOSPITAL_DISCHARGE//DIED")
    assert died.height > 0
    deaths = rows.filter(pl.col("code") == "MEDS_DEATH").select("subject_id", death="time")
    joined = died.join(deaths, on="subject_id", how="left")
    assert joined["death"].null_count() == 0
    assert joined.select((pl.col("death") >= pl.col("time") - pl.duration(days=1)).all()).item()


def test_a_copied_manifest_does_not_make_records_synthetic(flow: Flow, tmp_path: Path) -> None:
    hospital, *_ = flow
    other = tmp_path / "records"
    (other / "hosp").mkdir(parents=True)
    for name in ("patients", "admissions"):
        frame = pl.read_csv(hospital / "hosp" / f"{name}.csv.gz", infer_schema=False)
        frame.head(20).write_csv(other / "hosp" / f"{name}.csv")
    (other / "manifest.json").write_bytes((hospital / "manifest.json").read_bytes())
    assert done("read", other, "--out", tmp_path / "charts")["data_use"] == "credentialed"


def test_a_second_run_finds_the_work_done_and_other_settings_are_refused(flow: Flow) -> None:
    hospital, charts, _, read = flow
    before = (charts / "manifest.json").stat().st_mtime_ns
    assert done("read", hospital, "--out", charts)["counts"] == read["counts"]
    assert (charts / "manifest.json").stat().st_mtime_ns == before
    refused = ehrlich("read", hospital, "--out", charts, "--policy", "compat")
    assert refused.returncode == 2
    assert "other settings" in refused.stderr
    assert "Traceback" not in refused.stderr
