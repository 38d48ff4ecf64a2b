"""A foreign MEDS dataset → our timeline: tables by code, aliases, encounters by pairs of codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ehrlich.base.contracts import DATA, METADATA, SPLITS, measurement_schema, tables_schema
from ehrlich.base.errors import DataError
from ehrlich.base.store import read_json, write_json
from ehrlich.charts.readers.blocks import ROW, broken_file, read_header
from ehrlich.charts.readers.buckets import Buckets, Shard, given_splits, read_splits
from ehrlich.charts.readers.columns import SUBJECT, Kind, SourceTable
from ehrlich.charts.readers.dictionary import Dictionary, MedsLayout, Pair
from ehrlich.charts.readers.order import fill_ids, in_order, number_events
from ehrlich.charts.readers.partition import SPILL, SourceFile, read_bucket_range
from ehrlich.charts.readers.rows import FIELDS, RANK_SHIFT
from ehrlich.charts.readers.shard import write_measurements

MEDS = "meds"
DESCRIPTIONS = "_descriptions.parquet"
CORE = {"time": Kind.TIME, "code": Kind.TEXT, "numeric_value": Kind.NUMBER, "text_value": Kind.TEXT}
ALIASED = {
    "encounter_id": Kind.ID, "stay_id": Kind.ID, "avail_time": Kind.TIME, "end_time": Kind.TIME,
    "item": Kind.TEXT, "unit": Kind.TEXT, "flag": Kind.TEXT, "ref_low": Kind.NUMBER,
    "ref_high": Kind.NUMBER,
}  # fmt: skip
# Of another ehrlich timeline; made anew here.
OWN = {"row_id", "event"}


@dataclass(frozen=True, slots=True)
class MedsSource:
    """What was found. `aliases`: contract column → its name there; `extra`: all other columns."""

    root: Path
    dictionary: Dictionary
    files: list[SourceFile]
    aliases: dict[str, str]
    extra: list[str]
    table_column: str | None
    tables: list[str]
    buckets: Buckets
    descriptions: pl.DataFrame | None


def meds_files(root: Path) -> list[Path]:
    """The dataset's parquet files with data, sorted; empty where `root` is no MEDS dataset."""
    folder = root / DATA if (root / DATA).is_dir() else root
    paths = sorted(
        path for path in folder.rglob("*.parquet") if METADATA not in path.relative_to(root).parts
    )
    return [path for path in paths if {"subject_id", "time", "code"} <= set(column_names(path))]


def column_names(path: Path) -> list[str]:
    """Columns of a parquet file. Raises DataError for a damaged one."""
    try:
        return list(pq.read_schema(path).names)
    except (OSError, pa.ArrowInvalid) as exc:
        raise broken_file(path, exc) from exc


def find_meds(root: Path, dictionary: Dictionary, *, salt: int, splits: Path | None) -> MedsSource:
    """The dataset under `root`. Raises DataError where a subject stands in two files."""
    layout = dictionary.meds
    assert layout is not None
    paths = meds_files(root)
    if not paths:
        raise DataError(
            "holds no MEDS data",
            where=str(root),
            expected="parquet files with columns subject_id, time, code",
        )
    names = list(dict.fromkeys(name for path in paths for name in column_names(path)))
    aliases = {
        ours: found for ours, theirs in layout.columns.items()
        if (found := next((name for name in theirs if name in names), None))
    }  # fmt: skip
    table_column = next((name for name in layout.table_column if name in names), None)
    taken = {*CORE, *aliases.values(), table_column, SUBJECT, *OWN}
    extra = [name for name in names if name not in taken]
    files = _source_files(paths, aliases, extra, table_column)
    owners = _one_file_a_subject(paths)
    return MedsSource(
        root, dictionary, files, aliases, extra, table_column,
        _table_names(paths, layout, table_column), _buckets(root, paths, owners, salt, splits),
        _descriptions(root),
    )  # fmt: skip


def _source_files(
    paths: Sequence[Path], aliases: dict[str, str], extra: list[str], table_column: str | None
) -> list[SourceFile]:
    """Each file with the wanted columns that it has (files of one dataset may differ)."""
    wanted = CORE | {theirs: ALIASED[ours] for ours, theirs in aliases.items()}
    wanted |= dict.fromkeys((*extra, *filter(None, [table_column])), Kind.TEXT)
    files = []
    for index, path in enumerate(paths):
        have = set(column_names(path))
        table = SourceTable(
            MEDS, "", {name: kind for name, kind in wanted.items() if name in have}, True
        )
        files.append(SourceFile(table, path, read_header(path, table), index))
    return files


def _one_file_a_subject(paths: Sequence[Path]) -> pl.DataFrame:
    """(file, subject_id) of the dataset."""
    parts = [
        pl.read_parquet(path, columns=[SUBJECT], glob=False)
        .select(pl.col(SUBJECT).cast(pl.Int64, strict=False)).unique()
        .with_columns(pl.lit(index, dtype=pl.Int64).alias("file"))
        for index, path in enumerate(paths)
    ]  # fmt: skip
    owners = pl.concat(parts).drop_nulls()
    twice = owners.filter(pl.col(SUBJECT).is_duplicated())
    if not twice.is_empty():
        two = [paths[index] for index in twice["file"].unique().sort().head(2)]
        raise DataError(
            f"{twice[SUBJECT].n_unique()} subjects stand in more than one file",
            where=", ".join(str(path) for path in two), expected="each subject in one file (MEDS)",
            do="Were shards of two extractions mixed?",
        )  # fmt: skip
    return owners


def _table_names(paths: Sequence[Path], layout: MedsLayout, column: str | None) -> list[str]:
    """Every table, in rank order: those of the dictionary, then others that the column names."""
    known = [rule.table for rule in layout.tables]
    found: set[str] = set()
    for path in paths:
        if column and column in column_names(path):
            found |= set(
                pl.read_parquet(path, columns=[column], glob=False)[column]
                .cast(pl.String)
                .drop_nulls()
                .unique()
            )
    return list(dict.fromkeys([*known, *sorted(found - set(known))]))


def _buckets(
    root: Path, paths: Sequence[Path], owners: pl.DataFrame, salt: int, splits: Path | None
) -> Buckets:
    """The user's splits, else the dataset's, else those its folders are named for, else a hash."""
    own = root / METADATA / "subject_splits.parquet"
    chosen = splits or (own if own.is_file() else None)
    if chosen is not None:
        return read_splits(chosen)
    by_folder = [path.parent.name if path.parent.name in SPLITS else None for path in paths]
    if all(by_folder):
        named = pl.DataFrame(
            {"file": range(len(paths)), "split": by_folder}, schema_overrides={"file": pl.Int64}
        )
        return given_splits(owners.join(named, on="file").select(SUBJECT, "split"), str(root))
    return Buckets(salt=salt)


def _descriptions(root: Path) -> pl.DataFrame | None:
    """code → description, parent_codes, as the dataset's codes.parquet says."""
    path = root / METADATA / "codes.parquet"
    if not path.is_file():
        return None
    if "code" not in column_names(path):
        raise DataError("has no column code", where=str(path), expected="MEDS's codes.parquet")
    frame = pl.read_parquet(path, glob=False)
    for name, dtype in (("description", pl.String), ("parent_codes", pl.List(pl.String))):
        if name not in frame.columns:
            frame = frame.with_columns(pl.lit(None, dtype=dtype).alias(name))
    known = frame.select(
        pl.col("code").cast(pl.String),
        "description",
        pl.col("parent_codes").cast(pl.List(pl.String)),
    )
    return known.unique("code", keep="first", maintain_order=True)


@dataclass(frozen=True, slots=True)
class MedsJob:
    """One shard of a MEDS dataset; the frame of descriptions lies beside the spill."""

    layout: MedsLayout
    aliases: dict[str, str]
    extra: list[str]
    table_column: str | None
    tables: list[str]
    shard: Shard
    out: Path

    @property
    def spill(self) -> Path:
        """Where the first pass laid the dataset."""
        return self.out / SPILL


def build_meds_shard(job: MedsJob) -> dict[str, Any]:
    """Write the shard; its tally, kept in the spill folder, is written last."""
    tally_path = job.spill / "shards" / f"{job.shard.split}-{job.shard.number}.json"
    if tally_path.is_file():
        return dict(read_json(tally_path))
    rows = read_bucket_range(job.spill / MEDS, job.shard.low, high=job.shard.high)
    assert rows is not None
    known = rows.drop_nulls("code")
    framed = _with_tables(known, job)
    made = in_order(framed.select(_contract_columns(framed, job)))
    made = _with_encounters(made, job.layout)
    write_measurements(number_events(made, split_gaps=True), job.shard, out=job.out)
    counts = dict(made.group_by("table").len().iter_rows())
    lost = rows.height - known.height
    tally = {
        "rows": made.height,
        "tables": counts,
        "oddities": {},
        "dropped": {MEDS: {"no code": lost}} if lost else {},
    }
    write_json(tally_path, tally)
    return tally


def _with_tables(rows: pl.DataFrame, job: MedsJob) -> pl.DataFrame:
    """`rows` with `_table`, `_rank` and `_description`, worked out once a distinct code."""
    rule: Any = pl.when(False).then(pl.lit(None, dtype=pl.String))
    for table in job.layout.tables:
        matches = pl.col("code").str.contains(table.pattern) if table.pattern else pl.lit(False)
        rule = rule.when(matches).then(pl.lit(table.table))
    codes = rows.select(pl.col("code").unique()).with_columns(
        rule.otherwise(pl.lit("others")).alias("_table")
    )
    if (job.spill / DESCRIPTIONS).is_file():
        described = pl.read_parquet(job.spill / DESCRIPTIONS, glob=False)
        known = described.select("code", pl.col("description").alias("_description"))
        codes = codes.join(known, on="code", how="left")
    else:
        codes = codes.with_columns(pl.lit(None, dtype=pl.String).alias("_description"))
    rows = rows.join(codes, on="code", how="left", maintain_order="left")
    named = (
        pl.col(job.table_column)
        if job.table_column in rows.columns
        else pl.lit(None, dtype=pl.String)
    )
    rows = rows.with_columns(pl.coalesce(named, "_table").alias("_table"))
    ranks = {name: rank for rank, name in enumerate([*job.tables, "others"])}
    return rows.with_columns(
        pl.col("_table").replace_strict(ranks, return_dtype=pl.Int64).alias("_rank")
    )


def _contract_columns(rows: pl.DataFrame, job: MedsJob) -> list[pl.Expr]:
    types = measurement_schema()

    def alias(name: str) -> pl.Expr:
        theirs = job.aliases.get(name)
        return pl.col(theirs) if theirs in rows.columns else pl.lit(None, dtype=types[name])

    last_part = pl.col("code").str.extract(r"([^/]+)/*$")
    made = {
        "subject_id": pl.col(SUBJECT),
        "row_id": pl.col(ROW) + pl.col("_rank") * (1 << RANK_SHIFT),
        "table": pl.col("_table"),
        "item": pl.coalesce(alias("item"), "_description", last_part),
        "time": pl.col("time"), "code": pl.col("code"),
        "numeric_value": _finite(_or_null(rows, "numeric_value", types)),
        "text_value": _or_null(rows, "text_value", types),
    }  # fmt: skip
    columns = [
        made.get(name, alias(name)).cast(dtype).alias(name)
        for name, dtype in types.items() if name != "event"
    ]  # fmt: skip
    extra = [
        pl.col(name) if name in rows.columns else pl.lit(None, dtype=pl.String)
        for name in job.extra
    ]
    detail: pl.Expr = pl.lit(None, dtype=pl.List(pl.String))
    if extra:
        known = pl.any_horizontal(value.is_not_null() for value in extra)
        detail = pl.when(known).then(pl.concat_list(extra))
    return [*columns, detail.alias(FIELDS)]


def _or_null(rows: pl.DataFrame, name: str, types: dict[str, pl.DataType]) -> pl.Expr:
    return pl.col(name) if name in rows.columns else pl.lit(None, dtype=types[name])


def _finite(number: pl.Expr) -> pl.Expr:
    """NaN and infinities are no measurements."""
    return pl.when(number.is_finite()).then(number)


def _with_encounters(rows: pl.DataFrame, layout: MedsLayout) -> pl.DataFrame:
    if layout.encounters:
        rows = fill_ids(
            rows, spans_of(rows, layout.encounters, column="encounter_id"), column="encounter_id"
        )
    for pair in layout.stays:
        rows = fill_ids(rows, spans_of(rows, pair, column="stay_id"), column="stay_id")
    return rows


def spans_of(rows: pl.DataFrame, pair: Pair, *, column: str) -> pl.DataFrame:
    """subject_id, start, end, `column`: each start code until the first end code after it.

    A start without an end lasts until the next start, or the subject's last row. The id is the
    one that the start row has, else the start's row_id.
    """
    starts = (
        rows.filter(pl.col("code").str.contains(pair.start))
        .drop_nulls("time")
        .select(SUBJECT, pl.col("time").alias("start"), pl.coalesce(column, "row_id").alias(column))
    )
    ends = (
        rows.filter(pl.col("code").str.contains(pair.end))
        .drop_nulls("time")
        .select(SUBJECT, pl.col("time").alias("end"))
    )
    last = rows.group_by(SUBJECT).agg(pl.col("time").max().alias("_last"))
    starts = starts.sort(SUBJECT, "start", maintain_order=True).join(
        last, on=SUBJECT, how="left", maintain_order="left"
    )
    following = pl.col("start").shift(-1).over(SUBJECT) - pl.duration(microseconds=1)
    spans = starts.with_columns(following.alias("_next")).join_asof(
        ends.sort(SUBJECT, "end"), left_on="start", right_on="end", by=SUBJECT, strategy="forward",
        check_sortedness=False, coalesce=False,
    )  # fmt: skip
    end = pl.min_horizontal("end", pl.coalesce("_next", "_last"))
    return spans.select(SUBJECT, "start", end.alias("end"), column)


def meds_tables(job_tables: Sequence[str], source: MedsSource) -> pl.DataFrame:
    """tables.parquet of a MEDS dataset: every table shows the dataset's extra columns."""
    layout = source.dictionary.meds
    assert layout is not None
    headings = {rule.table: rule.heading for rule in layout.tables}
    names = list(dict.fromkeys([*job_tables, "others"]))
    return pl.DataFrame(
        {
            "table": names,
            "rank": list(range(len(names))),
            "heading": [
                headings.get(name) or name.replace("_", " ").capitalize() for name in names
            ],
            "fields": [source.extra] * len(names),
            "late": [[] for _ in names],
        },
        schema=tables_schema(),
    )
