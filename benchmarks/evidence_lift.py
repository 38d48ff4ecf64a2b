"""Co-occurrence: speed and memory against nested dictionaries, which must count the same.

`python -m benchmarks.evidence lift` draws cases of about 300 histories and 8 targets out of 30,000
concepts and counts pairs, each way in a process of its own: nested dictionaries of strings, from
Python lists, as EHR-R1 does it; and ours, from frames of strings to the counts. Prints medians of
seconds, of CPU, by how much the peak of memory grew beyond that of making the input, the ratio;
exit code 1 where counts differ.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections import defaultdict
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from ehrlich.evidence.cooccurrence import (
    Units,
    axes_of,
    counts_of,
    draw_units,
    fit,
    tally_of,
    units_of,
)
from ehrlich.evidence.policy import Policy, load_policy

CONCEPTS, HISTORIES, TARGETS = 30_000, 300, 8


def drawn_concepts(cases: int, each: int, seed: int) -> tuple[np.ndarray[Any, Any], ...]:
    """(case, concept) of random cases: a few concepts in most cases, most in few."""
    draw = np.random.default_rng(seed)
    case = np.repeat(np.arange(cases), draw.poisson(each * 1.35, cases))
    concept = (CONCEPTS ** draw.random(case.size)).astype(np.int64)
    return tuple(np.unique(np.stack([case, concept]), axis=1))


def frames(cases: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """cases, answers, histories."""
    ids = pl.Series("case_id", [f"{place:016x}" for place in range(cases)])
    parts = []
    for column, each, seed in (("target", TARGETS, 1), ("concept", HISTORIES, 2)):
        case, concept = drawn_concepts(cases, each, seed)
        names = pl.Series(
            [f"lab//concept {place} of some length//high" for place in range(CONCEPTS)]
        )
        parts.append(
            pl.DataFrame({"case_id": ids.gather(case), "subject_id": case}).with_columns(
                names.gather(concept).alias(column)
            )
        )
    index = pl.DataFrame({"case_id": ids, "subject_id": np.arange(cases), "split": "train"})
    return index, parts[0], parts[1]


def by_dictionaries(cases: int, out: Any) -> None:
    """Seconds, peak bytes beyond the input, and a digest of the counts."""
    _, answers, histories = frames(cases)
    told = dict(answers.group_by("case_id").agg("target").iter_rows())
    shown = dict(histories.group_by("case_id").agg("concept").iter_rows())
    before, start, busy = peak(), time.perf_counter(), time.process_time()
    both: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    n_target: dict[str, int] = defaultdict(int)
    n_history: dict[str, int] = defaultdict(int)
    for case, targets in told.items():
        own = shown.get(case, [])
        for target in targets:
            n_target[target] += 1
            row = both[target]
            for history in own:
                row[history] += 1
    for own in shown.values():
        for history in own:
            n_history[history] += 1
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    cells = sum(count for row in both.values() for count in row.values())
    pairs = sum(len(row) for row in both.values())
    out.put((seconds, busy, peak() - before, (cells, pairs, len(n_target), len(n_history))))


def by_matrices(cases: int, out: Any) -> None:
    """The same, from frames to counts, both passes."""
    index, answers, histories = frames(cases)
    before, start, busy = peak(), time.perf_counter(), time.process_time()
    policy = Policy(unit="case")
    drawn = draw_units(index, policy.unit, seed=0)
    axes = axes_of(tally_of(drawn, answers, histories=histories), policy)
    counts = counts_of(units_of(drawn, answers, histories=histories, axes=axes))
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    cells, pairs = int(counts.joint.data.sum()), int(counts.joint.nnz)
    out.put(
        (seconds, busy, peak() - before, (cells, pairs, len(axes.targets), len(axes.histories)))
    )


def peak() -> int:
    """The most bytes this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def alone(work: Any, cases: int) -> Any:
    """What `work` puts out, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    process = context.Process(target=work, args=(cases, out))
    process.start()
    found = out.get()
    process.join()
    return found


def speed(cases: int, runs: int) -> int:
    """Print the ratio; the exit code."""
    taken: dict[str, list[Any]] = {"dictionaries": [], "matrices": []}
    for _ in range(runs):  # in turn, so that another load on the machine meets both
        taken["dictionaries"].append(alone(by_dictionaries, cases))
        taken["matrices"].append(alone(by_matrices, cases))
    figures = {
        name: [median(run[place] for run in found) for place in range(3)]
        for name, found in taken.items()
    }
    for name, (wall, busy, held) in figures.items():
        print(f"{name:<13} {wall:8.2f} s  {busy:8.2f} s of CPU  {held / 1e9:6.2f} GB more")
    same = taken["dictionaries"][0][3] == taken["matrices"][0][3]
    ratios = [slow / fast for slow, fast in zip(*figures.values(), strict=True)][:2]
    print(
        f"ratio         {ratios[0]:8.1f}    {ratios[1]:8.1f}   "
        f"counts {'equal' if same else 'DIFFER'}"
    )
    index, answers, histories = frames(cases)
    for name in ("fdr", "paper"):
        policy = load_policy(name)
        units = all_units(index, answers, histories, policy)
        counts = counts_of(units)
        start = time.perf_counter()
        lift = fit(counts, policy)
        judged = counts.joint.nnz / (time.perf_counter() - start)
        kept = lift["kept"].sum()
        print(f"fit {name:<9} {judged:12,.0f} pairs/s of {counts.joint.nnz:,}; {kept:,} kept")
    return int(not same)


def all_units(
    cases: pl.DataFrame, answers: pl.DataFrame, histories: pl.DataFrame, policy: Policy
) -> Units:
    drawn = draw_units(cases, policy.unit, seed=0)
    axes = axes_of(tally_of(drawn, answers, histories=histories), policy)
    return units_of(drawn, answers, histories=histories, axes=axes)
