"""First pass: every table of the source, streamed once, laid by subject into sorted blocks.

Files of a table stand in `spill/<table>/`: one parquet file a block, sorted by bucket, so that a
shard reads only its row groups. Memory is a few blocks, whatever the size of the source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ehrlich.base.progress import Bar
from ehrlich.base.store import read_json, store_error, write_aside, write_json
from ehrlich.charts.readers.blocks import (
    ROW,
    Header,
    Parsed,
    parse_block,
    read_blocks,
    read_parquet_blocks,
)
from ehrlich.charts.readers.buckets import BUCKET, PER_SPLIT, Buckets
from ehrlich.charts.readers.columns import SUBJECT, SourceTable

SPILL = ".spill"
ROW_GROUP = 32_768
# A row's number holds the place of its file above the row in the file.
FILE_SHIFT = 32
DONE = "done.json"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a table; `index` is its place among the table's files."""

    table: SourceTable
    path: Path
    header: Header
    index: int = 0


@dataclass
class Tally:
    """What a table's files held; `bucket_rows` counts kept rows by bucket.

    `blocks`: records of each block by its file's name in the spill, to number rows of a file.
    """

    records: int
    kept: int
    dropped: Counter[str]
    unreadable: Counter[str]
    bucket_rows: npt.NDArray[np.int64]
    blocks: dict[str, int]

    @classmethod
    def empty(cls, splits: int) -> Tally:
        rows = np.zeros(splits * PER_SPLIT, dtype=np.int64)
        return cls(0, 0, Counter(), Counter(), rows, {})

    def add(self, laid: Laid) -> None:
        """Count one block."""
        name, parsed, buckets = laid
        self.blocks[name] = parsed.records
        self.records += parsed.records
        self.kept += len(buckets)
        self.dropped += parsed.dropped
        self.unreadable += parsed.unreadable
        self.bucket_rows += np.bincount(buckets, minlength=len(self.bucket_rows))

    def as_json(self) -> dict[str, Any]:
        used = np.flatnonzero(self.bucket_rows)
        return {
            "records": self.records,
            "kept": self.kept,
            "dropped": self.dropped,
            "unreadable": self.unreadable,
            "blocks": dict(sorted(self.blocks.items())),
            "buckets": dict(zip(used.tolist(), self.bucket_rows[used].tolist(), strict=True)),
        }

    @classmethod
    def from_json(cls, body: dict[str, Any], splits: int) -> Tally:
        tally = cls.empty(splits)
        tally.records, tally.kept = body["records"], body["kept"]
        tally.blocks = body["blocks"]
        tally.dropped, tally.unreadable = Counter(body["dropped"]), Counter(body["unreadable"])
        for bucket, rows in body["buckets"].items():
            tally.bucket_rows[int(bucket)] = rows
        return tally


@dataclass(frozen=True, slots=True)
class Partition:
    """Settings of the first pass. `only`: the subjects that --limit keeps."""

    spill: Path
    buckets: Buckets
    threads: int
    only: npt.NDArray[np.int64] | None = None


def partition_table(files: Sequence[SourceFile], settings: Partition, *, bar: Bar) -> Tally:
    """Lay one table into its spill folder, or read its tally where that is done already."""
    folder = settings.spill / files[0].table.name
    splits = len(settings.buckets.names)
    if (folder / DONE).is_file():
        bar.advance(sum(file.path.stat().st_size for file in files))
        return Tally.from_json(read_json(folder / DONE), splits)
    _empty_folder(folder)
    tally = Tally.empty(splits)
    for file in files:
        for laid in _in_threads(_tasks(file, folder, settings), settings.threads, bar):
            tally.add(laid)
    write_json(folder / DONE, tally.as_json())
    return tally


def _empty_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
    except OSError as exc:
        raise store_error(exc, folder) from exc


Laid = tuple[str, Parsed, npt.NDArray[np.int32]]
Task = tuple[Callable[[], Laid], float]


def _tasks(file: SourceFile, folder: Path, settings: Partition) -> Iterator[Task]:
    """One piece of work a block, with its share of the file's bytes on disk."""
    size = file.path.stat().st_size
    if file.path.suffix == ".parquet":
        for number, parsed in enumerate(
            read_parquet_blocks(file.path, file.table, header=file.header)
        ):
            target = folder / f"{file.index}-{number}.parquet"
            yield _laying(parsed, target, settings), 0.0
        return
    for number, text in enumerate(read_blocks(file.path)):
        target = folder / f"{file.index}-{number}.parquet"
        # Text of a csv.gz is about eight times its size on disk.
        share = len(text) / (8 if file.path.suffix == ".gz" else 1)
        yield _text_task(file, text, target, settings), min(share, size)


def _text_task(
    file: SourceFile, text: bytes, target: Path, settings: Partition
) -> Callable[[], Laid]:
    return lambda: _lay(parse_block(text, file.table, header=file.header), target, settings)


def _laying(parsed: Parsed, target: Path, settings: Partition) -> Callable[[], Laid]:
    return lambda: _lay(parsed, target, settings)


def _lay(parsed: Parsed, target: Path, settings: Partition) -> Laid:
    """Write the block's rows by bucket; the frame itself is let go."""
    rows = parsed.rows
    if settings.only is not None:
        kept = rows.filter(pl.col(SUBJECT).is_in(pl.Series(settings.only).implode()))
        if beyond := rows.height - kept.height:
            parsed.dropped["beyond --limit"] += beyond
        rows = kept
    buckets = settings.buckets.of(rows[SUBJECT].to_numpy())
    if rows.height:
        laid = rows.with_columns(pl.Series(BUCKET, buckets)).sort(BUCKET, maintain_order=True)
        write_spill(laid, target)
    counted = Parsed(rows.clear(), parsed.records, parsed.dropped, parsed.unreadable)
    return target.name, counted, buckets


def write_spill(frame: pl.DataFrame, path: Path) -> None:
    """The frame as parquet, whole or not at all. Raises StoreError, as for a full disk."""
    with write_aside(path) as aside:
        try:
            frame.write_parquet(aside, compression="lz4", row_group_size=ROW_GROUP)
        except pl.exceptions.PolarsError as exc:
            # Polars wraps what the system said about the file.
            raise OSError(str(exc)) from exc


def _in_threads(tasks: Iterator[Task], threads: int, bar: Bar) -> Iterator[Laid]:
    """Results of the tasks; at most two blocks a thread are alive at a time."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: dict[Future[Laid], float] = {}
        try:
            for work, share in tasks:
                waiting[pool.submit(work)] = share
                while len(waiting) >= threads + 1:
                    yield from _finished(waiting, bar)
            while waiting:
                yield from _finished(waiting, bar)
        finally:
            for future in waiting:
                future.cancel()


def _finished(waiting: dict[Future[Laid], float], bar: Bar) -> Iterator[Laid]:
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for future in done:
        bar.advance(waiting.pop(future))
        yield future.result()


def read_bucket_range(folder: Path, low: int, *, high: int) -> pl.DataFrame | None:
    """Rows of buckets low ≤ b < high of one spilled table, each subject's in source order, or None.

    `_row` counts from 1 through all blocks of a file; above it stands the place of the file.
    """
    paths = sorted(folder.glob("*.parquet"), key=_block_order)
    if not paths:
        return None
    inside = pl.col(BUCKET).is_between(low, high, closed="left")
    before = _rows_before(read_json(folder / DONE)["blocks"])
    parts = [
        pl.scan_parquet(path, glob=False)
        .filter(inside)
        .with_columns(pl.col(ROW) + before[path.name])
        for path in paths
    ]
    # Files of one dataset may lack some of each other's columns.
    return pl.concat(parts, how="diagonal").drop(BUCKET).collect()


def _rows_before(blocks: dict[str, int]) -> dict[str, int]:
    """Block → what to add to its rows' numbers."""
    before: dict[str, int] = {}
    rows: Counter[int] = Counter()
    for name in sorted(blocks, key=lambda name: _block_order(Path(name))):
        file, _ = _block_order(Path(name))
        before[name] = (file << FILE_SHIFT) + rows[file]
        rows[file] += blocks[name]
    return before


def _block_order(path: Path) -> tuple[int, int]:
    file, _, number = path.stem.partition("-")
    return int(file), int(number)
