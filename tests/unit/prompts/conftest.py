"""A small synthetic hospital as charts, cases and prompts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ehrlich.charts.hospital import HospitalConfig
from ehrlich.charts.hospital import run as make_hospital
from ehrlich.charts.readers import ReadConfig, read_source
from ehrlich.cohorts.finished import Inputs
from ehrlich.cohorts.run import CasesConfig
from ehrlich.cohorts.run import run as make_cases
from ehrlich.prompts.config import PromptsConfig
from ehrlich.prompts.run import run

ASKED = ("labevents", "radiology", "readmission_30d", "ed_reattendance_3d")


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Charts of 40 patients in several shards, and cases of four tasks."""
    folder = tmp_path_factory.mktemp("prompts")
    make_hospital(HospitalConfig(patients=40, seed=3, workers=1, quiet=True), folder / "in")
    read_source(
        ReadConfig(workers=1, quiet=True, shard_rows=20_000), folder / "in", folder / "charts"
    )
    make_cases(
        CasesConfig(tasks=ASKED, workers=1, quiet=True), folder / "charts", folder / "cases"
    )  # fmt: skip
    return Inputs(folder / "charts", folder / "cases")


@pytest.fixture(scope="session")
def finished(inputs: Inputs) -> Path:
    """Their prompts under a budget that cuts some."""
    out = inputs.charts.with_name("prompts")
    run(PromptsConfig(max_tokens=3000, limit=30, workers=1, quiet=True), inputs, out)
    return out
