"""Controls: of the task, near in support, never ruled out; tables: whatever the order of rows."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from ehrlich.evidence.control import (
    HOP_BANDS,
    Matching,
    Resampling,
    coverage_table,
    hop_table,
    matched,
)

PAIR = ["task", "target", "history"]
TASKS, TARGETS, NAMES = ("dx", "rx"), ("t", "lab//a1"), tuple(f"lab//a{n}" for n in range(9))
PAIRS = st.lists(
    st.tuples(st.sampled_from(TASKS), st.sampled_from(TARGETS), st.sampled_from(NAMES)),
    max_size=30,
)  # fmt: skip
HOPS = st.one_of(st.none(), st.integers(0, 3))
FEW = Resampling(replicates=20)


def frame(rows: list[tuple[str, str, str]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys(PAIR, pl.String), orient="row")


def pool(supports: list[int]) -> pl.DataFrame:
    rows = [
        (task, name, support) for task in TASKS
        for name, support in zip(NAMES, supports, strict=True)
    ]  # fmt: skip
    schema = {"task": pl.String, "history": pl.String, "n_history": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


@settings(max_examples=80, deadline=None)
@given(
    PAIRS,
    PAIRS,
    st.lists(st.integers(1, 5), min_size=len(NAMES), max_size=len(NAMES)),
    st.integers(0, 9),
)
def test_controls_obey_the_rules_in_any_order(
    asked: list[tuple[str, str, str]],
    kept: list[tuple[str, str, str]],
    supports: list[int],
    seed: int,
) -> None:
    here, how = pool(supports), Matching(draws=3, nearest=2, seed=seed)
    made = matched(frame(asked), here, kept=frame(kept), how=how)
    assert made.equals(matched(frame(asked[::-1] + asked), here[::-1], kept=frame(kept), how=how))
    known = dict(zip(NAMES, supports, strict=True))
    ruled = set(kept) | set(asked)
    for task, target, history, n_history, _, control, n_control in made.rows():
        assert control not in (history, target)
        assert (task, target, control) not in ruled
        assert (n_history, n_control) == (known[history], known[control])
    possible = {
        pair for pair in asked
        if any(name != pair[1] and (*pair[:2], name) not in ruled for name in NAMES)
    }  # fmt: skip
    assert set(made.select(PAIR).unique().rows()) == possible
    assert made.height == 3 * len(possible)


ROWS = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from("xy"), st.sampled_from("abc"), HOPS), max_size=25
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(ROWS, st.lists(HOPS, min_size=6, max_size=6))
def test_tables_count_what_a_loop_counts(
    rows: list[tuple[int, str, str, int | None]], chance: list[int | None]
) -> None:
    hops = {history: far for _, _, history, far in rows}
    seen = [(subject, f"{subject}{case}", "rx", "t", h, hops[h]) for subject, case, h, _ in rows]
    schema = {"subject_id": pl.Int64, "case_id": pl.String, **dict.fromkeys(PAIR, pl.String),
              "hops": pl.UInt8}  # fmt: skip
    edges = pl.DataFrame(seen, schema=schema, orient="row")
    drawn = [("rx", "t", "abc"[n // 2], n % 2, far) for n, far in enumerate(chance)]
    controls = pl.DataFrame(
        drawn,
        schema={**dict.fromkeys(PAIR, pl.String), "draw": pl.UInt16, "hops": pl.UInt8},
        orient="row",
    )
    table = hop_table(edges, controls, how=FEW)
    order = np.random.default_rng(len(rows)).permutation(len(rows))
    assert table.equals(hop_table(edges[order], controls, how=FEW))
    once = {(row[0], row[4]) for row in seen}
    for row in table.iter_rows(named=True):
        low, high = HOP_BANDS[row["hops"]]
        inside = list(range(low, high + 1))
        assert row["pairs"] == len(once)
        if not once:
            assert row["share"] is None
            continue
        assert np.isclose(row["share"], np.mean([hops[h] in inside for _, h in once]))
        wanted = [np.mean([far in inside for far in chance[2 * p : 2 * p + 2]])
                  for p in ("abc".index(h) for _, h in once)]  # fmt: skip
        assert np.isclose(row["control"], np.mean(wanted))
        assert row["share_low"] <= row["share_high"]
    reached = coverage_table(edges, controls, how=FEW)
    for row in reached.iter_rows(named=True):
        cases = {case for _, case, *_ in seen}
        assert row["targets"] == len(cases)
        if cases:
            near = [
                any(
                    far is not None and far <= int(row["hops"])
                    for _, c, *_, far in seen
                    if c == case
                )
                for case in cases
            ]
            assert np.isclose(row["share"], np.mean(near))
