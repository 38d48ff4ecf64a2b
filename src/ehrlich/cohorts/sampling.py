"""Weights and samples: EHR-Ins (training) and EHR-Bench (testing). Fitted on train, seeded."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from ehrlich.base.hashing import stable_hash

BENCH_CASES = 500


def label_counts(cases: pl.DataFrame) -> pl.DataFrame:
    """label, n: how many train cases hold each answer item. The split it is fitted on is train."""
    train = cases.filter(pl.col("split") == "train")
    return (
        train.select(pl.col("answer").explode().alias("label"))
        .drop_nulls()
        .group_by("label")
        .len("n")
    )


def weighted(cases: pl.DataFrame, counts: pl.DataFrame, *, train_cases: int) -> pl.DataFrame:
    """`cases` with weight = 1 / mean frequency of the case's labels among train cases.

    A label that no train case holds counts as held by one. Null weight for a case without labels.
    """
    rows = cases.select("case_id", label="answer").explode("label").drop_nulls("label")
    known = rows.join(counts, on="label", how="left").with_columns(pl.col("n").fill_null(1))
    share = pl.col("n").mean() / max(train_cases, 1)
    weights = known.group_by("case_id").agg((1 / share).cast(pl.Float32).alias("weight"))
    bare = cases.drop("weight", strict=False)
    return bare.join(weights, on="case_id", how="left", maintain_order="left")


def order_of(case_ids: pl.Series, seed: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A uniform number in (0, 1) a case: for one case and seed the same, whatever the others."""
    numbers = case_ids.str.to_integer(base=16, strict=True, dtype=pl.UInt64).to_numpy()
    hashed = stable_hash(numbers.view(np.int64), seed)
    return (((hashed >> np.uint64(11)).astype(np.float64)) + 0.5) / float(1 << 53)


def instruction_sample(
    index: pl.DataFrame, caps: Mapping[str, int | None], *, seed: int
) -> pl.DataFrame:
    """Train cases for EHR-Ins: at most the task's cap, drawn by weight without replacement.

    `index`: case_id, task, split, weight. Drawing: the largest log(u) / weight (Efraimidis and
    Spirakis 2006), so a case's luck does not hang on the order or number of shards.
    """
    train = index.filter((pl.col("split") == "train") & pl.col("weight").is_not_null())
    keys = np.log(order_of(train["case_id"], seed)) / train["weight"].to_numpy()
    ranked = train.with_columns(pl.Series("_key", keys)).sort(
        "task", "_key", "case_id", descending=[False, True, False]
    )
    place = pl.int_range(pl.len()).over("task")
    cap = pl.col("task").replace_strict(dict(caps), default=None, return_dtype=pl.Int64)
    kept = ranked.filter(place < cap.fill_null(pl.len()))
    return kept.select("case_id", "task", "split", "boolean_value").sort("task", "case_id")


def bench_sample(index: pl.DataFrame, seed: int, *, size: int = BENCH_CASES) -> pl.DataFrame:
    """Held-out cases for EHR-Bench: `size` a task; for risk half yes, half no where that goes.

    Of a class with too few cases all are taken, and the other is not filled up.
    """
    held = index.filter(pl.col("split") == "held_out")
    uniform = pl.Series("_u", order_of(held["case_id"], seed))
    risk = pl.col("boolean_value").is_not_null()
    placed = (
        held.with_columns(uniform)
        .sort("task", "_u")
        .with_columns(pl.int_range(pl.len()).over("task", "boolean_value").alias("_place"))
    )
    quota = pl.when(risk).then(size // 2).otherwise(size)
    chosen = placed.filter(pl.col("_place") < quota)
    return chosen.select("case_id", "task", "split", "boolean_value").sort("task", "case_id")
