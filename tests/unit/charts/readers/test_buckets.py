"""Splits and shards: the same for ever, even, and as the user has them where he has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ehrlich.base.errors import ConfigError
from ehrlich.charts.readers.buckets import (
    PER_SPLIT,
    Buckets,
    given_splits,
    plan_shards,
    read_splits,
)

PINNED = [3175, 7746, 2441, 1748, 742, 8905, 6471]


def splits(buckets: Buckets, subjects: list[int]) -> list[str]:
    found = buckets.of(np.array(subjects, dtype=np.int64)) // PER_SPLIT
    return [buckets.names[place] for place in found]


def test_the_hash_splits_about_80_10_10() -> None:
    found = pl.Series(splits(Buckets(), list(range(10_000_000, 10_050_000))))
    shares = dict(found.value_counts(normalize=True).iter_rows())
    assert shares == pytest.approx({"train": 0.8, "tuning": 0.1, "held_out": 0.1}, abs=0.005)


def test_known_subjects_keep_their_buckets_for_ever() -> None:
    subjects = np.array([1, 2, 3, 10_000_032, 19_999_987, -1, 2**63 - 1], dtype=np.int64)
    assert Buckets(0).of(subjects).tolist() == PINNED
    assert Buckets(7).of(subjects).tolist() != PINNED


def test_another_salt_is_another_split() -> None:
    subjects = list(range(1000))
    same = sum(a == b for a, b in zip(splits(Buckets(0), subjects), splits(Buckets(1), subjects), strict=True))  # noqa: E501 # fmt: skip
    assert 550 < same < 800  # 0.8² + 0.1² + 0.1² = 0.66 by chance


def test_given_splits_win_and_others_go_by_hash() -> None:
    given_ = pl.DataFrame({"subject_id": [30, 10, 20], "split": ["tuning", "held_out", "pilot"]})
    buckets = given_splits(given_, "here")
    assert buckets.names == ("train", "tuning", "held_out", "pilot")
    assert splits(buckets, [10, 20, 30]) == ["held_out", "pilot", "tuning"]
    others = list(range(1000, 1200))
    assert splits(buckets, others) == splits(Buckets(), others)


def test_the_place_within_a_split_is_the_same_given_or_hashed() -> None:
    subjects = np.arange(50, dtype=np.int64)
    given_ = pl.DataFrame({"subject_id": subjects, "split": ["train"] * 50})
    assert (given_splits(given_, "here").of(subjects) == Buckets().of(subjects) % PER_SPLIT).all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"subject_id": [1, 1], "split": ["train", "tuning"]}, "1 subjects stand in two splits"),
        ({"patient": [1], "split": ["train"]}, "no subject_splits table"),
        ({"subject_id": ["a"], "split": ["train"]}, "1 rows lack a split or an integer"),
        ({"subject_id": [1], "split": [None]}, "1 rows lack a split or an integer"),
    ],
)
def test_splits_that_are_none_are_refused(columns: dict[str, list[object]], message: str) -> None:
    frame = pl.DataFrame(columns, schema_overrides={"split": pl.String})
    with pytest.raises(ConfigError, match=message):
        given_splits(frame, "here")


def test_a_splits_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    path.write_text("subject_id,split\n1,train\n")
    with pytest.raises(ConfigError, match="cannot be read as parquet"):
        read_splits(path)


@given(
    rows=st.lists(st.tuples(st.integers(0, 2 * PER_SPLIT - 1), st.integers(1, 900)), max_size=80),
    target=st.integers(1, 5000),
)
@settings(max_examples=60)
def test_every_bucket_with_rows_is_in_one_shard(rows: list[tuple[int, int]], target: int) -> None:
    held = np.zeros(2 * PER_SPLIT, dtype=np.int64)
    for bucket, count in rows:
        held[bucket] += count
    shards = plan_shards(held, ("train", "tuning"), target_rows=target)
    inside = np.zeros_like(held)
    for shard in shards:
        inside[shard.low : shard.high] += 1
        assert held[shard.low : shard.high].sum() > 0
        assert shard.low // PER_SPLIT == (shard.high - 1) // PER_SPLIT
        assert shard.split == ("train", "tuning")[shard.low // PER_SPLIT]
    assert (inside[held > 0] == 1).all()
    assert len({shard.name for shard in shards}) == len(shards)
    for split in ("train", "tuning"):
        numbers = [shard.number for shard in shards if shard.split == split]
        assert numbers == list(range(len(numbers)))


def test_shards_of_many_subjects_are_even() -> None:
    rows = np.random.default_rng(0).poisson(40, 2 * PER_SPLIT).astype(np.int64)
    shards = plan_shards(rows, ("train", "tuning"), target_rows=20_000)
    sizes = [int(rows[shard.low : shard.high].sum()) for shard in shards]
    assert len(shards) == pytest.approx(rows.sum() / 20_000, abs=2)
    assert max(sizes) - min(sizes) < 0.05 * np.mean(sizes)


def test_no_rows_make_no_shard() -> None:
    assert (
        plan_shards(np.zeros(3 * PER_SPLIT, dtype=np.int64), ("a", "b", "c"), target_rows=100) == []
    )
