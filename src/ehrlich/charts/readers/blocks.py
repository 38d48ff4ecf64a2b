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
from ehrlich.charts.readers.columns import ARROW_TYPES, SUBJECT, SourceTable
from ehrlich.charts.readers.values import as_kinds

BLOCK_BYTES = 24 << 20
# Beyond any note: a quote that is never closed would swallow the rest of the file.
LONGEST_RECORD = 256 << 20
ROW = "_row"


@dataclass(frozen=True, slots=True)
class Header:
    """Columns of the file as it spells them, and where each wanted column stands."""

    names: list[str]
    wanted: dict[str, str]


@dataclass(frozen=True, slots=True)
class Parsed:
    """Rows of a block (`_row` from 1, `subject_id`, wanted columns), and what was wrong."""

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
        except _damage() as exc:
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
    except _damage() as exc:
        raise broken_file(path, exc) from exc


def _damage() -> tuple[type[Exception], ...]:
    """What a damaged or cut file raises while it is read."""
    from isal import igzip_lib

    return OSError, EOFError, zlib.error, cast(type[Exception], igzip_lib.IsalError)


def _cut_blocks(file: IO[bytes], block_bytes: int) -> Iterator[bytes]:
    rest = b""
    while chunk := file.read(block_bytes):
        text = rest + chunk
        end = _last_record_end(text)
        if end:
            yield text[:end]
        rest = text[end:]
        if len(rest) > LONGEST_RECORD:
            raise EOFError(f"a row longer than {LONGEST_RECORD >> 20} MiB: a quote is not closed")
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
    if b'"' not in text and not _has_empty_line(text):
        return text.count(b"\n")
    bytes_ = np.frombuffer(text, dtype=np.uint8)
    outside = np.cumsum(bytes_ == 34, dtype=np.uint8) % 2 == 0
    ends = np.flatnonzero((bytes_ == 10) & outside)
    starts = np.concatenate(([0], ends[:-1] + 1)) if ends.size else ends
    lengths = ends - starts
    return_only = (lengths == 1) & (bytes_[starts] == 13)
    return int(((lengths > 0) & ~return_only).sum())


def _has_empty_line(text: bytes) -> bool:
    return text.startswith((b"\n", b"\r\n")) or b"\n\n" in text or b"\n\r\n" in text


def parse_block(text: bytes, table: SourceTable, *, header: Header) -> Parsed:
    """Typed rows of a block; what could not be read is counted by reason."""
    dropped: Counter[str] = Counter()
    unreadable: Counter[str] = Counter()
    text = _as_utf8(text, unreadable)
    try:
        arrow, bad = _parse(text, header, _arrow_types(table, header))
        frame = _numbered(_as_frame(arrow, header), bad, dropped)
        records = frame.height + len(bad)
        if b"\0" in text:
            frame = _without_nul(frame, dropped)
    except pa.ArrowInvalid:
        arrow, bad = _parse(text, header, {})
        frame = _numbered(_as_frame(arrow, header), bad, dropped)
        records = frame.height + len(bad)
        frame, wrong = as_kinds(_without_nul(frame, dropped), table)
        unreadable.update(wrong)
    return Parsed(_with_subject(frame, table, dropped), records, dropped, unreadable)


def _numbered(frame: pl.DataFrame, bad: list[int], dropped: Counter[str]) -> pl.DataFrame:
    """`frame` with the place of each row among all records of the block, bad ones too."""
    ordinals = np.arange(1, frame.height + len(bad) + 1)
    if bad:
        dropped["wrong number of columns"] += len(bad)
        ordinals = np.delete(ordinals, bad)
    return frame.with_columns(pl.Series(ROW, ordinals, dtype=pl.Int64))


def _without_nul(frame: pl.DataFrame, dropped: Counter[str]) -> pl.DataFrame:
    """Rows none of whose texts holds a NUL byte."""
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    nul = (pl.col(name).str.contains("\0", literal=True).fill_null(value=False) for name in texts)
    kept = frame.filter(~pl.any_horizontal(nul)) if texts else frame
    if lost := frame.height - kept.height:
        dropped["NUL byte in the row"] += lost
    return kept


def _with_subject(frame: pl.DataFrame, table: SourceTable, dropped: Counter[str]) -> pl.DataFrame:
    if table.subject:
        rows = frame.filter(pl.col(SUBJECT).is_not_null())
        if lost := frame.height - rows.height:
            dropped["no readable subject_id"] += lost
        frame = rows
    return frame


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
    # Not left to Arrow, which loses count of a row that is broken in its columns too.
    try:
        if not text.isascii():
            text.decode("utf-8")
    except UnicodeDecodeError:
        repaired = text.decode("utf-8", errors="replace")
        unreadable["bytes that are not UTF-8 (replaced)"] += repaired.count("\ufffd")
        return repaired.encode()
    return text


def read_parquet_blocks(
    path: Path, table: SourceTable, *, header: Header, rows: int = 400_000
) -> Iterator[Parsed]:
    """The same as `parse_block` gives, from a parquet file."""
    import pyarrow.parquet as pq

    try:
        for batch in pq.ParquetFile(path).iter_batches(rows, columns=list(header.wanted.values())):
            frame = _as_frame(pa.Table.from_batches([batch]), header)
            typed, wrong = as_kinds(frame, table)
            typed = typed.with_columns(pl.Series(ROW, np.arange(1, len(batch) + 1), dtype=pl.Int64))
            dropped: Counter[str] = Counter()
            yield Parsed(_with_subject(typed, table, dropped), len(batch), dropped, wrong)
    except (OSError, pa.ArrowInvalid) as exc:
        raise broken_file(path, exc) from exc


def parquet_rows(path: Path) -> int:
    """Rows of a parquet file, as its end says. Raises DataError for a damaged file."""
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowInvalid) as exc:
        raise broken_file(path, exc) from exc
