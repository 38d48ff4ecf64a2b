"""Charts as later stages read them; tests/property holds `visible` to its rule."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from ehrlich.base.contracts import measurement_schema
from ehrlich.base.errors import DataError, StoreError
from ehrlich.charts.timeline import FIELDS, Charts, has_ended, is_visible

NOON = datetime(2150, 1, 1, 12)
ONE, ELEVEN = datetime(2150, 1, 1, 13), datetime(2150, 1, 1, 11)


@pytest.mark.parametrize(
    ("time", "avail", "seen"),
    [
        (None, None, True),
        (NOON, None, True),
        (ELEVEN, NOON, True),
        (ONE, None, False),
        (ELEVEN, ONE, False),
        (None, ONE, False),
        (ONE, ELEVEN, False),
    ],
)
def test_a_row_is_seen_when_it_happened_and_was_known(
    time: datetime | None, avail: datetime | None, seen: bool
) -> None:
    row = pl.DataFrame({"time": [time], "avail_time": [avail], "at": [NOON]}).cast(
        pl.Datetime("us")
    )
    assert row.select(is_visible(NOON)).item() is seen
    assert row.select(is_visible(pl.col("at"))).item() is seen


@pytest.mark.parametrize(
    ("end", "over"), [(ELEVEN, True), (NOON, True), (ONE, False), (None, False)]
)
def test_an_end_is_known_from_its_moment_on(end: datetime | None, over: bool) -> None:
    row = pl.DataFrame({"end_time": [end]}).cast(pl.Datetime("us"))
    assert row.select(has_ended(NOON)).item() is over


def test_shards_are_named_split_by_split_and_number_by_number(sound_charts: Charts) -> None:
    names = list(sound_charts.shards())
    splits = [name.split("/")[0] for name in names]
    assert splits == sorted(splits)
    for split in set(splits):
        numbers = [int(name.split("/")[1]) for name in names if name.startswith(split + "/")]
        assert numbers == list(range(len(numbers)))
    assert len(names) > 3


def test_a_shard_is_read_in_the_contracts_columns_with_or_without_fields(
    sound_charts: Charts,
) -> None:
    for shard in sound_charts.shards():
        bare, full = sound_charts.read(shard), sound_charts.read(shard, fields=True)
        assert dict(bare.schema) == measurement_schema()
        assert full.drop(FIELDS).equals(bare)
        widths = dict(sound_charts.tables.select("table", pl.col(FIELDS).list.len()).iter_rows())
        for table, fields in full.select("table", FIELDS).iter_rows():
            assert fields is None or (len(fields) == widths[table] and any(fields))


def test_predicates_match_codes_of_the_charts(sound_charts: Charts) -> None:
    codes = pl.read_parquet(sound_charts.folder / "metadata/codes.parquet")["code"]
    for name, rule in sound_charts.predicates.items():
        assert codes.str.contains(rule.code).any() or name == "ed_death", name  # nobody here


def test_codes_count_their_rows(sound_charts: Charts) -> None:
    rows = pl.concat(sound_charts.read(shard) for shard in sound_charts.shards())
    codes = pl.read_parquet(sound_charts.folder / "metadata/codes.parquet")
    assert codes["code"].is_sorted()
    assert dict(codes.select("code", "rows").iter_rows()) == dict(
        rows.group_by("code").len().iter_rows()
    )


def test_charts_without_detail_have_null_fields(charts: Charts) -> None:
    shard = next(charts.shards())
    (charts.folder / "detail" / f"{shard}.parquet").unlink()
    assert charts.read(shard, fields=True)[FIELDS].null_count() == charts.read(shard).height


def test_what_is_not_there_is_one_sentence(charts: Charts, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such shard"):
        charts.read("train/99")
    with pytest.raises(StoreError, match="holds no finished output"):
        _ = Charts(tmp_path / "nowhere").manifest
