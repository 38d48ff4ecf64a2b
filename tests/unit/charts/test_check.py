"""`ehrlich check`: what a folder holds and what its gaps cost, before anything runs."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.small_mimic import TABLES, changed, rows_of, write_mimic

from ehrlich.charts.check import check_environment, check_folder
from ehrlich.charts.timeline import Charts


def rows_told(line: str) -> int:
    return int(line.split(" rows")[0].strip().replace(",", ""))


@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet"])
def test_every_table_is_listed_with_its_rows(tmp_path: Path, form: str) -> None:
    report = check_folder(write_mimic(tmp_path, form), "auto")
    assert report.problems == []
    told = {place: rows_told(line) for place, line in report.tables.items()}
    ignored = ("hosp/provider", "icu/caregiver", "note/discharge_detail")
    assert told == {
        place: len(rows_of(text)) - 1 for place, text in TABLES.items() if place not in ignored
    }
    assert report.facts["data use"] == "credentialed"
    assert report.facts["version"] == "2.0"
    assert report.facts["modules"] == "ed, hosp, icu, note"


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    text = TABLES["hosp/omr"].replace("\n", "\r\n\r\n")
    report = check_folder(write_mimic(tmp_path, "csv", tables=changed(omr=text)), "auto")
    assert rows_told(report.tables["hosp/omr"]) == 2


def test_what_is_missing_costs_what_the_dictionary_says(tmp_path: Path) -> None:
    tables = {
        place: text for place, text in TABLES.items()
        if not place.startswith("note/") and place != "icu/d_items"
    }  # fmt: skip
    report = check_folder(write_mimic(tmp_path, tables=tables), "auto")
    assert report.missing["note"] == "no discharge summaries or radiology reports"
    assert report.missing["d_items"] == "ICU items go by number"
    assert "discharge" not in report.missing
    assert "no problem found" in report.as_text()


def test_files_that_nobody_reads_are_named(tmp_path: Path) -> None:
    write_mimic(tmp_path)
    (tmp_path / "hosp/labevents_old.csv.gz").write_bytes(b"")
    assert check_folder(tmp_path, "auto").facts["unknown files"] == "hosp/labevents_old.csv.gz"


def test_the_version_is_told_by_its_signs(tmp_path: Path) -> None:
    newer = TABLES["hosp/patients"].replace("2017 - 2019", "2020 - 2022")
    assert check_folder(write_mimic(tmp_path / "3", tables=changed(patients=newer)), "auto").facts["version"] == "3.0 or 3.1"  # noqa: E501 # fmt: skip
    header, rest = TABLES["hosp/admissions"].split("\n", 1)
    lines = "\n".join(line + ",P1" for line in rest.splitlines())
    named = changed(admissions=f"{header},admit_provider_id\n{lines}\n")
    assert check_folder(write_mimic(tmp_path / "2", tables=named), "auto").facts["version"] == "2.1 or 2.2"  # noqa: E501 # fmt: skip


SPOILS: list[tuple[Callable[[Path], object], str]] = [
    (lambda root: (root / "hosp/admissions.csv.gz").unlink(),
     "required table admissions is missing"),
    (lambda root: (root / "hosp/omr.csv.gz").write_bytes(gzip.compress(TABLES["hosp/omr"].encode())[:-9]),  # noqa: E501
     "damaged or cut short"),
    (lambda root: (root / "hosp/omr.csv").write_text(TABLES["hosp/omr"]), "stands more than once"),
    (lambda root: (root / "manifest.json").write_text("{"), "cannot be read as JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "problem"), SPOILS)
def test_what_cannot_be_read_is_a_problem_and_no_traceback(
    tmp_path: Path, spoil: Callable[[Path], object], problem: str
) -> None:
    spoil(write_mimic(tmp_path))
    report = check_folder(tmp_path, "auto")
    assert len(report.problems) == 1
    assert problem in report.problems[0]
    assert report.as_json()["problems"] == report.problems


@pytest.mark.parametrize("name", ["nowhere", "a-file", "empty"])
def test_a_folder_that_holds_nothing_is_a_problem(tmp_path: Path, name: str) -> None:
    (tmp_path / "a-file").write_text("x")
    (tmp_path / "empty").mkdir()
    assert check_folder(tmp_path / name, "auto").problems


def test_a_manifest_that_is_no_object_is_nobodys(tmp_path: Path) -> None:
    write_mimic(tmp_path)
    (tmp_path / "manifest.json").write_text("[1]")
    assert check_folder(tmp_path, "auto").problems == []


def test_sound_charts_are_counted(sound_charts: Charts) -> None:
    report = check_folder(sound_charts.folder, "auto")
    counts = sound_charts.manifest.counts
    assert report.problems == []
    assert report.facts["measurements"] == f"{counts['measurements']:,}"
    assert report.facts["subjects"] == "60"
    assert set(report.tables) == set(counts["tables"])
    assert report.facts["splits"].startswith("held_out ")


def test_damaged_charts_are_a_problem(charts: Charts) -> None:
    path = charts.folder / "metadata/tables.parquet"
    path.write_bytes(path.read_bytes()[:50])
    assert any(
        "tables.parquet" in problem for problem in check_folder(charts.folder, "auto").problems
    )


def test_charts_whose_splits_are_lost_are_a_problem(charts: Charts) -> None:
    (charts.folder / "metadata/subject_splits.parquet").unlink()
    assert check_folder(charts.folder, "auto").problems


def test_a_meds_dataset_is_described(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    rows = {"subject_id": [1, 1], "time": [None, None], "code": ["A", "B"], "hadm_id": [1, 1], "x": [1, 2]}  # noqa: E501 # fmt: skip
    pl.DataFrame(rows, schema_overrides={"time": pl.Datetime("us")}).write_parquet(
        tmp_path / "data/0.parquet"
    )
    report = check_folder(tmp_path, "auto")
    assert report.facts["measurements"] == "2"
    assert report.facts["splits"] == "by hash (80/10/10)"
    assert report.facts["columns"] == "hadm_id as encounter_id"
    assert report.facts["further columns, kept as fields"] == "x"
    assert report.missing == {"codes.parquet": "items go by code"}


def test_the_environment_is_described() -> None:
    report = check_environment()
    assert {"python", "cores", "free disk", "ehrlich", "polars", "meds"} <= set(report.facts)
    assert report.problems == []
    assert all("pip install 'ehrlich[" in cost for cost in report.missing.values())
    json.dumps(report.as_json())
