"""Bytes, resume, defects, errors: what `run` promises."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import ConfigError, StoreError
from ehrlich.base.parallel import map_jobs
from ehrlich.charts.hospital import HospitalConfig, plan, run
from ehrlich.charts.hospital.block import BlockJob, block_tables, write_block
from ehrlich.charts.hospital.defects import soil
from ehrlich.charts.hospital.textbook import TEXTBOOK, load_textbook

# The package re-exports the function of the same name.
run_module = import_module("ehrlich.charts.hospital.run")


def contents(folder: Path) -> dict[str, bytes]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "manifest.json")
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def jobs(parts: Path, seed: int = 3) -> list[BlockJob]:
    return [BlockJob(number=n, subjects=12, seed=seed, defects=True, parts=parts) for n in range(2)]


def test_the_same_bytes_whatever_the_workers(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    alone = dict(map_jobs(write_block, jobs(one), workers=1))
    both = dict(map_jobs(write_block, jobs(two), workers=2))
    assert alone == both
    assert contents(one) == contents(two)


def test_another_seed_is_another_hospital(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_block(jobs(tmp_path / str(seed), seed)[0])
    name = "hosp.labevents.000000.csv.gz"
    assert (tmp_path / "1" / name).read_bytes() != (tmp_path / "2" / name).read_bytes()


def test_resume_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "BLOCK", 10)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    config = HospitalConfig(patients=30, seed=5, quiet=True)
    run(config, whole)
    started: list[int] = []

    def interrupted(job: BlockJob) -> dict[str, object]:
        started.append(job.number)
        if job.number == 2:
            raise KeyboardInterrupt
        return write_block(job)

    monkeypatch.setattr(run_module, "write_block", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(config, stopped)
    assert not (stopped / "manifest.json").exists()
    monkeypatch.setattr(run_module, "write_block", write_block)
    with pytest.raises(StoreError):
        run(config, stopped)
    kept = (stopped / ".parts" / "block.000000.json").stat().st_mtime_ns
    assert kept
    manifest = run(HospitalConfig(patients=30, seed=5, quiet=True, resume=True), stopped)
    assert contents(whole) == contents(stopped)
    assert manifest.counts["patients"] == 30
    assert not (stopped / ".parts").exists()


def test_the_manifest_counts_rows(hospital: Path) -> None:
    manifest = run(HospitalConfig(patients=160, seed=11, quiet=True), hospital)
    assert manifest.data_use is DataUse.SYNTHETIC
    rows = manifest.counts["rows"]
    for name in ("hosp/labevents", "icu/chartevents", "ed/edstays", "hosp/d_labitems"):
        assert pl.read_csv(hospital / f"{name}.csv.gz", infer_schema=False).height == rows[name]
    assert pl.read_parquet(hospital / "truth/risks.parquet").height == rows["truth/risks"]


def test_a_plan_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    planned = plan(HospitalConfig(patients=1200, seed=1, limit=700))
    assert planned.counts["patients"] == 700
    assert planned.counts["blocks"] == 2
    assert not list(tmp_path.iterdir())


def test_no_patients_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs patients"):
        run(HospitalConfig(patients=0), tmp_path / "out")


def test_defects_are_as_many_as_they_say(tmp_path: Path) -> None:
    job = BlockJob(number=0, subjects=80, seed=4, defects=True, parts=tmp_path)
    _, _, clean, _ = block_tables(job)
    dirty, counts = soil(dict(clean), np.random.default_rng(0))
    assert all(counts.values())
    timed = {
        "hosp/labevents": "charttime",
        "hosp/prescriptions": "starttime",
        "hosp/pharmacy": "starttime",
        "ed/vitalsign": "charttime",
    }
    # Duplicates may repeat a row without time, so those are counted among distinct rows.
    nulls = sum(
        dirty[t].unique()[c].null_count() - clean[t][c].null_count() for t, c in timed.items()
    )
    assert nulls == counts["null_times"]
    doubled = ("hosp/labevents", "hosp/emar", "icu/chartevents", "hosp/diagnoses_icd")
    assert sum(dirty[t].height - clean[t].height for t in doubled) == counts["duplicated_rows"]
    stays = dirty["hosp/admissions"]
    assert (
        stays.filter(pl.col("dischtime") < pl.col("admittime")).height == counts["negative_stays"]
    )
    gained = clean["hosp/patients"]["dod"].null_count() - dirty["hosp/patients"]["dod"].null_count()
    assert gained == counts["death_on_day_of_discharge"]
    for name, key in (("hosp/transfers", "transfer_id"), ("icu/inputevents", "orderid")):
        assert not dirty[name][key].equals(clean[name][key]), name
        assert dirty[name][key].sort().equals(clean[name][key].sort()), name


def test_ids_of_blocks_do_not_meet(tmp_path: Path) -> None:
    one, two = (block_tables(job)[2] for job in jobs(tmp_path))
    for name, key in (
        ("hosp/patients", "subject_id"),
        ("hosp/admissions", "hadm_id"),
        ("hosp/transfers", "transfer_id"),
        ("hosp/pharmacy", "pharmacy_id"),
    ):
        assert not set(one[name][key].to_list()) & set(two[name][key].to_list()), name


def copied_textbook(tmp_path: Path) -> Path:
    for path in TEXTBOOK.rglob("*.yaml"):
        there = tmp_path / "book" / path.relative_to(TEXTBOOK)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path / "book"


def test_an_unknown_reference_names_the_near_one(tmp_path: Path) -> None:
    book = copied_textbook(tmp_path)
    path = sorted((book / "conditions").glob("*.yaml"))[0]
    conditions = yaml.safe_load(path.read_text(encoding="utf-8"))
    conditions[0]["tests"] = ["cbcc"]
    path.write_text(yaml.safe_dump(conditions), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"no panel or lab has the key 'cbcc'.*cbc"):
        load_textbook(book)


def test_an_unknown_key_names_file_and_line(tmp_path: Path) -> None:
    book = copied_textbook(tmp_path)
    path = book / "catalog" / "specimens.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("lag_h: 120", "lag_h: 120, lagh: 1"),
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match=r"specimens\.yaml, line 3: unknown key 'lagh'.*'lag_h'"):
        load_textbook(book)


def test_the_textbook_is_broad_and_whole() -> None:
    book = load_textbook()
    assert sum(c.kind == "acute" and c.weight > 0 for c in book.conditions.values()) >= 60
    for condition in book.conditions.values():
        if condition.kind == "acute" and condition.weight:
            assert condition.chief_complaints, condition.key
