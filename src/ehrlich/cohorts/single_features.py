"""How well any one feature of the contexts tells the label: AUROC, for all features at once."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

LEAST = 20  # cases of each class, below which no AUROC is given


class Best(NamedTuple):
    """The feature that tells most; None where no AUROC can be given."""

    feature: str | None
    auroc: float | None


def counted_features(context: pl.DataFrame) -> pl.DataFrame:
    """case_id, feature, value: how many measurements of each table, item and code a case shows."""
    shown = context.filter(pl.col("part") != "facts")
    table, item, code = (pl.col(name) for name in ("table", "item", "code"))
    named = [
        shown.select("case_id", feature=table),
        shown.drop_nulls("item").select("case_id", feature=table + " | " + item),
        shown.select("case_id", feature=code),
        context.filter(pl.col("part") == "facts").select("case_id", feature="fact " + code),
    ]
    counts = [part.group_by("case_id", "feature").agg(pl.len().alias("value")) for part in named]
    return pl.concat(counts).with_columns(pl.col("value").cast(pl.Float64))


def measured_features(context: pl.DataFrame) -> pl.DataFrame:
    """case_id, feature, value: the last number of each code that a case shows."""
    numbers = context.drop_nulls("numeric_value").filter(pl.col("numeric_value").is_finite())
    return numbers.group_by("case_id", pl.col("code").alias("feature"), maintain_order=True).agg(
        pl.col("numeric_value").last().cast(pl.Float64).alias("value")
    )


def simple_features(cases: pl.DataFrame) -> pl.DataFrame:
    """case_id, feature, value: what a case says before anything of its context is read."""
    wanted = {
        "hour of the question": pl.col("prediction_time").dt.hour(),
        "year of the question": pl.col("prediction_time").dt.year(),
        "has an earlier discharge summary": pl.col("last_discharge_event").is_not_null(),
        "has an admission event": pl.col("admission_event").is_not_null(),
    }
    return pl.concat(
        cases.select("case_id", feature=pl.lit(name), value=value.cast(pl.Float64))
        for name, value in wanted.items()
    )


def aurocs(values: pl.DataFrame, labels: pl.DataFrame, *, absent_is_zero: bool) -> pl.DataFrame:
    """feature, auroc (at least one half) of each feature with enough cases of both classes.

    `values`: case_id, feature, value, one row where a case has the feature (above 0 where
    `absent_is_zero`); `labels`: case_id, boolean_value. Ranks, ties at their mean; the cases
    without a feature are never laid out.
    """
    known = values.join(labels.drop_nulls("boolean_value"), on="case_id")
    yes = int(labels["boolean_value"].sum() or 0)
    no = int((~labels["boolean_value"]).sum() or 0)
    ranked = known.with_columns(_rank=pl.col("value").rank("average").over("feature"))
    positive = pl.col("boolean_value")
    summed = ranked.group_by("feature").agg(
        pl.len().alias("_n"), positive.sum().alias("_yes"), pl.col("_rank").filter(positive).sum()
    )
    if absent_is_zero:
        zeros = yes + no - pl.col("_n")
        # Those without it share the lowest ranks, and lift the others by their number.
        rank_sum = pl.col("_rank") + pl.col("_yes") * zeros
        rank_sum += (yes - pl.col("_yes")) * (zeros + 1) / 2
        summed = summed.with_columns(_rank=rank_sum, _yes=pl.lit(yes), _n=pl.lit(yes + no))
    n_yes, n_no = pl.col("_yes").cast(pl.Int64), (pl.col("_n") - pl.col("_yes")).cast(pl.Int64)
    enough = summed.filter((n_yes >= LEAST) & (n_no >= LEAST))
    area = (pl.col("_rank") - n_yes * (n_yes + 1) / 2) / (n_yes * n_no)
    return enough.select("feature", auroc=pl.max_horizontal(area, 1 - area)).sort(
        ["auroc", "feature"], descending=[True, False]
    )


def best_feature(counts: pl.DataFrame, measured: pl.DataFrame, *, labels: pl.DataFrame) -> Best:
    """The best of presence, count and last value over all features."""
    presence = counts.with_columns(value=pl.lit(1.0), feature=pl.col("feature") + " (present)")
    number = counts.with_columns(feature=pl.col("feature") + " (count)")
    value = measured.with_columns(feature=pl.col("feature") + " (value)")
    found = pl.concat(
        [
            aurocs(presence, labels, absent_is_zero=True),
            aurocs(number, labels, absent_is_zero=True),
            aurocs(value, labels, absent_is_zero=False),
        ]
    ).sort(["auroc", "feature"], descending=[True, False])
    return Best(*found.row(0)) if found.height else Best(None, None)


def length_auroc(cases: pl.DataFrame) -> float | None:
    """AUROC of the number of context events alone."""
    values = cases.select(
        "case_id", feature=pl.lit("events"), value=pl.col("context_events").cast(pl.Float64)
    )
    found = aurocs(values, cases.select("case_id", "boolean_value"), absent_is_zero=False)
    return float(found["auroc"][0]) if found.height else None
