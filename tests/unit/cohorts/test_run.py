"""`ehrlich cases` over shards: counts that close, resume, the same bytes for any workers."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.mini_charts import source, tasks

from ehrlich.base.errors import StoreError, TaskError
from ehrlich.base.store import read_manifest
from ehrlich.charts.readers import ReadConfig, read_source
from ehrlich.charts.timeline import Charts
from ehrlich.cohorts import run as run_module
from ehrlich.cohorts.build import cases_of
from ehrlich.cohorts.run import CasesConfig, plan_cases, run
from ehrlich.cohorts.scene import Source

FEW = ("labevents", "inpatient_mortality", "diagnoses_icd")


def config(**changes: object) -> CasesConfig:
    stated: dict[str, object] = {"tasks": FEW, "workers": 1, "quiet": True}
    return CasesConfig(**(stated | changes))  # type: ignore[arg-type]


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*.parquet"))
    }


def labs(folder: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in sorted((folder / "labevents").iterdir())])


@pytest.mark.parametrize("policy", ["strict", "compat"])
def test_anchors_are_cases_and_what_was_dropped(
    hospital_cases: dict[str, Path], policy: str
) -> None:
    counts = read_manifest(hospital_cases[policy]).counts
    for name, line in counts["tasks"].items():
        assert line["in"] == line["cases"] + sum(line["dropped"].values()), name
        by_split = sum(part["cases"] for part in line["splits"].values())
        on_disk = sum(
            pl.read_parquet(path).height for path in (hospital_cases[policy] / name).iterdir()
        )
        assert line["cases"] == by_split == on_disk, name
    assert counts["cases"] == sum(line["cases"] for line in counts["tasks"].values())


def test_shards_are_several_and_keep_their_splits(
    hospital: dict[str, Path], hospital_cases: dict[str, Path]
) -> None:
    shards = list(Charts(hospital["strict"]).shards())
    assert len(shards) > 3
    for shard in shards:
        path = hospital_cases["strict"] / "labevents" / f"{shard.replace('/', '-')}.parquet"
        assert set(pl.read_parquet(path)["split"]) <= {shard.partition("/")[0]}
    samples = pl.read_parquet(hospital_cases["strict"] / "samples" / "ehr_bench.parquet")
    assert set(samples["split"]) == {"held_out"}
    assert set(pl.read_parquet(hospital_cases["strict"] / "samples" / "ehr_ins.parquet")["split"]) == {"train"}  # noqa: E501 # fmt: skip


def test_two_workers_write_the_same_bytes(hospital: dict[str, Path], tmp_path: Path) -> None:
    run(config(), hospital["strict"], tmp_path / "one")
    run(config(workers=2), hospital["strict"], tmp_path / "two")
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert not (tmp_path / "one" / ".parts").exists()


def test_an_interrupted_run_is_finished_by_resume(
    hospital: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config(), hospital["strict"], tmp_path / "whole")
    calls: list[int] = []

    def failing(*arguments: object) -> object:
        calls.append(1)
        if len(calls) > 4:
            raise KeyboardInterrupt
        return cases_of(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(run_module, "cases_of", failing)
    out = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        run(config(), hospital["strict"], out)
    assert not (out / "manifest.json").exists()
    monkeypatch.setattr(run_module, "cases_of", cases_of)
    with pytest.raises(StoreError, match="unfinished"):
        run(config(), hospital["strict"], out)
    run(config(resume=True), hospital["strict"], out)
    assert files(out) == files(tmp_path / "whole")
    # A finished run is not made again.
    assert run(config(), hospital["strict"], out).counts == read_manifest(out).counts


def test_a_limit_takes_subjects_and_changes_nothing_else(
    hospital: dict[str, Path], tmp_path: Path
) -> None:
    run(config(limit=2), hospital["strict"], tmp_path / "few")
    run(config(), hospital["strict"], tmp_path / "all")
    few, whole = (labs(tmp_path / name) for name in ("few", "all"))
    assert 0 < few["subject_id"].n_unique() < whole["subject_id"].n_unique()
    assert few.drop("weight").join(whole, on="case_id", how="anti").is_empty()


def test_a_suite_needs_charts_of_its_policy(hospital: dict[str, Path]) -> None:
    with pytest.raises(TaskError, match="needs charts read with --policy compat"):
        plan_cases(config(suite="ehr_bench_compat"), Charts(hospital["strict"]))


def test_unknown_names_are_refused_with_the_nearest(hospital: dict[str, Path]) -> None:
    charts = Charts(hospital["strict"])
    with pytest.raises(TaskError, match="Did you mean 'labevents'"):
        plan_cases(config(tasks=("labevent",)), charts)
    with pytest.raises(TaskError, match="no such suite"):
        plan_cases(config(suite="ehr_banch"), charts)


def test_an_empty_suite_is_refused(hospital: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "suites").mkdir()
    path = tmp_path / "suites" / "mine.yaml"
    path.write_text("suite: mine\ntitle: Mine\ndescription: None.\npolicy: strict\ntasks: []\n")
    with pytest.raises(TaskError, match="names no task"):
        plan_cases(
            config(suite="mine", tasks_folder=tmp_path, tasks=()), Charts(hospital["strict"])
        )


@pytest.mark.parametrize(
    ("task", "without", "reason"),
    [
        ("inpatient_mortality", {"admission"}, "no predicate admission"),
        ("icu_mortality_7d", {"death"}, "no predicate death"),
        ("ed_critical_outcomes", {"icu_in"}, "no predicate icu_in"),
        ("ed_reattendance_3d", {"ed_in"}, "no predicate ed_in"),
    ],
)
def test_a_task_whose_predicate_the_source_lacks_is_skipped_with_the_reason(
    task: str, without: set[str], reason: str
) -> None:
    rules = {name: rule for name, rule in source().predicates.items() if name not in without}
    bare = Source(rules, source().tables, "strict")
    assert reason in run_module._cannot(tasks()[task], bare)
    assert run_module._cannot(tasks()[task], source()) == ""


def test_a_task_whose_table_or_field_the_source_lacks_is_skipped_with_the_reason() -> None:
    tables = source().tables.filter(pl.col("table") != "labevents")
    bare = Source(source().predicates, tables, "strict")
    assert run_module._cannot(tasks()["labevents"], bare) == "no table labevents"
    fieldless = tables.with_columns(fields=pl.lit([], dtype=pl.List(pl.String)))
    bare = Source(source().predicates, fieldless, "strict")
    assert "has no field ccs" in run_module._cannot(tasks()["diagnoses_ccs"], bare)


def test_no_fitting_task_is_an_error(hospital: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: E501 # fmt: skip
    monkeypatch.setattr(run_module, "_cannot", lambda task, source: "not here")
    with pytest.raises(TaskError, match="no task of the suite fits"):
        plan_cases(config(), Charts(hospital["strict"]))


def test_a_task_of_which_the_timeline_has_nothing_is_skipped_with_near_codes(
    hospital: dict[str, Path], tmp_path: Path
) -> None:
    source_folder = tmp_path / "no-ed"
    rows = {"hosp/patients": "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod\n"
            "1,F,60,2150,2011 - 2013,\n",
            "hosp/admissions": "subject_id,hadm_id,admittime,dischtime,deathtime,admission_type,"
            "admission_location,discharge_location,insurance,language,marital_status,race,"
            "edregtime,edouttime,hospital_expire_flag\n"
            "1,7,2150-01-01 08:00:00,2150-01-04 08:00:00,,URGENT,X,HOME,M,E,S,W,,,0\n"}  # fmt: skip
    for name, text in rows.items():
        path = source_folder / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    read_source(ReadConfig(quiet=True), source_folder, tmp_path / "charts")
    plan = plan_cases(config(suite="all", tasks=()), Charts(tmp_path / "charts"))
    assert plan.skipped["radiology"] == "table radiology has no measurement here"
    assert "matches no code; near ones:" in plan.skipped["ed_hospitalization"]
    assert "inpatient_mortality" in {task.task for task in plan.tasks}
    assert plan_cases(config(suite="all", tasks=()), Charts(hospital["strict"])).skipped == {}
