"""Charts of the small MIMIC-IV, read once, and a copy to damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.small_mimic import many, write_mimic

from ehrlich.charts.readers import ReadConfig, read_source
from ehrlich.charts.timeline import Charts


@pytest.fixture(scope="session")
def sound_charts(tmp_path_factory: pytest.TempPathFactory) -> Charts:
    """Sixty patients in all three splits, several shards."""
    folder = tmp_path_factory.mktemp("sound")
    root = write_mimic(folder / "in", "csv", tables=many(20))
    read_source(ReadConfig(workers=1, quiet=True, shard_rows=400), root, folder / "out")
    return Charts(folder / "out")


@pytest.fixture
def charts(sound_charts: Charts, tmp_path: Path) -> Charts:
    """A copy of its own."""
    shutil.copytree(sound_charts.folder, tmp_path / "charts")
    return Charts(tmp_path / "charts")
