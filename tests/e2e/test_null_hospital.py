"""A hospital whose textbook ties nothing to any condition: what is kept there is false."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from benchmarks.evidence_null import LINKS, cases_without, signs_of
from benchmarks.evidence_recovery import told_and_shown

from ehrlich.charts.timeline import Charts

pytestmark = pytest.mark.slow

PATIENTS = 500


def parts_of(folder: Path, gone: tuple[str, ...]) -> tuple[pl.DataFrame, ...]:
    charts, cases = cases_without(gone, folder, patients=PATIENTS, seed=3)
    return told_and_shown(Charts(charts), cases)


def test_without_links_next_to_nothing_is_kept(tmp_path: Path) -> None:
    linked = signs_of(parts_of(tmp_path / "linked", ()), "fdr").height
    parts = parts_of(tmp_path / "cut", LINKS)
    assert linked > 100
    assert signs_of(parts, "fdr").height <= linked / 20
    # The rule of the paper keeps what chance brings: there is something to be kept from.
    assert signs_of(parts, "paper").height > linked / 20
