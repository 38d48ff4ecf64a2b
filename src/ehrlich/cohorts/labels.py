"""Cases of risk tasks as MEDS labels: what other tools of the MEDS family read."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ehrlich.base.store import write_aside

SCHEMA = pa.schema(
    [
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("prediction_time", pa.timestamp("us"), nullable=False),
        pa.field("boolean_value", pa.bool_(), nullable=False),
    ]
)


def write_labels(cases: Path, out: Path) -> dict[str, int]:
    """`out/<task>/<split>/<shard>.parquet` (MEDS 0.4 LabelSchema) of each risk task; rows a task.

    Decision tasks have no label of that schema and are left out.
    """
    written: dict[str, int] = {}
    columns = ["subject_id", "prediction_time", "boolean_value"]
    # <task>/<split>-<shard>.parquet; the samples beside them have no shard.
    for path in sorted(cases.glob("*/*-*.parquet")):
        task = path.parent.name
        labels = pl.read_parquet(path, columns=columns).drop_nulls("boolean_value")
        if labels.is_empty():
            continue
        split, _, shard = path.stem.rpartition("-")
        with write_aside(out / task / split / f"{shard}.parquet") as aside:
            pq.write_table(labels.sort(columns).to_arrow().cast(SCHEMA), aside)
        written[task] = written.get(task, 0) + labels.height
    return written
