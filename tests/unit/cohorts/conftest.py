"""Small charts and their cases; and tasks whose compat definition asks for no number of events."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.mini_charts import tasks

from ehrlich.charts.hospital import HospitalConfig
from ehrlich.charts.hospital import run as make_hospital
from ehrlich.charts.readers import ReadConfig, read_source
from ehrlich.cohorts.reference import without_filters
from ehrlich.cohorts.run import CasesConfig, run
from ehrlich.cohorts.task import Task


@pytest.fixture(scope="session")
def relaxed() -> dict[str, Task]:
    return {name: without_filters(task) for name, task in tasks().items()}


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Charts of 150 synthetic patients in several shards, under either policy."""
    folder = tmp_path_factory.mktemp("cohorts")
    make_hospital(HospitalConfig(patients=150, seed=3, workers=1, quiet=True), folder / "in")
    for policy in ("strict", "compat"):
        config = ReadConfig(policy=policy, workers=1, quiet=True, shard_rows=20_000)
        read_source(config, folder / "in", folder / policy)
    return {"strict": folder / "strict", "compat": folder / "compat"}


@pytest.fixture(scope="session")
def hospital_cases(hospital: dict[str, Path]) -> dict[str, Path]:
    """Their cases, of every task of either suite."""
    out = {policy: charts.with_name(f"cases_{policy}") for policy, charts in hospital.items()}
    for policy, suite in (("strict", "all"), ("compat", "ehr_bench_compat")):
        run(CasesConfig(suite=suite, workers=1, quiet=True), hospital[policy], out[policy])
    return out
