"""Text of a source table, block by block, as typed frames. Bad rows are counted, never fatal.

A block is whole records of decompressed text. It is parsed as the kinds that the dictionary
wants; where one value does not fit, the block is parsed again as text and cast leniently.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as csv

from ehrlich.base.errors import DataError
from ehrlich.charts.readers.columns import ARROW_TYPES, SUBJECT, Kind, SourceTable

BLOCK_BYTES = 24 << 20
ROW = "row"
POLARS_TYPES = {
    Kind.TIME: pl.Datetime("us"),
    Kind.ID: pl.Int64(),
    Kind.NUMBER: pl.Float32(),
    Kind.TEXT: pl.String(),
}


@dataclass(frozen=True, slots=True)
class Header:
    """Columns of the file as it spells them, and where each wanted column stands."""

    names: list[str]
    wanted: dict[str, str]


@dataclass(frozen=True, slots=True)
class Parsed:
    """Rows of a block (`row` from 1, `subject_id`, wanted columns), and what was wrong."""

    rows: pl.DataFrame
    records: int
    dropped: Counter[str]
    unreadable: Counter[str]


def open_text(path: Path) -> IO[bytes]:
    """The decompressed bytes of a csv or csv.gz file."""
    if path.suffix == ".gz":
        from isal import igzip

        return cast(IO[bytes], igzip.open(path, "rb"))
    return path.open("rb")


def read_header(path: Path, table: SourceTable) -> Header:
    """Columns of the file. Raises DataError for a wanted column that it lacks."""
    if path.suffix == ".parquet":
        names = _parquet_names(path)
    else:
        try:
            with open_text(path) as file:
                line = file.readline().decode("utf-8-sig", errors="replace")
        except (OSError, EOFError, zlib.error) as exc:
            raise broken_file(path, exc) from exc
        names = [name.strip().strip('"') for name in line.rstrip("\r\n").split(",")]
    spelled = {name.lower(): name for name in names}
    columns = [SUBJECT, *table.kinds] if table.subject else list(table.kinds)
    missing = [name for name in columns if name not in spelled]
    if missing:
        raise DataError(
            f"table {table.name} lacks column {', '.join(missing)}",
            where=str(path),
            got=", ".join(names)[:300] or "an empty file",
            do="Is this the file of another table or of another version?",
        )
    return Header(names, {name: spelled[name] for name in columns})


def _parquet_names(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names)
    except (OSError, pa.ArrowInvalid) as exc:
        raise broken_file(path, exc) from exc


def broken_file(path: Path, exc: Exception) -> DataError:
    """A file that cannot be read to its end."""
    return DataError(
        "the file is damaged or cut short",
        where=str(path),
        got=f"{type(exc).__name__}: {exc}"[:120],
        do="Copy or download it again and compare its checksum.",
    )


def read_blocks(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Blocks of whole records, header left out. Raises DataError for a damaged file."""
    try:
        with open_text(path) as file:
            file.readline()
            yield from _cut_blocks(file, block_bytes)
    except (OSError, EOFError, zlib.error) as exc:
        raise broken_file(path, exc) from exc


def _cut_blocks(file: IO[bytes], block_bytes: int) -> Iterator[bytes]:
    rest = b""
    while chunk := file.read(block_bytes):
        text = rest + chunk
        end = _last_record_end(text)
        if end:
            yield text[:end]
        rest = text[end:]
    if rest.strip():
        yield rest if rest.endswith(b"\n") else rest + b"\n"


def _last_record_end(text: bytes) -> int:
    """Just after the last newline that stands outside quotes; 0 where there is none."""
    end = len(text)
    open_quotes = text.count(b'"') % 2
    while (newline := text.rfind(b"\n", 0, end)) >= 0:
        open_quotes = (open_quotes - text.count(b'"', newline + 1, end)) % 2
        if not open_quotes:
            return newline + 1
        end = newline
    return 0


def count_records(text: bytes) -> int:
    """Records in a block of whole records; newlines inside quotes and empty lines do not count."""
    if b'"' not in text and b"\n\n" not in text:
        return text.count(b"\n")
    bytes_ = np.frombuffer(text, dtype=np.uint8)
    newline = bytes_ == 10
    outside = np.cumsum(bytes_ == 34, dtype=np.uint8) % 2 == 0
    ends = np.flatnonzero(newline & outside)
    starts = np.concatenate(([0], ends[:-1] + 1)) if ends.size else ends
    lengths = ends - starts
    return_only = (lengths == 1) & (bytes_[starts] == 13) if ends.size else lengths == 0
    return int(((lengths > 0) & ~return_only).sum())


def parse_block(text: bytes, table: SourceTable, header: Header) -> Parsed:
    """Typed rows of a block; what could not be read is counted by reason."""
    dropped: Counter[str] = Counter()
    unreadable: Counter[str] = Counter()
    kept = None
    if b"\0" in text:
        text, kept = _without_nul_records(text)
        dropped["NUL byte in the row"] += int((~kept).sum())
    if not text:
        return Parsed(_empty(table), dropped.total(), dropped, unreadable)
    try:
        arrow, bad = _parse(text, header, _arrow_types(table, header))
        frame = _as_frame(arrow, header)
    except pa.ArrowInvalid:
        arrow, bad = _parse(_as_utf8(text, unreadable), header, {})
        frame, wrong = _cast(_as_frame(arrow, header), table)
        unreadable.update(wrong)
    records = frame.height + len(bad) + dropped.total()
    ordinals = np.arange(1, records + 1) if kept is None else np.flatnonzero(kept) + 1
    if bad:
        dropped["wrong number of columns"] += len(bad)
        ordinals = np.delete(ordinals, bad)
    frame = frame.with_columns(pl.Series(ROW, ordinals, dtype=pl.Int64))
    return Parsed(_with_subject(frame, table, dropped), records, dropped, unreadable)


def _with_subject(frame: pl.DataFrame, table: SourceTable, dropped: Counter[str]) -> pl.DataFrame:
    if table.subject:
        rows = frame.filter(pl.col(SUBJECT).is_not_null())
        if lost := frame.height - rows.height:
            dropped["no readable subject_id"] += lost
        frame = rows
    return frame


def _empty(table: SourceTable) -> pl.DataFrame:
    schema: dict[str, pl.DataType] = {ROW: pl.Int64()}
    if table.subject:
        schema[SUBJECT] = pl.Int64()
    return pl.DataFrame(
        schema=schema | {name: POLARS_TYPES[kind] for name, kind in table.kinds.items()}
    )


def _arrow_types(table: SourceTable, header: Header) -> dict[str, pa.DataType]:
    types = {header.wanted[name]: ARROW_TYPES[kind] for name, kind in table.kinds.items()}
    if table.subject:
        types[header.wanted[SUBJECT]] = pa.int64()
    return types


def _parse(
    text: bytes, header: Header, types: dict[str, pa.DataType]
) -> tuple[pa.Table, list[int]]:
    """The wanted columns, and the positions of rows with a wrong number of columns."""
    bad: list[int] = []

    def skip(row: csv.InvalidRow) -> str:
        bad.append(row.number - 1)
        return "skip"

    wanted = list(header.wanted.values())
    table = csv.read_csv(
        pa.BufferReader(text),
        read_options=csv.ReadOptions(
            use_threads=False, block_size=len(text) + 1, column_names=header.names
        ),
        parse_options=csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
        convert_options=csv.ConvertOptions(
            column_types={name: types.get(name, pa.string()) for name in wanted},
            include_columns=wanted,
            null_values=[""],
            strings_can_be_null=True,
            timestamp_parsers=[csv.ISO8601],
        ),
    )
    return table, bad


def _as_frame(arrow: pa.Table, header: Header) -> pl.DataFrame:
    frame = cast(pl.DataFrame, pl.from_arrow(arrow))
    return frame.rename({spelled: name for name, spelled in header.wanted.items()})


def _as_utf8(text: bytes, unreadable: Counter[str]) -> bytes:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        repaired = text.decode("utf-8", errors="replace")
        unreadable["bytes that are not UTF-8 (replaced)"] += repaired.count("\ufffd")
        return repaired.encode()
    return text


def _cast(frame: pl.DataFrame, table: SourceTable) -> tuple[pl.DataFrame, Counter[str]]:
    """Columns as their kinds; what does not fit becomes null and is counted by column."""
    kinds = dict(table.kinds)
    if table.subject:
        kinds[SUBJECT] = Kind.ID
    result = frame.with_columns(
        lenient(name, kind) if frame.schema[name] == pl.String else _retyped(frame, name, kind)
        for name, kind in kinds.items()
    )
    wrong = {
        name: result[name].null_count() - frame[name].null_count()
        for name, kind in kinds.items()
        if kind is not Kind.TEXT
    }
    return result, Counter({f"{name} is no {kinds[name]}": n for name, n in wrong.items() if n})


def _retyped(frame: pl.DataFrame, name: str, kind: Kind) -> pl.Expr:
    """A column that is no text (from parquet) as `kind`; times lose their zone, as UTC."""
    column, dtype = pl.col(name), frame.schema[name]
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if kind is Kind.TEXT and dtype.is_temporal():
        return column.cast(pl.Datetime("us")).dt.to_string("%Y-%m-%d %H:%M:%S")
    if kind is Kind.TEXT and isinstance(dtype, pl.List):
        return column.cast(pl.List(pl.String)).list.join("\n")
    if kind is Kind.TEXT and isinstance(dtype, pl.Struct):
        return column.struct.json_encode().alias(name)
    if kind is Kind.TIME and not dtype.is_temporal():
        return pl.lit(None, dtype=pl.Datetime("us")).alias(name)
    return column.cast(POLARS_TYPES[kind], strict=False)


def lenient(name: str, kind: Kind) -> pl.Expr:
    """A text column as `kind`, null where it does not fit."""
    column = pl.col(name)
    if kind is Kind.TIME:
        clean = column.str.strip_chars().str.replace("T", " ", literal=True)
        return pl.coalesce(
            clean.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False),
            clean.str.to_datetime("%Y-%m-%d %H:%M", time_unit="us", strict=False),
            clean.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")),
        )
    if kind is Kind.ID:
        whole = column.str.strip_chars().str.strip_suffix(".0")
        return whole.cast(pl.Int64, strict=False)
    if kind is Kind.NUMBER:
        return column.str.strip_chars().cast(pl.Float32, strict=False)
    return column


def _without_nul_records(text: bytes) -> tuple[bytes, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """The block less its records that hold a NUL byte, and which records were kept."""
    bytes_ = np.frombuffer(text, dtype=np.uint8)
    outside = np.cumsum(bytes_ == 34, dtype=np.uint8) % 2 == 0
    ends = np.flatnonzero((bytes_ == 10) & outside)
    starts = np.concatenate(([0], ends[:-1] + 1))
    filled = ends > starts
    nul = np.add.reduceat(bytes_ == 0, starts) > 0
    pieces = [text[a : b + 1] for a, b, bad in zip(starts, ends, nul, strict=True) if not bad]
    return b"".join(pieces), ~nul[filled]


def read_parquet_blocks(
    path: Path, table: SourceTable, header: Header, *, rows: int = 400_000
) -> Iterator[Parsed]:
    """The same as `parse_block` gives, from a parquet file."""
    import pyarrow.parquet as pq

    try:
        for batch in pq.ParquetFile(path).iter_batches(rows, columns=list(header.wanted.values())):
            frame = _as_frame(pa.Table.from_batches([batch]), header)
            typed, wrong = _cast(frame, table)
            typed = typed.with_columns(pl.Series(ROW, np.arange(1, len(batch) + 1), dtype=pl.Int64))
            dropped: Counter[str] = Counter()
            yield Parsed(_with_subject(typed, table, dropped), len(batch), dropped, wrong)
    except (OSError, pa.ArrowInvalid) as exc:
        raise broken_file(path, exc) from exc
