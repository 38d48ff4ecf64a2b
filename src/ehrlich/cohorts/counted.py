"""The counts of `ehrlich cases` as a table that a person reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ehrlich.base.contracts import SPLITS


def cases_table(counts: Mapping[str, Any]) -> str:
    """Per task: anchors, cases by split, share of yes, and what was dropped for which reason."""
    tasks: Mapping[str, Any] = counts.get("tasks", {})
    width = max((len(name) for name in tasks), default=4)
    head = f"{'task':<{width}} {'anchors':>9} " + " ".join(f"{split:>9}" for split in SPLITS)
    lines = [f"{head} {'yes':>6}  dropped"]
    for name, line in tasks.items():
        by_split = [line["splits"].get(split, {}).get("cases", 0) for split in SPLITS]
        dropped = "; ".join(f"{reason} {rows:,}" for reason, rows in line["dropped"].items())
        cells = " ".join(f"{cases:>9,}" for cases in by_split)
        lines.append(f"{name:<{width}} {line['in']:>9,} {cells} {_yes(line):>6}  {dropped or '-'}")
    lines += [f"skipped {name}: {reason}" for name, reason in counts.get("skipped", {}).items()]
    return "\n".join(lines)


def _yes(line: Mapping[str, Any]) -> str:
    """The share of yes over all splits; empty for decision tasks."""
    known = [part for part in line["splits"].values() if part["yes"] is not None]
    cases = sum(part["cases"] for part in known)
    return f"{sum(part['yes'] * part['cases'] for part in known) / cases:.1%}" if cases else ""
