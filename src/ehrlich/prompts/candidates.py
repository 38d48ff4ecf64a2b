"""Lists of names to choose an answer from, for models that do not know the record's vocabulary.

A list that is built around a case's answer gives the answer away: one that always holds it makes
the task a choice, one that never holds it tells what is wrong. So there are two kinds:

- frequent: the names most often right among a task's train cases, the same list for every case of
  the task. It looks at no case, so a right name may be in it or not.
- oracle: all right names of the case, among wrong ones drawn from the same vocabulary. For
  comparison with published figures, whose prompts had such lists; flagged wherever it goes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from ehrlich.base.errors import DataError
from ehrlich.base.hashing import stable_hash
from ehrlich.cohorts.task import Task

LIST_ITEMS = 100
# Wrong names are drawn among the most frequent: rare ones would be told apart by rarity alone.
POOL_LISTS = 10
SLICE_CASES = 1000
MODES = ("frequent", "oracle")


def vocabulary_schema() -> dict[str, pl.DataType]:
    """One row is a name that answers of a task hold; sorted by task, n descending, item.

    - item: in its most frequent spelling, line breaks and repeated blanks as one blank.
    - n: how many train cases hold it, in any spelling that the scorer takes for the same.
    """
    return {"task": pl.String(), "item": pl.String(), "n": pl.UInt32()}


def fit_vocabulary(cases: pl.DataFrame, tasks: Mapping[str, Task]) -> pl.DataFrame:
    """The names in answers of train cases, as `vocabulary_schema` says.

    Of tasks whose answers are names: neither risks nor texts. Raises DataError for a case of
    another split than train, or of a task that is not in `tasks`.
    """
    others = cases.filter(pl.col("split").ne_missing("train"))
    if others.height:
        splits = sorted(str(split) for split in others["split"].unique())
        raise DataError(
            "candidates are fitted on train cases only",
            got=f"{others.height:,} cases of {', '.join(splits)}",
        )
    unknown = sorted(set(cases["task"].unique()) - tasks.keys())
    if unknown:
        raise DataError("cases of unknown tasks", got=", ".join(unknown))
    named = [name for name, task in tasks.items() if task.metric in ("set_f1", "accuracy")]
    held = cases.filter(pl.col("task").is_in(named)).select("case_id", "task", item="answer")
    spelt = _spelt(held).group_by("task", "_same", "item").len("_spelt_so")
    counted = _spelt(held).group_by("task", "_same").agg(pl.col("case_id").n_unique().alias("n"))
    usual = spelt.sort("_spelt_so", "item", descending=[True, False]).unique(
        ["task", "_same"], keep="first", maintain_order=True
    )
    found = counted.join(usual, on=["task", "_same"])
    ordered = found.sort("task", "n", "item", descending=[False, True, False])
    return ordered.select("task", "item", pl.col("n").cast(pl.UInt32))


def candidates_of(
    cases: pl.DataFrame,
    vocabulary: pl.DataFrame,
    *,
    n: int = LIST_ITEMS,
    include_answer: bool = False,
    seed: int = 0,
) -> pl.DataFrame:
    """case_id, candidates list[str], candidate_mode; a row a case, in the order of `cases`.

    In: case_id (sixteen hex digits), task, answer. Lists are in alphabetical order, as long for
    every case of a task as its vocabulary allows (longer only where the answer is). Default: mode
    `frequent`; `include_answer`: `oracle`. A case of a task without vocabulary (risks, texts,
    nothing in train) has none: candidates null, mode `none`. Wrong names of an oracle list hang
    on seed and case alone, the frequent ones likelier; `seed` does nothing else.
    """
    if n < 1:
        raise DataError("a list of candidates holds at least one name", got=str(n))
    if include_answer:
        pool = vocabulary.filter(_rank() < POOL_LISTS * n)
        slices = [_oracle(part, pool, n, seed) for part in cases.iter_slices(SLICE_CASES)]
        lists = pl.concat(slices) if slices else _oracle(cases, pool, n, seed)
        listed = cases.join(lists, on="case_id", how="left", maintain_order="left")
    else:
        first = vocabulary.filter(_rank() < n).sort("task", _folded(), "item")
        same = first.group_by("task", maintain_order=True).agg(candidates="item")
        bare = cases.select("case_id", "task")
        listed = bare.join(same, on="task", how="left", maintain_order="left")
    mode = pl.lit(MODES[include_answer])
    found = pl.when(pl.col("candidates").is_null()).then(pl.lit("none")).otherwise(mode)
    return listed.select("case_id", "candidates", candidate_mode=found)


def _rank() -> pl.Expr:
    """Place in the task's vocabulary, whatever the order of the rows."""
    return pl.struct(-pl.col("n").cast(pl.Int64), "item").rank("ordinal").over("task") - 1


def _folded() -> pl.Expr:
    return pl.col("item").str.to_lowercase()


def _spelt(held: pl.DataFrame) -> pl.DataFrame:
    """A row a case and name: item without repeated blanks, _same as the scorer compares it."""
    rows = held.explode("item").drop_nulls("item")
    blank = pl.col("item").str.replace_all(r"\s+", " ").str.strip_chars()
    rows = rows.with_columns(item=blank).filter(pl.col("item") != "")
    return rows.with_columns(_same=_folded())


def _oracle(cases: pl.DataFrame, pool: pl.DataFrame, n: int, seed: int) -> pl.DataFrame:
    """case_id, candidates: the answer and, up to n names, wrong ones of the pool."""
    asked = cases.filter(pl.col("task").is_in(pool["task"].unique().implode()))
    right = _spelt(asked.select("case_id", "task", item="answer")).unique(
        ["case_id", "_same"], keep="first", maintain_order=True
    )
    numbered = pool.with_columns(_folded().alias("_same"), _rank().alias("_place"))
    drawn = asked.select("case_id", "task").join(numbered, on="task")
    wrong = drawn.join(right, on=["case_id", "_same"], how="anti")
    # Exponential races: the smallest -log(u) / n are a draw without replacement by weight n.
    race = -np.log(_uniform(wrong, seed)) / wrong["n"].to_numpy()
    wrong = wrong.with_columns(_race=pl.Series(race, dtype=pl.Float64))
    both = pl.concat(
        [
            right.select("case_id", "item", _race=pl.lit(-1.0)),
            wrong.select("case_id", "item", "_race"),
        ]
    )
    place = pl.col("_race").rank("ordinal").over("case_id")
    kept = both.filter((pl.col("_race") < 0) | (place <= n))
    ordered = kept.sort("case_id", _folded(), "item")
    return ordered.group_by("case_id", maintain_order=True).agg(candidates="item")


def _uniform(drawn: pl.DataFrame, seed: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """In (0, 1), by case, place in the vocabulary, and seed."""
    numbers = drawn["case_id"].str.to_integer(base=16, strict=True, dtype=pl.UInt64).to_numpy()
    places = stable_hash(drawn["_place"].cast(pl.Int64).to_numpy(), seed)
    mixed = stable_hash((numbers ^ places).view(np.int64), seed)
    return ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) / float(1 << 53)
