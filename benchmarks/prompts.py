"""Prompts a second, rendered on the fly and exported: `python -m benchmarks.prompts CHARTS CASES`.

Every case of every task of the charts' largest shard. Beside ours, in the same run: a plain loop
over rows in Python that writes the same charts. The paper's released code made about 730 prompts
a CPU-second (50 MB/s) of the same patients, those of the MIMIC-IV demo, by a measurement of its
own on such a machine: a figure to hold against, not a run of it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from ehrlich.cohorts.context import context_rows
from ehrlich.cohorts.scene import Scene
from ehrlich.prompts.blocks import Blocks, blocks_of, read_blocks, write_blocks
from ehrlich.prompts.config import PromptsConfig, Setup
from ehrlich.prompts.exports import instruction_rows, write_jsonl, write_parquet
from ehrlich.prompts.plan import Planner
from ehrlich.prompts.questions import with_questions
from ehrlich.prompts.rows import prompt_rows
from ehrlich.prompts.run import SLICE, SLIM, hidden_by_any

RELEASED = 730.0
ROW_LOOP_CASES = 300


class Figure(NamedTuple):
    """What one way of making prompts took."""

    prompts: int
    mb: float
    wall_s: float
    cpu_s: float

    def line(self, name: str) -> str:
        """A row of the table."""
        per_s = self.prompts / self.cpu_s
        return (
            f"| {name} | {self.prompts:,} | {self.mb:,.0f} | {self.wall_s:.1f} | {self.cpu_s:.1f} "
            f"| {per_s:,.0f} | {self.mb / self.cpu_s:,.0f} | {per_s / RELEASED:.1f} |"
        )


def measured(make: Callable[[], tuple[int, float]]) -> Figure:
    """Wall and CPU seconds of all threads of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    prompts, mb = make()
    return Figure(prompts, mb, time.perf_counter() - wall, time.process_time() - cpu)


class Bench(NamedTuple):
    """One shard, ready."""

    setup: Setup
    blocks: Blocks
    rows: pl.DataFrame
    cases: dict[str, pl.DataFrame]

    def plans(self, max_tokens: int | None) -> list[pl.DataFrame]:
        """The plan of every slice of cases."""
        scene = Scene(self.rows.select(SLIM), self.setup.source)
        planner = Planner(scene, self.blocks, self.setup.reader, max_tokens)
        return [
            planner.plan(part, self.setup.tasks[task])
            for task, cases in self.cases.items()
            for part in cases.iter_slices(SLICE)
        ]

    def charts(self, plans: Sequence[pl.DataFrame]) -> tuple[int, float]:
        """Write the charts of plans; how many, and their megabytes."""
        texts = [self.setup.reader.charts(plan, self.blocks) for plan in plans]
        size = sum(int(text.str.len_bytes().sum()) for text in texts)
        return sum(text.len() for text in texts), size / 1e6

    def export(self, plans: Sequence[pl.DataFrame], folder: Path) -> tuple[int, float]:
        """Parquet and JSON lines of plans, messages and all."""
        frames = (
            instruction_rows(
                prompt_rows(
                    plan, self.blocks, reader=self.setup.reader, policy=self.setup.policy,
                    thinking=False,
                )
            )
            for plan in plans
        )  # fmt: skip
        rows = write_parquet(folder / "rows.parquet", frames)
        batches = pl.scan_parquet(folder / "rows.parquet").collect_batches(chunk_size=SLICE)
        write_jsonl(folder / "rows.jsonl", batches)
        return rows, (folder / "rows.jsonl").stat().st_size / 1e6


def row_loop(bench: Bench) -> tuple[int, float]:
    """The same charts, a Python loop over the rows of each case; a few cases of one task."""
    task = next(iter(bench.cases))
    cases = bench.cases[task].head(ROW_LOOP_CASES)
    setup = bench.setup
    shown = context_rows(cases, bench.rows, task=setup.tasks[task], source=setup.source)
    looks = setup.writer.looks
    shown = shown.with_columns(line=setup.writer.row_texts(shown, form="line"))
    size, held = 0, dict[str, list[str]]()
    last = None
    for row in shown.iter_rows(named=True):
        lines = held.setdefault(row["case_id"], [])
        if row["table"] not in looks:
            continue
        if (row["case_id"], row["event"]) != last:
            lines.append(f"\n\n## {row['table']} [{row['time']}]")
            lines.append(looks[row["table"]].header.rstrip())
            last = (row["case_id"], row["event"])
        cells = [row["item"], row["numeric_value"], row["unit"], *(row["fields"] or [])]
        lines.append(f"| {' | '.join('' if cell is None else str(cell) for cell in cells)} |")
    for lines in held.values():
        size += len("\n".join(lines).encode())
    return len(held), size / 1e6


def ready(charts: Path, cases: Path, folder: Path) -> tuple[Bench, Figure]:
    """The largest shard with its blocks, and what making those took."""
    setup = Setup(PromptsConfig(quiet=True), charts, cases)
    size = {shard: (charts / "data" / f"{shard}.parquet").stat().st_size
            for shard in setup.charts.shards()}  # fmt: skip
    shard = max(size, key=lambda name: size[name])
    rows = setup.charts.read(shard, fields=True)

    def make() -> tuple[int, float]:
        made = blocks_of(
            rows, setup.writer, source=setup.source, hidden=hidden_by_any(setup),
            counter=setup.counter,
        )  # fmt: skip
        write_blocks(made, folder)
        return made.blocks.height, int(made.blocks["text"].str.len_bytes().sum()) / 1e6

    figure = measured(make)
    name = shard.replace("/", "-")
    asked = {task: pl.read_parquet(cases / task / f"{name}.parquet") for task in setup.tasks}
    found = {
        task: with_questions(frame, setup.questions)
        for task, frame in sorted(asked.items(), key=lambda pair: -pair[1].height)
        if frame.height
    }
    return Bench(setup, read_blocks(folder), rows, found), figure


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("charts", type=Path)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--max-tokens", type=int, default=8192)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench, blocks = ready(asked.charts, asked.cases, folder / "blocks")
        whole: list[pl.DataFrame] = []
        cut: list[pl.DataFrame] = []

        def on_the_fly(plans: list[pl.DataFrame], budget: int | None) -> tuple[int, float]:
            plans.extend(bench.plans(budget))
            return bench.charts(plans)

        budget = f"{asked.max_tokens:,} tokens"
        figures = {
            "a loop over rows": measured(lambda: row_loop(bench)),
            "from cases, whole": measured(lambda: on_the_fly(whole, None)),
            "from plans, whole": measured(lambda: bench.charts(whole)),
            f"from cases, {budget}": measured(lambda: on_the_fly(cut, asked.max_tokens)),
            f"from plans, {budget}": measured(lambda: bench.charts(cut)),
            f"exported, {budget}": measured(lambda: bench.export(cut, folder)),
        }
    print(f"blocks: {blocks.prompts:,} events, {blocks.mb:.0f} MB, tokens counted: "
          f"{blocks.wall_s:.1f} s wall, {blocks.cpu_s:.1f} s CPU")  # fmt: skip
    print("| way | prompts | MB | wall s | CPU s | prompts/CPU-s | MB/CPU-s | times 730 |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, figure in figures.items():
        print(figure.line(name))


if __name__ == "__main__":
    main()
