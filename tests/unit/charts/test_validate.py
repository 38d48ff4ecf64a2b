"""Sound charts damaged in one way each: every kind of damage is found, and named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ehrlich.base.contracts import detail_arrow_schema, measurement_arrow_schema
from ehrlich.charts.timeline import Charts
from ehrlich.charts.validate import problems_of

Damage = Callable[[Charts], object]


def rewrite(folder: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Damage:
    """The first shard's file under `folder` with another content, in the contract's schema."""
    schema = measurement_arrow_schema() if folder == "data" else detail_arrow_schema()

    def damage(charts: Charts) -> None:
        path = charts.folder / folder / "train/0.parquet"
        changed = change(pl.read_parquet(path)).to_arrow().cast(schema)
        pq.write_table(changed, path)

    return damage


def value(column: str, new: Any, place: int = -1) -> Damage:
    """One value of the first shard replaced."""

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        values = rows[column].to_list()
        values[place] = new(values) if callable(new) else new
        return rows.with_columns(pl.Series(column, values, dtype=rows.schema[column]))

    return rewrite("data", change)


def reschemed(change: Callable[[pa.Table], pa.Table], folder: str = "data/train/0") -> Damage:
    def damage(charts: Charts) -> None:
        path = charts.folder / f"{folder}.parquet"
        pq.write_table(change(pq.read_table(path)), path)

    return damage


def copied(source: str, target: str) -> Damage:
    return lambda charts: shutil.copy(charts.folder / source, charts.folder / target)


def json_value(name: str, **changes: Any) -> Damage:
    def damage(charts: Charts) -> None:
        path = charts.folder / name
        body = json.loads(path.read_text())
        path.write_text(json.dumps(body | changes))

    return damage


def removed(name: str) -> Damage:
    return lambda charts: (charts.folder / name).unlink()


def cut(name: str) -> Damage:
    def damage(charts: Charts) -> None:
        path = charts.folder / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return damage


def fewer_measurements(charts: Charts) -> None:
    counts = charts.manifest.counts
    json_value("manifest.json", counts={**counts, "measurements": 1})(charts)


def cast(name: str, dtype: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(name)
        return table.set_column(place, name, table[name].cast(dtype))

    return change


def other_split(charts: Charts) -> None:
    path = charts.folder / "metadata/subject_splits.parquet"
    table = pq.read_table(path)
    splits = ["train" if name == "tuning" else name for name in table["split"].to_pylist()]
    pq.write_table(table.set_column(1, table.schema.field("split"), pa.array(splits)), path)


DAMAGES: dict[str, tuple[Damage, str]] = {
    "rows out of order": (
        rewrite("data", lambda rows: rows.reverse()), "train/0: rows are not sorted",
    ),
    "a static row last": (value("time", None), "train/0: rows are not sorted"),
    "times that fall": (
        rewrite("data", lambda rows: rows[[0, 1, 3, 2, *range(4, rows.height)]]),
        "train/0: rows are not sorted",
    ),
    "a row_id twice": (value("row_id", lambda ids: ids[0]), "train/0: row_id is not unique"),
    "an unknown code": (value("code", "NONE//1"), "train/0: 1 codes are not in codes.parquet"),
    "an unknown table": (value("table", "none"), "train/0: 1 tables are not in tables.parquet"),
    "an event that goes back": (value("event", 0), "train/0: events are not numbered"),
    "an event left out": (value("event", lambda events: events[-1] + 5), "train/0: events are not numbered"),  # noqa: E501
    "a first event that is not 0": (
        rewrite("data", lambda rows: rows.with_columns(pl.col("event") + 1)),
        "train/0: events are not numbered",
    ),
    "an event of two tables": (
        rewrite("data", lambda rows: rows.with_columns(event=pl.lit(0, dtype=pl.UInt32))),
        "train/0: an event holds rows of several tables",
    ),
    "a shard twice": (
        lambda charts: [copied(f"{kind}/train/0.parquet", f"{kind}/train/99.parquet")(charts) for kind in ("data", "detail")],  # noqa: E501
        "train/99: ",
    ),
    "a shard in another split": (other_split, "subjects stand in a shard of another split"),
    "a shard lost": (removed("data/train/0.parquet"), "does not name exactly the subjects"),
    "a shard cut short": (cut("data/train/0.parquet"), "train/0: cannot be read"),
    "a code of another type": (
        reschemed(cast("code", pa.large_string())), "train/0: not valid MEDS",
    ),
    "an item of another type": (
        reschemed(cast("item", pa.large_string())), "train/0: columns differ from the contract",
    ),
    "a column lost": (
        reschemed(lambda table: table.drop_columns(["row_id"])),
        "train/0: columns differ from the contract",
    ),
    "a column of MEDS lost": (
        reschemed(lambda table: table.drop_columns(["code"])), "train/0: not valid MEDS",
    ),
    "a column too many": (
        reschemed(lambda table: table.append_column("more", pa.nulls(table.num_rows))),
        "train/0: columns differ from the contract",
    ),
    "no detail": (removed("detail/train/0.parquet"), "train/0: has no detail file"),
    "a detail cut short": (cut("detail/train/0.parquet"), "train/0: detail cannot be read"),
    "a detail of other columns": (
        reschemed(lambda table: table.rename_columns(["row_id", "values"]), "detail/train/0"),
        "train/0: columns of detail differ",
    ),
    "a detail row twice": (
        rewrite("detail", lambda rows: pl.concat([rows, rows.tail(1)])),
        "train/0: row_id is not unique in detail",
    ),
    "a detail of no row": (
        rewrite("detail", lambda rows: rows.with_columns(pl.col("row_id") + 1)),
        "train/0: detail has row_ids that the data lacks",
    ),
    "a detail with too few fields": (
        rewrite("detail", lambda rows: rows.with_columns(pl.col("fields").list.head(1))),
        "detail rows have another number of fields",
    ),
    "a count that is not right": (fewer_measurements, "the manifest says 1 measurements"),
    "no codes": (removed("metadata/codes.parquet"), "codes.parquet cannot be read"),
    "codes cut short": (cut("metadata/codes.parquet"), "codes.parquet cannot be read"),
    "codes that are no MEDS": (
        reschemed(lambda table: table.rename_columns(["kode", *table.column_names[1:]]), "metadata/codes"),  # noqa: E501
        "codes.parquet is not valid MEDS",
    ),
    "splits that are no MEDS": (
        reschemed(cast("subject_id", pa.string()), "metadata/subject_splits"),
        "subject_splits.parquet is not valid MEDS",
    ),
    "a subject too few in the splits": (
        reschemed(lambda table: table.slice(1), "metadata/subject_splits"),
        "does not name exactly the subjects",
    ),
    "tables of other columns": (
        reschemed(lambda table: table.drop_columns(["late"]), "metadata/tables"),
        "tables.parquet: columns differ",
    ),
    "no tables": (removed("metadata/tables.parquet"), "tables.parquet cannot be read"),
    "no dataset.json": (removed("metadata/dataset.json"), "dataset.json: cannot be read as JSON"),
    "a dataset.json that is no MEDS": (
        json_value("metadata/dataset.json", dataset_name=7), "dataset.json is not valid MEDS",
    ),
}  # fmt: skip


def test_sound_charts_have_no_problem(sound_charts: Charts) -> None:
    assert problems_of(sound_charts) == []


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_and_named(charts: Charts, name: str) -> None:
    damage, expected = DAMAGES[name]
    damage(charts)
    found = problems_of(Charts(charts.folder))
    assert any(expected in problem for problem in found), found
    assert all("\n" not in problem and len(problem) < 300 for problem in found)


def test_no_problem_tells_what_a_patient_has(charts: Charts, tmp_path: Path) -> None:
    for name in ("an unknown code", "a row_id twice", "a shard twice"):
        DAMAGES[name][0](charts)
    told = " ".join(problems_of(Charts(charts.folder)))
    assert "NONE//1" not in told
    assert "GENDER" not in told
