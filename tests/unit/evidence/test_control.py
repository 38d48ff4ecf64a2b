"""Controls of the same support, what is compared with them, and the intervals."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from ehrlich.base.errors import ConfigError, DataError
from ehrlich.evidence.chance import lift_figures, null_counts, null_lift
from ehrlich.evidence.control import (
    Matching,
    Resampling,
    bootstrap,
    compared,
    coverage_table,
    hop_table,
    matched,
    pool_of,
    uncut,
)
from ehrlich.evidence.cooccurrence import Axes, Margins, Units, counts_of, fit
from ehrlich.evidence.policy import Policy

PAIR = ["task", "target", "history"]


def pool(n: int = 60, task: str = "rx") -> pl.DataFrame:
    """Concepts a0, a1, ... of support 10, 11, ..., every third a lab."""
    names = [f"{'lab' if place % 3 == 0 else 'drug'}//a{place}" for place in range(n)]
    return pl.DataFrame(
        {"task": [task] * n, "history": names, "n_history": range(10, 10 + n)},
        schema_overrides={"n_history": pl.Int64},
    )


def pairs(*rows: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(
        [("rx", *row) for row in rows], schema=dict.fromkeys(PAIR, pl.String), orient="row"
    )


def test_controls_are_near_in_support_and_never_ruled_out() -> None:
    asked = pairs(("t", "lab//a30"), ("u", "lab//a30"), ("drug//a31", "lab//a30"))
    kept = pairs(("t", "lab//a30"), ("t", "drug//a29"), ("t", "drug//a31"))
    made = matched(asked, pool(), kept=kept, how=Matching(draws=200, nearest=2))
    assert made.height == 600
    found = {target: set(part["control"]) for (target,), part in made.group_by("target")}
    assert found["t"] == {"drug//a28", "drug//a32"}
    assert found["u"] == {"drug//a28", "drug//a29", "drug//a31", "drug//a32"}
    assert found["drug//a31"] == {"drug//a28", "drug//a29", "drug//a32"}
    assert (made["n_history"] == 40).all()
    assert (made["n_control"] - 40).abs().max() == 2


def test_controls_are_looked_for_further_off_only_where_none_is_near() -> None:
    near = pairs(*(("t", name) for name in pool()["history"][20:41]))
    made = matched(near[10:11], pool(), kept=near, how=Matching(draws=50, nearest=2))
    assert made.height == 50
    assert ((made["n_control"] - 40).abs() > 10).all()


def test_no_control_where_the_task_has_no_other_concept() -> None:
    every = pairs(*(("t", name) for name in pool(4)["history"]))
    assert matched(every, pool(4), kept=every).is_empty()


def test_controls_are_of_the_same_task_and_of_the_same_kind_if_asked() -> None:
    both = pl.concat([pool(), pool(task="dx").with_columns(history="dx" + pl.col("history"))])
    made = matched(pairs(("t", "lab//a30")), both, kept=pairs(), how=Matching(same_kind=True))
    assert made["control"].str.starts_with("lab//").all()
    assert made.height == 10
    assert (
        matched(pairs(("t", "lab//a30")), both, kept=pairs())["control"]
        .is_in(pool()["history"].implode())
        .all()
    )


def test_a_pair_of_another_fit_is_an_error() -> None:
    with pytest.raises(DataError, match="not of one fit"):
        matched(pairs(("t", "lab//elsewhere")), pool(), kept=pairs())


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"nearest": 0}])
def test_matching_needs_draws_and_neighbours(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        Matching(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"replicates": 0}, {"level": 1.0}])
def test_resampling_needs_replicates_and_a_level(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Resampling(**wrong)  # type: ignore[arg-type]


def test_the_pool_is_the_histories_of_the_margins_over_strata() -> None:
    margins = pl.DataFrame(
        [("history", "a", 0, 3), ("history", "a", 1, 4), ("target", "a", 0, 9),
         ("unit", None, 0, 9)],
        schema=["side", "concept", "stratum", "n"], orient="row",
    )  # fmt: skip
    assert pool_of({"rx": margins}).rows() == [("rx", "a", 7)]


def test_full_graphs_and_self_pairs_are_not_compared() -> None:
    edges = pl.DataFrame(
        [("c1", "t", "a", 2.0), ("c1", "t", "b", 2.0), ("c1", "t", "c", None),
         ("c2", "t", "a", 2.0), ("c2", "t", "t", 2.0), ("c3", "t", "a", 3.0)],
        schema=["case_id", "target", "history", "lift"], orient="row",
    )  # fmt: skip
    assert uncut(edges, 2).select("case_id", "history").rows() == [("c3", "a")]
    assert uncut(edges, 3).height == 4


def edges(*rows: tuple[int, str, str, int | None]) -> pl.DataFrame:
    """(subject, case, history, hops) of target t."""
    return pl.DataFrame(
        [(subject, case, "rx", "t", history, hops) for subject, case, history, hops in rows],
        schema={"subject_id": pl.Int64, "case_id": pl.String, "task": pl.String,
                "target": pl.String, "history": pl.String, "hops": pl.UInt8}, orient="row",
    )  # fmt: skip


def controls(*rows: tuple[str, int, int | None]) -> pl.DataFrame:
    """(history, draw, hops of its control)."""
    return pl.DataFrame(
        [("rx", "t", *row) for row in rows],
        schema={"task": pl.String, "target": pl.String, "history": pl.String, "draw": pl.UInt16,
                "hops": pl.UInt8}, orient="row",
    )  # fmt: skip


SEEN = edges(
    (1, "c1", "a", 1), (1, "c2", "a", 1), (1, "c1", "b", None), (2, "c3", "a", 1),
    (3, "c4", "b", None), (4, "c5", "unmatched", 0),
)  # fmt: skip
CHANCE = controls(("a", 0, 1), ("a", 1, None), ("b", 0, 3), ("b", 1, 3))


def test_a_pair_counts_once_a_subject_and_not_without_a_control() -> None:
    table = hop_table(SEEN, CHANCE)
    row = {line["hops"]: line for line in table.to_dicts()}
    assert set(table["pairs"]) == {4}
    assert (row["1"]["share"], row["1"]["control"], row["1"]["ratio"]) == (0.5, 0.25, 2.0)
    assert (row["0"]["share"], row["0"]["control"], row["0"]["ratio"]) == (0.0, 0.0, None)
    assert (row["0-1"]["share"], row["0-2"]["share"]) == (0.5, 0.5)
    assert (row["3"]["share"], row["3"]["control"], row["3"]["ratio"]) == (0.0, 0.5, 0.0)
    assert row["1"]["share_low"] <= 0.5 <= row["1"]["share_high"]


def test_the_same_pair_in_two_tasks_counts_once() -> None:
    other = SEEN.with_columns(task=pl.lit("sx"))
    twice = hop_table(
        pl.concat([SEEN, other]), pl.concat([CHANCE, CHANCE.with_columns(task=pl.lit("sx"))])
    )
    assert twice.equals(hop_table(SEEN, CHANCE))


def test_an_answer_is_reached_by_any_of_its_histories() -> None:
    row = {line["hops"]: line for line in coverage_table(SEEN, CHANCE).to_dicts()}
    # c1, c2, c3, c4; by chance c1 in draw 0 (a) and at 3 hops always (b), c2 and c3 in draw 0.
    assert row["1"]["targets"] == 4
    assert (row["1"]["share"], row["1"]["control"]) == (0.75, 0.375)
    assert (row["3"]["share"], row["3"]["control"]) == (0.75, 0.75)


def test_nothing_to_compare_gives_no_figures() -> None:
    table = hop_table(SEEN.clear(), CHANCE.clear())
    assert table["pairs"].to_list() == [0] * 6
    assert table.select(pl.exclude("hops", "pairs").is_null().all()).row(0) == (True,) * 9


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(7)
    held = 0
    for number in range(200):
        subjects = np.repeat(np.arange(80), 3)
        # Three things of one subject are alike: as if it were one.
        real = np.repeat(rng.random(80) < 0.4, 3)
        counted = pl.DataFrame(
            {"subject_id": subjects, "real_x": real, "control_x": np.full(240, 0.2)}
        )
        row = compared(counted, ["x"], how=Resampling(400, seed=number)).row(0, named=True)
        held += row["share_low"] <= 0.4 <= row["share_high"]
        assert row["ratio"] == pytest.approx(row["share"] / 0.2)
    assert 176 <= held <= 199  # 95%, less what 80 subjects cost


def test_the_bootstrap_is_of_whole_subjects_and_the_same_for_a_seed() -> None:
    table = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    sums = bootstrap(table, Resampling(3000, seed=1))
    assert np.array_equal(sums, bootstrap(table, Resampling(3000, seed=1)))
    assert np.allclose(sums[:, 1], 10 * sums[:, 0])
    assert sums[:, 0].min() == 3
    assert sums[:, 0].max() == 9
    assert sums[:, 0].mean() == pytest.approx(6, abs=0.15)
    assert bootstrap(np.zeros((0, 2)), Resampling(5)).shape == (5, 2)


def hospital(*, tied: bool) -> Units:
    """400 units in two strata, 12 targets and 30 histories; target 0 comes with history 0."""
    rng = np.random.default_rng(3)
    strata = np.repeat([0, 1], 200)
    often = np.where(strata == 0, 0.1, 0.3)[:, None]
    targets = rng.random((400, 12)) < often
    histories = rng.random((400, 30)) < often
    if tied:
        histories[:, 0] = targets[:, 0]
    names = (
        tuple(f"t{place:02}" for place in range(12)),
        tuple(f"h{place:02}" for place in range(30)),
    )
    held = [sparse.csr_array(side.astype(np.int32)) for side in (targets, histories)]
    return Units(Axes(*names, (50,)), np.arange(400), strata, *held)


POLICY = Policy(unit="subject", strata=2, min_history=5, min_both=5, max_q=0.05)


def test_permuted_answers_keep_every_margin_and_lose_the_tie() -> None:
    units = hospital(tied=True)
    assert ("t00", "h00") in fit(counts_of(units), POLICY).filter("kept")[
        "target", "history"
    ].rows()
    null = null_lift(units, POLICY, seed=1)
    assert ("t00", "h00") not in null.filter("kept")["target", "history"].rows()
    assert null.equals(null_lift(units, POLICY, seed=1))
    every = Policy(unit="subject", strata=2, min_lift=0)
    real = fit(counts_of(units), every).select("target", "history", "n_target", "n_history")
    null = null_lift(units, every, seed=1)
    both = null.join(real, on=["target", "history"])
    assert both.height > 200
    assert both["n_target"].equals(both["n_target_right"].alias("n_target"))
    assert both["n_history"].equals(both["n_history_right"].alias("n_history"))


def test_drawn_nulls_are_as_permuted_ones() -> None:
    units = hospital(tied=True)
    margins = counts_of(units).margins
    drawn = [null_counts(margins, seed=seed).joint.toarray() for seed in range(40)]
    rng = np.random.default_rng(0)
    mixed = []
    for _ in range(40):
        order = np.concatenate([rng.permutation(200), 200 + rng.permutation(200)])
        mixed.append((units.targets[order].T @ units.histories).toarray())
    assert np.mean(drawn) == pytest.approx(np.mean(mixed), rel=0.02)
    assert np.std(drawn, axis=0).mean() == pytest.approx(np.std(mixed, axis=0).mean(), rel=0.1)


def test_lift_stands_beside_what_chance_gives() -> None:
    counts = counts_of(hospital(tied=True))
    told = lift_figures(fit(counts, POLICY), counts.margins, policy=POLICY, seed=0)
    assert (told["units"], told["tested"], told["null_targets"]) == (400, 360, 12)
    assert told["kept"] >= 1
    assert told["median_lift"] > told["best_by_chance_high"] > 1
    assert told["null_kept"] < 0.5
    none = counts_of(hospital(tied=False))
    told = lift_figures(fit(none, POLICY), none.margins, policy=POLICY, seed=0)
    assert told["kept"] <= 1


def test_nulls_of_some_targets_are_scaled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = counts_of(hospital(tied=False))
    loose = Policy(unit="subject", strata=2, min_history=5, min_both=1, min_lift=1.2)
    fitted = fit(counts, loose)
    whole = lift_figures(fitted, counts.margins, policy=loose, seed=0)
    monkeypatch.setattr("ehrlich.evidence.chance.MOST_PAIRS", 180)
    half = lift_figures(fitted, counts.margins, policy=loose, seed=0)
    assert half["null_targets"] == 6
    assert half["null_kept"] == pytest.approx(whole["null_kept"], rel=0.3)
    assert whole["null_kept_low"] <= whole["kept"] <= whole["null_kept_high"]


def test_margins_without_a_pair_give_no_figures() -> None:
    empty = Margins(
        Axes((), (), ()), np.zeros(1, int), np.zeros((0, 1), int), np.zeros((0, 1), int)
    )
    told = lift_figures(fit(null_counts(empty, seed=0), POLICY), empty, policy=POLICY, seed=0)
    assert (told["tested"], told["kept"], told["median_lift"], told["null_kept"]) == (0, 0, None, 0)
