"""The first pass: every row lands once, in its subject's bucket, and a done table is kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ehrlich.base.progress import Bar, progress_bar
from ehrlich.charts.readers import partition
from ehrlich.charts.readers.blocks import ROW, read_blocks, read_header
from ehrlich.charts.readers.buckets import Buckets
from ehrlich.charts.readers.columns import SUBJECT, Kind, SourceTable
from ehrlich.charts.readers.partition import (
    DONE,
    FILE_SHIFT,
    Partition,
    SourceFile,
    Tally,
    partition_table,
    read_bucket_range,
)

TABLE = SourceTable("things", "hosp", {"note": Kind.TEXT}, True)
BUCKETS = Buckets()
SUBJECTS = [(i * 37) % 101 for i in range(1000)]


@pytest.fixture
def bar() -> Bar:
    with progress_bar(1, "", quiet=True) as silent:
        return silent


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "read_blocks", lambda path: read_blocks(path, 700))


def source(folder: Path, *, index: int = 0, form: str = "csv") -> SourceFile:
    """A thousand rows; of the text ones, two are bad."""
    path = folder / f"things{index}.{form}"
    folder.mkdir(parents=True, exist_ok=True)
    if form == "parquet":
        notes = [f"{index}:{i}" for i in range(len(SUBJECTS))]
        pl.DataFrame({SUBJECT: SUBJECTS, "note": notes}).write_parquet(path)
    else:
        lines = [f"{subject},{index}:{i}" for i, subject in enumerate(SUBJECTS)]
        lines[500] = "too,many,columns"
        lines[900] = "none,at all"
        path.write_text("subject_id,note\n" + "\n".join(lines))
    return SourceFile(TABLE, path, read_header(path, TABLE), index)


def everything(spill: Path) -> pl.DataFrame:
    """All rows as the file has them; each subject's stand so already."""
    rows = read_bucket_range(spill / "things", 0, high=3 * 8192)
    assert rows is not None
    for _, own in rows.group_by(SUBJECT):
        assert own[ROW].is_sorted()
    return rows.sort(ROW)


@pytest.mark.parametrize("threads", [1, 3])
def test_every_row_lands_once_in_its_subjects_bucket(
    tmp_path: Path, bar: Bar, threads: int
) -> None:
    spill = tmp_path / "spill"
    tally = partition_table([source(tmp_path)], Partition(spill, BUCKETS, threads), bar=bar)
    assert len(list((spill / "things").glob("*.parquet"))) > 10
    assert (tally.records, tally.kept) == (1000, 998)
    assert dict(tally.dropped) == {"wrong number of columns": 1, "no readable subject_id": 1}
    rows = everything(spill)
    assert rows.select(SUBJECT, "note").rows() == [
        (subject, f"0:{i}") for i, subject in enumerate(SUBJECTS) if i not in (500, 900)
    ]
    # Numbered through all blocks, bad rows counted: traceable to the line of the file.
    assert rows[ROW].to_list() == [i + 1 for i in range(1000) if i not in (500, 900)]
    for low, high in ((0, 4000), (4000, 8192), (8192, 3 * 8192)):
        part = read_bucket_range(spill / "things", low, high=high)
        assert part is not None
        buckets = BUCKETS.of(rows[SUBJECT].to_numpy())
        assert part.sort(ROW).equals(rows.filter(pl.Series((buckets >= low) & (buckets < high))))
        assert part.height == tally.bucket_rows[low:high].sum()


def test_rows_of_several_files_are_numbered_apart(tmp_path: Path, bar: Bar) -> None:
    files = [source(tmp_path), source(tmp_path, index=1, form="parquet")]
    tally = partition_table(files, Partition(tmp_path / "spill", BUCKETS, 2), bar=bar)
    assert (tally.records, tally.kept) == (2000, 1998)
    rows = everything(tmp_path / "spill")
    second = rows.filter(pl.col("note").str.starts_with("1:"))
    assert second[ROW].to_list() == [(1 << FILE_SHIFT) + i + 1 for i in range(1000)]
    assert rows[ROW].is_unique().all()


def test_a_table_that_is_done_is_not_read_again(tmp_path: Path, bar: Bar) -> None:
    file = source(tmp_path)
    settings = Partition(tmp_path / "spill", BUCKETS, 2)
    before = partition_table([file], settings, bar=bar)
    held = everything(tmp_path / "spill")
    file.path.write_text("no longer what it was")
    again = partition_table([file], settings, bar=bar)
    assert again.as_json() == before.as_json()
    assert (again.bucket_rows == before.bucket_rows).all()
    assert everything(tmp_path / "spill").equals(held)


def test_a_table_that_was_left_half_done_is_laid_anew(tmp_path: Path, bar: Bar) -> None:
    settings = Partition(tmp_path / "spill", BUCKETS, 2)
    partition_table([source(tmp_path)], settings, bar=bar)
    folder = tmp_path / "spill" / "things"
    (folder / DONE).unlink()
    (folder / "0-77.parquet").write_bytes(b"half a block")
    tally = partition_table([source(tmp_path)], settings, bar=bar)
    assert tally.kept == everything(tmp_path / "spill").height == 998


def test_a_tally_survives_its_json(tmp_path: Path, bar: Bar) -> None:
    tally = partition_table([source(tmp_path)], Partition(tmp_path / "s", BUCKETS, 1), bar=bar)
    again = Tally.from_json(json.loads(json.dumps(tally.as_json())), 3)
    assert again.as_json() == json.loads(json.dumps(tally.as_json())) | {
        "buckets": tally.as_json()["buckets"]
    }
    assert (again.bucket_rows == tally.bucket_rows).all()


def test_a_limit_keeps_whole_subjects_and_counts_the_rest(tmp_path: Path, bar: Bar) -> None:
    only = np.array([5, 42], dtype=np.int64)
    settings = Partition(tmp_path / "spill", BUCKETS, 2, only)
    tally = partition_table([source(tmp_path)], settings, bar=bar)
    rows = everything(tmp_path / "spill")
    assert set(rows[SUBJECT]) == {5, 42}
    assert rows.height == sum(subject in (5, 42) for subject in SUBJECTS)
    assert tally.dropped["beyond --limit"] == 998 - rows.height
    assert tally.records == tally.kept + tally.dropped.total()


def test_a_table_without_rows_has_no_frame(tmp_path: Path, bar: Bar) -> None:
    path = tmp_path / "things.csv"
    path.write_text("subject_id,note\n")
    file = SourceFile(TABLE, path, read_header(path, TABLE))
    tally = partition_table([file], Partition(tmp_path / "spill", BUCKETS, 2), bar=bar)
    assert (tally.records, tally.kept) == (0, 0)
    assert read_bucket_range(tmp_path / "spill" / "things", 0, high=8192) is None


def test_a_folder_name_is_no_pattern(tmp_path: Path, bar: Bar) -> None:
    spill = tmp_path / "a [1]*"
    tally = partition_table([source(tmp_path)], Partition(spill, BUCKETS, 2), bar=bar)
    assert everything(spill).height == tally.kept
