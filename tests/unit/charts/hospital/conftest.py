"""One small hospital for the tests of its records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from ehrlich.charts.hospital import HospitalConfig, run

Reader = Callable[[str], pl.DataFrame]


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hospital of 160 patients, without defects."""
    out = tmp_path_factory.mktemp("hospital") / "out"
    run(HospitalConfig(patients=160, seed=11, quiet=True), out)
    return out


@pytest.fixture(scope="session")
def table(hospital: Path) -> Reader:
    """Reads a table of it, every column as text."""

    def read(name: str) -> pl.DataFrame:
        return pl.read_csv(hospital / f"{name}.csv.gz", infer_schema=False)

    return read
