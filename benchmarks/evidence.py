"""All that is claimed of evidence, each claim a command that prints its own figure.

    python -m benchmarks.evidence lift [--cases 20000] [--runs 3]
    python -m benchmarks.evidence recovery CHARTS CASES HOSPITAL [--nulls 20]
    python -m benchmarks.evidence null [--patients 1000] [--against CHARTS CASES]
    python -m benchmarks.evidence paths [--graph KNOWLEDGE_FOLDER] [--large 1000000 5000000]

What each prints is told in evidence_lift.py, evidence_recovery.py, evidence_null.py and
evidence_paths.py.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.evidence_lift import speed
from benchmarks.evidence_null import null_hospital
from benchmarks.evidence_paths import paths
from benchmarks.evidence_recovery import recovery


def main() -> int:
    """The exit code."""
    options = parser().parse_args()
    if options.claim == "lift":
        return speed(options.cases, options.runs)
    if options.claim == "recovery":
        return recovery(options.charts, options.made, options.hospital, nulls=options.nulls)
    if options.claim == "null":
        against = tuple(options.against) if options.against else None
        return null_hospital(options.patients, options.seed, against=against)
    return paths(
        options.graph,
        hops=options.hops,
        side=options.side,
        sample=options.sample,
        large=tuple(options.large),
    )


def parser() -> argparse.ArgumentParser:
    """One claim a command."""
    made = argparse.ArgumentParser(description="Time and check evidence.")
    claims = made.add_subparsers(dest="claim", required=True)
    lift = claims.add_parser("lift", help="co-occurrence against nested dictionaries")
    lift.add_argument("--cases", type=int, default=20_000)
    lift.add_argument("--runs", type=int, default=3)
    planted = claims.add_parser("recovery", help="what is found of what was planted")
    planted.add_argument("charts", type=Path, metavar="CHARTS")
    planted.add_argument("made", type=Path, metavar="CASES")
    planted.add_argument("hospital", type=Path, metavar="HOSPITAL")
    planted.add_argument("--nulls", type=int, default=20, help="times that answers are dealt out")
    null = claims.add_parser("null", help="what is kept in a hospital without links")
    null.add_argument("--patients", type=int, default=1000)
    null.add_argument("--seed", type=int, default=0)
    null.add_argument("--against", type=Path, nargs=2, metavar=("CHARTS", "CASES"),
                      help="a real hospital of as many patients; else one is made")  # fmt: skip
    far = claims.add_parser("paths", help="paths of knowledge against networkx")
    far.add_argument("--graph", type=Path, help="knowledge folder (else a random graph)")
    far.add_argument("--hops", type=int, default=2)
    far.add_argument("--side", type=int, default=1000, help="targets, and histories")
    far.add_argument("--sample", type=int, default=300, help="pairs that networkx gets")
    far.add_argument("--large", type=int, nargs=2, default=[1_000_000, 5_000_000],
                     help="nodes and edges of the large graph; 0 0: none")  # fmt: skip
    return made


if __name__ == "__main__":
    sys.exit(main())
