"""How long the door takes to open: `ehrlich --help` against 0.3 s and against bare Python.

    python benchmarks/startup.py [--runs 10]

Prints medians of wall-clock seconds; exit code 1 where the median of `ehrlich --help` is above
the limit. The two commands take turns, so that another load on the machine meets both.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median

LIMIT_S = 0.3
HELP = (sys.executable, "-m", "ehrlich", "--help")
BARE = (sys.executable, "-c", "pass")


def seconds(command: Sequence[str]) -> float:
    """Wall-clock time of one run of a command that succeeds."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description="Time `ehrlich --help`.")
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    for command in (HELP, BARE):
        seconds(command)  # once unmeasured: byte code is written, files are in memory
    turns = [(seconds(HELP), seconds(BARE)) for _ in range(runs)]
    help_s, bare_s = (median(turn[side] for turn in turns) for side in (0, 1))
    print(f"ehrlich --help   {help_s:.3f} s   median of {runs}   limit {LIMIT_S} s")
    print(f"python -c pass   {bare_s:.3f} s")
    print(f"ratio            {help_s / bare_s:.1f}")
    return int(help_s > LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
