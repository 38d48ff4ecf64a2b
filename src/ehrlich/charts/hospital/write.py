"""Tables of a block to gzip members, and members to the final csv.gz files.

A gzip file may consist of several members; each block of subjects is one member of each table, so
blocks are compressed in their worker and only concatenated at the end. Memory never holds more
than one block.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterable
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from ehrlich.base.store import write_aside
from ehrlich.charts.hospital.layout import COLUMNS

LEVEL = 1


def member(frame: pl.DataFrame) -> bytes:
    """The rows as one gzip member, without header; no clock in it.

    By zlib: ISA-L, faster, now and then packs the same text into other bytes.
    """
    text = frame.write_csv(
        include_header=False, datetime_format="%Y-%m-%d %H:%M:%S", quote_style="necessary"
    )
    return gzip.compress(text.encode(), LEVEL, mtime=0)


def header(name: str) -> bytes:
    """The header line of a table as one gzip member."""
    return gzip.compress((",".join(COLUMNS[name]) + "\n").encode(), LEVEL, mtime=0)


def write_table(path: Path, name: str, *, parts: Iterable[Path]) -> None:
    """The header and the parts of a table, one after the other, into `path`."""
    with write_aside(path) as aside, aside.open("wb") as out:
        out.write(header(name))
        for part in parts:
            with part.open("rb") as piece:
                shutil.copyfileobj(piece, out, 1 << 20)


def join_parquet(path: Path, parts: list[Path]) -> None:
    """Parts as the row groups of one zstd parquet file."""
    schema = pq.read_schema(parts[0])
    with write_aside(path) as aside, pq.ParquetWriter(aside, schema, compression="zstd") as out:
        for part in parts:
            out.write_table(pq.read_table(part))
