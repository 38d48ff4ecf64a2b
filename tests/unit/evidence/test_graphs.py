"""Which ties become edges of a case's thinking graph, and at which measurement."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest

from ehrlich.base.contracts import graphs_schema
from ehrlich.base.errors import DataError
from ehrlich.evidence.graphs import GraphPolicy, Targets, graphs_of, last_shown
from ehrlich.evidence.paths import PATHS_SCHEMA


def targets(*pairs: tuple[str, str]) -> pl.DataFrame:
    rows = [(case, 7, target) for case, target in pairs]
    return pl.DataFrame(rows, schema=["case_id", "subject_id", "target"], orient="row")


def concepts(*rows: tuple[str, str, int, int | None]) -> pl.DataFrame:
    """(case, concept, row_id, day)."""
    return pl.DataFrame(
        [
            (case, row // 10, row, None if day is None else datetime(2150, 1, day), concept)
            for case, concept, row, day in rows
        ],
        schema={"case_id": pl.String, "event": pl.UInt32, "row_id": pl.Int64,
                "time": pl.Datetime("us"), "concept": pl.String},
        orient="row",
    )  # fmt: skip


def lifts(*rows: tuple[str, str, str, float]) -> pl.DataFrame:
    return pl.DataFrame(
        [(*row[:3], 9, row[3], 0.001, 0.01) for row in rows],
        schema={"case_id": pl.String, "target": pl.String, "history": pl.String,
                "n_both": pl.UInt32, "lift": pl.Float64, "p": pl.Float64, "q": pl.Float64},
        orient="row",
    )  # fmt: skip


def paths(*rows: tuple[str, str, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (target, history, rank, [target, f"way {rank}", history], hops, ["s"] * hops)
            for target, history, hops in rows
            for rank in (1, 2)
        ],
        schema=PATHS_SCHEMA, orient="row",
    )  # fmt: skip


SHOWN = concepts(
    *(("c1", name, 10 * number, 1) for number, name in enumerate("abcdefg")), ("c2", "a", 99, 2)
)


def edges(policy: GraphPolicy | None = None, *, conditioned: bool = True) -> pl.DataFrame:
    asked = Targets(targets(("c1", "t"), ("c2", "t"), ("c1", "u")), "train", conditioned)
    tied = lifts(
        ("c1", "t", "a", 2.0), ("c1", "t", "b", 9.0), ("c1", "t", "c", 3.0), ("c1", "t", "d", 4.0),
        ("c2", "t", "unseen", 5.0), ("c1", "elsewhere", "a", 5.0),
    )  # fmt: skip
    ways = paths(
        ("t", "a", 2), ("t", "d", 1), ("t", "c", 3), ("t", "e", 1), ("t", "f", 2), ("t", "g", 0)
    )
    return graphs_of(asked, SHOWN, lifts=tied, paths=ways, policy=policy)


def test_both_ties_first_then_lift_then_a_short_path_alone() -> None:
    made = edges().filter(case_id="c1")
    assert made["history"].to_list() == ["d", "a", "b", "c", "g", "e"]
    assert made["rank"].to_list() == [1, 2, 3, 4, 5, 6]
    assert made["hops"].to_list() == [1, 2, None, None, 0, 1]
    assert made["lift"].to_list() == [4.0, 2.0, 9.0, 3.0, None, None]
    assert made["path"].to_list()[0] == ["t", "way 1", "d"]


def test_the_frame_is_of_the_contract_and_sorted() -> None:
    made = edges()
    assert made.schema == pl.Schema(graphs_schema())
    assert made.equals(made.sort("case_id", "target", "rank"))
    assert made["conditioned"].all()
    assert not edges(conditioned=False)["conditioned"].any()
    nobody = Targets(targets(("c1", "t")).clear(), "tuning", conditioned=False)
    none = graphs_of(nobody, SHOWN, lifts=lifts(), paths=paths())
    assert none.is_empty()
    assert none.schema == made.schema


def test_a_policy_keeps_fewer_or_more() -> None:
    def kept(**settings: int | None) -> list[str]:
        made = edges(GraphPolicy.model_validate(settings)).filter(case_id="c1")
        return made["history"].to_list()

    assert kept(per_target=3) == ["d", "a", "b"]
    assert kept(path_alone_hops=None) == ["d", "a", "b", "c"]
    assert kept(path_alone_hops=2) == ["d", "a", "b", "c", "g", "e", "f"]
    assert kept(path_hops=3) == ["d", "a", "c", "b", "g", "e"]
    assert kept(path_hops=1, path_alone_hops=2) == ["d", "b", "c", "a", "g", "e"]


def test_what_a_case_does_not_show_is_no_edge() -> None:
    assert edges().filter(case_id="c2").is_empty()
    only_a = paths(("t", "a", 1), ("t", "b", 1))
    asked = Targets(targets(("c2", "t")), "held_out", conditioned=False)
    made = graphs_of(asked, SHOWN, lifts=lifts(), paths=only_a)
    assert made.select("history", "row_id", "event").rows() == [("a", 99, 9)]


def test_the_last_measurement_stands_for_a_concept() -> None:
    shown = concepts(
        ("c1", "a", 30, 5), ("c1", "a", 10, 6), ("c1", "a", 12, 6), ("c1", "a", 90, None),
        ("c1", "b", 50, None), ("c1", "b", 40, None), ("c2", "a", 11, 1),
    )  # fmt: skip
    last = last_shown(shown).select("case_id", "history", "row_id")
    assert last.rows() == [("c1", "a", 12), ("c1", "b", 50), ("c2", "a", 11)]


@pytest.mark.parametrize("split", ["tuning", "held_out", "test"])
def test_true_answers_of_other_splits_are_refused(split: str) -> None:
    with pytest.raises(DataError, match=rf"would leak the label; got split {split}"):
        Targets(targets(("c1", "t")), split, conditioned=True)
    assert Targets(targets(("c1", "t")), split, conditioned=False).split == split
