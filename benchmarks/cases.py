"""How fast `ehrlich cases` is, and whether its memory grows with the number of subjects.

    python -m benchmarks.cases --demo ../shared/data/mimic-iv-demo-2.2 --copies 1 10 50

Every task of the suite `all` that the demo allows, on copies of it. Prints cases a second, peak
memory of all processes together, and the ratio of peak memory to the run before.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.read import measure, replicate, run_ehrlich


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--demo", type=Path, required=True)
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--work", type=Path, help="folder for copies and outputs (else temporary)")
    options = parser.parse_args()
    print("| copies | subjects | cases | wall s | CPU s | cases/s | peak GB |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    before = 0.0
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        for copies in options.copies:
            peak_gb = build(options.demo, Path(folder), copies)
            if before:
                print(f"# peak memory {peak_gb / before:.2f} times that of the run before")
            before = peak_gb


def build(demo: Path, folder: Path, copies: int) -> float:
    """One line of the table; the peak memory in GB."""
    data, charts, cases = (folder / name for name in ("data", "charts", "cases"))
    replicate(demo, data, copies)
    run_ehrlich(data, charts, 4.0)
    command = [sys.executable, "-m", "ehrlich", "cases", str(charts), "--out", str(cases),
               "--suite", "all", "--quiet"]  # fmt: skip
    seconds, cpu_s, peak_gb = measure(command, folder / "cases.log")
    made = json.loads((cases / "manifest.json").read_text())["counts"]["cases"]
    speed = f"{made / seconds:,.0f}"
    print(
        f"| {copies}x | {100 * copies:,} | {made:,} | {seconds:.1f} | {cpu_s:.1f} | {speed} "
        f"| {peak_gb:.2f} |",
        flush=True,
    )
    for path in (data, charts, cases):
        shutil.rmtree(path)
    return float(peak_gb)


if __name__ == "__main__":
    main()
