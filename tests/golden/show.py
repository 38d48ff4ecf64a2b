"""What the open MIMIC-IV demo becomes: the first lines of three patients, and events by table.

    python -m tests.golden.show ../shared/data/mimic-iv-demo-2.2           to look at
    python -m tests.golden.show ../shared/data/mimic-iv-demo-2.2 --pin     to write demo.json

Only counts and digests are kept in this folder: no line of any patient.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from ehrlich.charts.readers import ReadConfig, read_source
from ehrlich.charts.readers.dictionary import Policy
from ehrlich.charts.timeline import FIELDS, Charts

PINNED = Path(__file__).parent / "demo.json"
SUBJECTS = (10000032, 10014354, 10039708)
LINES = 50
POLICIES: tuple[Policy, ...] = ("strict", "compat")


def read_demo(demo: Path, out: Path, policy: Policy) -> Charts:
    """Charts of the demo."""
    read_source(ReadConfig(dictionary="mimic_iv", policy=policy, workers=1, quiet=True), demo, out)
    return Charts(out)


def all_rows(charts: Charts) -> pl.DataFrame:
    """Every measurement with fields, by subject, in the charts' order."""
    rows = pl.concat(charts.read(shard, fields=True) for shard in charts.shards())
    return rows.sort("subject_id", maintain_order=True)


def events(rows: pl.DataFrame) -> pl.DataFrame:
    """One row an event: subject_id, event, table, start, end, encounter_id, measurements."""
    return rows.group_by("subject_id", "event", maintain_order=True).agg(
        pl.col("table").first(),
        pl.col("time").first().alias("start"),
        pl.col("time").last().alias("end"),
        pl.col("encounter_id").first(),
        pl.len().cast(pl.Int64).alias("measurements"),
    )


def lines(rows: pl.DataFrame, charts: Charts, subject: int) -> list[str]:
    """The first measurements of a subject as text: all that a later stage can show of them."""
    names = dict(charts.tables.select("table", FIELDS).iter_rows())
    shown = rows.filter(pl.col("subject_id") == subject).head(LINES)
    return [_line(row, names[row["table"]]) for row in shown.to_dicts()]


def _line(row: dict[str, Any], names: list[str]) -> str:
    time = str(row["time"] or "static")
    parts = [f"{row['event']:>4} {time:<19} {row['code']}"]
    for name in ("item", "numeric_value", "text_value", "unit", "flag", "ref_low", "ref_high",
                 "encounter_id", "stay_id", "avail_time", "end_time"):  # fmt: skip
        value = row[name]
        if value is not None:
            parts.append(f"{name}={value:.5g}" if isinstance(value, float) else f"{name}={value}")
    fields = zip(names, row[FIELDS] or [], strict=False)
    parts += [f"{name}:{value}" for name, value in fields if value is not None]
    return " | ".join(part.replace("\n", "\\n") for part in map(str, parts))


def summary(charts: Charts) -> dict[str, Any]:
    """What is pinned of the charts."""
    rows = all_rows(charts)
    return {
        "measurements": counted(rows),
        "events": counted(events(rows)),
        "first_lines_sha256": {
            str(subject): digest(lines(rows, charts, subject)) for subject in SUBJECTS
        },
    }


def counted(rows: pl.DataFrame) -> dict[str, int]:
    """Rows by table, in alphabetical order."""
    return dict(rows.group_by("table").len().sort("table").iter_rows())


def digest(shown: list[str]) -> str:
    return hashlib.sha256("\n".join(shown).encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("demo", type=Path)
    parser.add_argument("--pin", action="store_true", help="write demo.json")
    options = parser.parse_args()
    pinned = {}
    with tempfile.TemporaryDirectory() as folder:
        for policy in POLICIES:
            charts = read_demo(options.demo, Path(folder) / policy, policy)
            pinned[policy] = summary(charts)
            rows = all_rows(charts)
            for subject in SUBJECTS:
                shown = "\n".join(lines(rows, charts, subject))
                sys.stdout.write(f"\n{policy}, subject {subject}\n{shown}\n")
    sys.stdout.write(json.dumps(pinned, indent=2) + "\n")
    if options.pin:
        PINNED.write_text(json.dumps(pinned, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
