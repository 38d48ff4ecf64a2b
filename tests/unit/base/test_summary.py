"""What a user reads at the end: counts and reasons, no record of anybody."""

from __future__ import annotations

from pathlib import Path

from ehrlich.base.data_use import DataUse
from ehrlich.base.store import Manifest
from ehrlich.base.summary import summary

COUNTS = {
    "rows_in": 1_234_567,
    "measurements": 1_200_000,
    "tables": {
        "labevents": {"in": 9, "dropped": {"no time": 1234, "NUL byte in the row": 1}},
        "patients": {"in": 3, "dropped": {}},
        "odd": 5,
    },
    "filled_fields": {"labevents": {"fluid": 3}},
    "files": {"data/train/0.parquet": {"bytes": 3}},
}


def manifest(counts: dict[str, object]) -> Manifest:
    return Manifest("read", DataUse.CREDENTIALED, {}, counts=counts)


def test_counts_and_reasons_are_listed_with_their_tag() -> None:
    assert summary(manifest(COUNTS), Path("charts")).splitlines() == [
        "read: wrote charts (data use: credentialed)",
        "  rows in: 1,234,567",
        "  measurements: 1,200,000",
        "  dropped, labevents: no time: 1,234",
        "  dropped, labevents: NUL byte in the row: 1",
    ]


def test_a_dry_run_says_so() -> None:
    assert summary(manifest({}), Path("charts"), dry_run=True) == (
        "read: would write charts (data use: credentialed)"
    )
