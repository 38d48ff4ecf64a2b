"""The thinking graph of a case: what in its history points to each target, and by which tie.

Ties are co-occurrence (kept by the policy of lift), medical knowledge (a path), or both.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import polars.selectors as cs
from pydantic import Field

from ehrlich.base.config import Model
from ehrlich.base.contracts import graphs_schema
from ehrlich.base.errors import DataError

EDGE = ["case_id", "target", "history"]
LIFT = ["n_both", "lift", "p", "q"]
PATH = ["path", "hops", "sources"]


class GraphPolicy(Model):
    """Which ties become edges.

    Against pairs of the same kind and support drawn at random, pairs that occur together had a path
    of at most 1 hop ten times as often, of 2 hops twice, of 3 hops as often (MIMIC-IV demo, open
    graph; `ehrlich evidence report`).

    - per_target: edges of a target; 20 as in the paper.
    - path_hops: a longer path is no tie, even beside a lift.
    - path_alone_hops: the longest path that is a tie without a lift; null: none is.
    """

    per_target: int = Field(default=20, ge=1, le=1000)
    path_hops: int = Field(default=2, ge=0, le=3)
    path_alone_hops: int | None = Field(default=1, ge=0, le=3)


@dataclass(frozen=True, slots=True)
class Targets:
    """Whose graphs are drawn: frame [case_id, subject_id, target], all of one split.

    conditioned: the targets are the true answers. Raises DataError for such outside train.
    """

    frame: pl.DataFrame
    split: str
    conditioned: bool

    def __post_init__(self) -> None:
        if self.conditioned and self.split != "train":
            raise DataError(
                "graphs of true answers would leak the label",
                got=f"split {self.split}",
                expected="train",
                do="Draw those of the candidates.",
            )


def graphs_of(
    targets: Targets,
    concepts: pl.DataFrame,
    *,
    lifts: pl.DataFrame,
    paths: pl.DataFrame,
    policy: GraphPolicy | None = None,
) -> pl.DataFrame:
    """`graphs_schema()`: the `per_target` best edges of each case and target.

    First pairs tied by lift and path, then by lift, then by path alone; among these fewer hops,
    higher lift, lower p, name. A pair whose history the case does not show has no edge.

    - concepts: case_id, event, row_id, time, concept, of what each case may show.
    - lifts: case_id, target, history, n_both, lift, p, q of pairs that are kept, once each.
    - paths: as PathFinder.paths gives; the first of each pair is used. `alone`, where there is such
      a column: whether it is a tie without a lift.
    """
    policy = policy or GraphPolicy()
    asked = targets.frame.select("case_id", "subject_id", "target").unique()
    shown = last_shown(concepts)
    marked = cs.by_name("alone", require_all=False)
    best = paths.filter(pl.col("rank") == 1).select("target", "history", *PATH, marked)
    near = best.filter(pl.col("hops") <= policy.path_hops)
    together = asked.join(lifts.select(*EDGE, *LIFT), on=["case_id", "target"])
    together = together.join(near, on=["target", "history"], how="left")
    longest = -1 if policy.path_alone_hops is None else policy.path_alone_hops
    telling = pl.col("alone") if "alone" in paths.columns else pl.lit(True)
    known = near.filter((pl.col("hops").cast(pl.Int16) <= longest) & telling)
    alone = asked.join(known, on="target").join(together, on=EDGE, how="anti")
    edges = pl.concat([together, alone], how="diagonal").join(shown, on=["case_id", "history"])
    tie = pl.when(pl.col("lift").is_null()).then(2).when(pl.col("hops").is_null()).then(1)
    ordered = edges.with_columns(tie=tie.otherwise(0)).sort(
        "case_id", "target", "tie", "hops", "lift", "p", "history",
        descending=[False, False, False, False, True, False, False], nulls_last=True,
    )  # fmt: skip
    rank = pl.int_range(1, pl.len() + 1).over("case_id", "target")
    kept = ordered.with_columns(rank=rank).filter(pl.col("rank") <= policy.per_target)
    schema = graphs_schema()
    kept = kept.with_columns(conditioned=pl.lit(targets.conditioned))
    return kept.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def last_shown(concepts: pl.DataFrame) -> pl.DataFrame:
    """case_id, history, event, row_id, time: the last measurement of a case that has the concept.

    Static facts, of no time, are before all others; of one time the higher row_id is last.
    """
    ordered = concepts.sort("case_id", "concept", "time", "row_id", nulls_last=False)
    last = ordered.unique(["case_id", "concept"], keep="last", maintain_order=True)
    return last.select("case_id", pl.col("concept").alias("history"), "event", "row_id", "time")
