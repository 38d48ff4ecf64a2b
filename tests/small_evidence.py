"""A small hospital, its charts in several shards and its cases, for tests of evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ehrlich.base.store import MANIFEST
from ehrlich.charts.hospital import HospitalConfig
from ehrlich.charts.hospital import run as write_hospital
from ehrlich.charts.readers import ReadConfig, read_source
from ehrlich.cohorts.run import CasesConfig
from ehrlich.cohorts.run import run as write_cases

PATIENTS = 220
TASKS = ("diagnoses_ccs", "procedures_icd", "discharge", "readmission_60d")


class Small(NamedTuple):
    """Folders that `ehrlich read` and `ehrlich cases` would write."""

    charts: Path
    cases: Path


def small_hospital(temporary: pytest.TempPathFactory) -> Small:
    """Made once a session."""
    folder = temporary.getbasetemp() / "small-evidence"
    small = Small(folder / "charts", folder / "cases")
    if not (small.cases / MANIFEST).is_file():
        write_hospital(HospitalConfig(PATIENTS, seed=5, quiet=True), folder / "hospital")
        config = ReadConfig(workers=1, shard_rows=60_000, quiet=True)
        read_source(config, folder / "hospital", small.charts)
        wanted = CasesConfig(suite="all", tasks=TASKS, workers=1, quiet=True)
        write_cases(wanted, small.charts, small.cases)
    return small


def contents(out: Path) -> dict[str, Any]:
    """Every file and its bytes; manifests without the time of their writing and without places."""
    found: dict[str, Any] = {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }
    for name in [name for name in found if name.endswith(MANIFEST)]:
        manifest = json.loads(found[name])
        assert manifest.pop("written_at")
        manifest.pop("inputs")
        found[name] = manifest
    return found


def one_task(small: Small) -> Path:
    """Cases of one task alone, for what needs several runs."""
    out = small.cases.with_name("cases-one")
    if not (out / MANIFEST).is_file():
        wanted = CasesConfig(suite="all", tasks=TASKS[:1], workers=1, quiet=True)
        write_cases(wanted, small.charts, out)
    return out
