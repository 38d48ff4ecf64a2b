"""Cases scored a second: `score_sets` on frames against a loop over its scalar twin.

    python benchmarks/scoring.py [--cases 200000] [--runs 5]

The cases are random: up to 30 items of 2,000 names an answer, half of them predicted, with other
items, repeats and spellings. The loop starts from Python lists, the frame from Polars. Prints
medians of wall-clock seconds, and exit code 1 where the two differ in a single figure.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any, TypeVar

import polars as pl

from ehrlich.cohorts.answers import parse_frame
from ehrlich.cohorts.rouge import rouge_l
from ehrlich.cohorts.scoring import SetScores, score_sets, set_scores

Result = TypeVar("Result")
FIGURES = ("precision", "recall", "f1", "new_f1", "n_answer", "n_predicted")


def random_cases(n_cases: int, draw: random.Random) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Cases and predictions."""
    names = [f"Item {number} of {number % 37} mg/mL" for number in range(2000)]
    cases: list[dict[str, Any]] = []
    predictions: list[dict[str, Any]] = []
    for case_id in range(n_cases):
        answer = draw.sample(names, draw.randint(1, 30))
        found = draw.sample(answer, len(answer) // 2) + draw.choices(names, k=draw.randint(0, 10))
        seen = [draw.random() < 0.5 for _ in answer]
        cases.append({"case_id": case_id, "answer": answer, "answer_seen": seen})
        items = [item.upper() if draw.random() < 0.3 else f" {item}" for item in found]
        predictions.append({"case_id": case_id, "status": "ok", "items": items})
    return pl.DataFrame(cases), pl.DataFrame(predictions, schema_overrides={"items": pl.List(str)})


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds, and what came of them."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def scalar_loop(rows: list[tuple[list[str], list[str], list[bool]]]) -> list[SetScores | None]:
    return [set_scores(items, answer, answer_seen=seen) for items, answer, seen in rows]


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description="Time the scorer.")
    parser.add_argument("--cases", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    draw = random.Random(0)
    cases, predictions = random_cases(options.cases, draw)
    both = cases.join(predictions, on="case_id", maintain_order="left")
    rows = both.select("items", "answer", "answer_seen").rows()
    # The two take turns, so that another load on the machine meets both.
    loops, frames = [], []
    for _ in range(options.runs):
        loops.append(timed(lambda: scalar_loop(rows)))
        frames.append(timed(lambda: score_sets(cases, predictions)))
    loop_s, frame_s = (median(seconds for seconds, _ in runs) for runs in (loops, frames))
    alone, scores = loops[-1][1], frames[-1][1]
    same = scores.select(FIGURES).rows() == [
        tuple(getattr(each, name) for name in FIGURES) for each in alone
    ]
    for name, seconds in (("scalar loop", loop_s), ("score_sets", frame_s)):
        print(f"{name:<12} {seconds:8.3f} s {options.cases / seconds:12,.0f} cases/s")
    print(f"ratio        {loop_s / frame_s:8.1f}     figures {'equal' if same else 'DIFFER'}")

    outputs = predictions.head(20_000).select("case_id", output=pl.col("items").list.join("\n"))
    parse_s, _ = timed(lambda: parse_frame(outputs, "items"))
    print(f"parse_frame  {parse_s:8.3f} s {outputs.height / parse_s:12,.0f} outputs/s")
    notes = [" ".join(draw.choices("abcdefghijklmnopqrst", k=2000)) for _ in range(20)]
    rouge_s, _ = timed(lambda: [rouge_l(note, notes[0]) for note in notes])
    print(f"rouge_l      {rouge_s:8.3f} s {len(notes) / rouge_s:12,.0f} notes/s of 2,000 words")
    return int(not same)


if __name__ == "__main__":
    sys.exit(main())
