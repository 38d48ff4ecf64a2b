"""What a finished step tells its user: counts in, out, dropped by reason, and where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ehrlich.base.store import Manifest


def summary(manifest: Manifest, out: Path, *, dry_run: bool = False) -> str:
    """A few lines of plain text; no record of any patient."""
    done = "would write" if dry_run else "wrote"
    head = f"{manifest.step}: {done} {out} (data use: {manifest.data_use})"
    return "\n".join([head, *(f"  {line}" for line in _lines(manifest.counts))])


def _lines(counts: Mapping[str, Any]) -> list[str]:
    plain = [f"{_words(key)}: {value:,}" for key, value in counts.items() if isinstance(value, int)]
    reasons: dict[str, int] = {}
    for name, table in counts.get("tables", {}).items():
        for reason, rows in (table.get("dropped", {}) if isinstance(table, dict) else {}).items():
            reasons[f"{name}: {reason}"] = rows
    return plain + [f"dropped, {reason}: {rows:,}" for reason, rows in reasons.items()]


def _words(key: str) -> str:
    return key.replace("_", " ")
