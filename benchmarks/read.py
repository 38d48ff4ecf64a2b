"""How fast `ehrlich read` is, and what memory it takes, on the open MIMIC-IV demo and copies of it.

    python benchmarks/read.py --demo ../shared/data/mimic-iv-demo-2.2 --copies 1 50 100

Prints a table: rows a second, peak memory of all processes together, and the ratio to two others
run on the same files in the same call: a plain pandas loop over rows of the kind that is common
(on one copy only, it would take hours), and MEDS-Extract's MIMIC-IV ETL where `--meds-extract`
names the folder of an environment of its own (`pip install mimic-iv-meds`) and `--concepts` the
folder with the concept maps that it wants beside the data.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psutil
from isal import igzip

SHIFTS = {"subject_id": 100_000_000, "hadm_id": 100_000_000, "stay_id": 100_000_000}
REFERENCE_TABLES = ("d_", "provider", "caregiver")


@dataclass
class Run:
    """One measured run of one tool."""

    tool: str
    copies: int
    rows: int
    seconds: float
    cpu_s: float
    peak_gb: float
    output: int

    def line(self) -> str:
        speed = f"{self.rows / self.seconds:,.0f}"
        times = f"{self.seconds:.1f} | {self.cpu_s:.1f} | {speed} | {self.peak_gb:.2f}"
        return f"| {self.copies}x | {self.tool} | {self.rows:,} | {times} | {self.output:,} |"


def replicate(demo: Path, out: Path, copies: int) -> int:
    """The demo `copies` times, ids of subjects and stays shifted; rows of patient tables."""
    rows = 0
    for path in sorted(demo.glob("*/*.csv.gz")):
        target = out / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if copies == 1 or path.name.startswith(REFERENCE_TABLES):
            shutil.copy(path, target)
            if not path.name.startswith(REFERENCE_TABLES):
                rows += pl.read_csv(path, infer_schema=False).height
            continue
        frame = pl.read_csv(path, infer_schema=False)
        rows += frame.height * copies
        with target.open("wb") as file:
            for copy in range(copies):
                shifted = frame.with_columns(
                    (pl.col(name).cast(pl.Int64) + copy * by).cast(pl.String)
                    for name, by in SHIFTS.items()
                    if name in frame.columns
                )
                text = shifted.write_csv(include_header=copy == 0)
                file.write(igzip.compress(text.encode(), 1, mtime=0))
    return rows


def measure(
    command: Sequence[str], log: Path, *, path: Path | None = None
) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds, peak memory in GB (all processes of the command together).

    `path`: a folder of programs to find first.
    """
    environment = dict(os.environ)
    if path is not None:
        environment["PATH"] = f"{path}{os.pathsep}{environment['PATH']}"
        environment.pop("PYTHONPATH", None)
    started = time.perf_counter()
    with log.open("wb") as sink:
        process = psutil.Popen(command, stdout=sink, stderr=subprocess.STDOUT, env=environment)
    peak = 0
    cpu: dict[int, float] = defaultdict(float)
    stop = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.05):
            total = 0
            try:
                family = [process, *process.children(recursive=True)]
            except psutil.Error:
                return
            for one in family:
                try:
                    total += one.memory_full_info().pss
                    times = one.cpu_times()
                    cpu[one.pid] = times.user + times.system
                except psutil.Error:
                    continue
            peak = max(peak, total)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    seconds = time.perf_counter() - started
    stop.set()
    watcher.join()
    if code:
        sys.exit(f"{command[0]} ended with {code}; see {log}")
    return seconds, sum(cpu.values()), peak / 1e9


def run_ehrlich(data: Path, out: Path, memory_gb: float) -> tuple[float, float, float, int]:
    """`ehrlich read`, and the measurements that it wrote."""
    command = [sys.executable, "-m", "ehrlich", "read", str(data), "--out", str(out), "--quiet",
               "--memory-gb", str(memory_gb)]  # fmt: skip
    seconds, cpu_s, peak = measure(command, out.with_suffix(".log"))
    counts = json.loads((out / "manifest.json").read_text())["counts"]
    return seconds, cpu_s, peak, counts["measurements"]


def pandas_loop(data: Path, out: Path) -> None:
    """What many pipelines do: each row a dict, grouped by subject, sorted, written as JSON."""
    import pandas as pd

    times = (
        "charttime",
        "starttime",
        "ordertime",
        "intime",
        "transfertime",
        "admittime",
        "chartdate",
    )
    subjects: dict[str, list[dict[str, str]]] = defaultdict(list)
    for path in sorted(data.glob("*/*.csv.gz")):
        if path.name.startswith(REFERENCE_TABLES):
            continue
        for _, row in pd.read_csv(path, dtype=str, keep_default_na=False).iterrows():
            event = dict(row) | {"table": path.name.split(".")[0]}
            event["time"] = next((event[name] for name in times if event.get(name)), "")
            subjects[event["subject_id"]].append(event)
    out.mkdir(parents=True)
    for subject, events in subjects.items():
        events.sort(key=lambda event: event["time"])
        with gzip.open(out / f"{subject}.jsonl.gz", "wt", compresslevel=1) as file:
            file.writelines(json.dumps(event) + "\n" for event in events)


def run_pandas(data: Path, out: Path) -> tuple[float, float, float, int]:
    command = [sys.executable, __file__, "--pandas-loop", str(data), str(out)]
    return *measure(command, out.with_suffix(".log")), 0


def run_meds_extract(
    data: Path, out: Path, environment: Path, concepts: Path
) -> tuple[float, float, float, int]:
    """MEDS-Extract's MIMIC-IV ETL on the same files; the events that it wrote."""
    for path in concepts.iterdir():
        shutil.copy(path, data / path.name)
    command = [str(environment / "bin" / "meds-extract-run"), "spec=MIMIC-IV", f"output_dir={out}",
               "do_download=false", "dataset_key=demo", f"input_dir={data}"]  # fmt: skip
    seconds, cpu_s, peak = measure(command, out.with_suffix(".log"), path=environment / "bin")
    events = (
        pl.scan_parquet(out / "**" / "data" / "**" / "*.parquet").select(pl.len()).collect().item()
    )
    return seconds, cpu_s, peak, events


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--demo", type=Path, required=True)
    parser.add_argument("--copies", type=int, nargs="+", default=[1])
    parser.add_argument("--memory-gb", type=float, default=4.0)
    parser.add_argument("--meds-extract", type=Path)
    parser.add_argument("--concepts", type=Path)
    parser.add_argument("--skip-pandas", action="store_true")
    parser.add_argument("--work", type=Path, help="folder for copies and outputs (else temporary)")
    options = parser.parse_args()
    print("| copies | tool | rows in | wall s | CPU s | rows/s | peak GB | events out |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        for copies in options.copies:
            compare(options, Path(folder), copies)


def compare(options: argparse.Namespace, folder: Path, copies: int) -> None:
    """Every tool on one size, and the ratios to ours."""
    data = folder / f"demo-{copies}"
    rows = replicate(options.demo, data, copies)
    runs = [
        Run(
            "ehrlich read",
            copies,
            rows,
            *run_ehrlich(data, folder / f"charts-{copies}", options.memory_gb),
        )
    ]
    print(runs[0].line(), flush=True)
    if options.meds_extract:
        made = run_meds_extract(
            data, folder / f"meds-{copies}", options.meds_extract, options.concepts
        )
        runs.append(Run("MEDS-Extract", copies, rows, *made))
        print(runs[-1].line(), flush=True)
    if copies == 1 and not options.skip_pandas:
        runs.append(Run("pandas row loop", copies, rows, *run_pandas(data, folder / "loop")))
        print(runs[-1].line(), flush=True)
    ours = runs[0]
    for other in runs[1:]:
        wall, cpu = other.seconds / ours.seconds, other.cpu_s / ours.cpu_s
        print(f"# {copies}x: {other.tool} takes {wall:.1f} times the wall time, {cpu:.1f} the CPU")
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--pandas-loop"]:
        pandas_loop(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
