"""`ehrlich read`: a folder of records → `charts/`. Two passes, each resumable, memory bounded."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ehrlich.base.contracts import DATA
from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import ConfigError, DataError
from ehrlich.base.parallel import run_jobs
from ehrlich.base.progress import progress_bar
from ehrlich.base.store import (
    Manifest,
    edge_fingerprint,
    open_output,
    read_manifest,
    versions_of,
    write_manifest,
)
from ehrlich.charts.readers.blocks import parse_block, read_blocks, read_parquet_blocks
from ehrlich.charts.readers.buckets import PER_SPLIT, Buckets, Shard, plan_shards
from ehrlich.charts.readers.columns import SUBJECT
from ehrlich.charts.readers.dictionary import Policy
from ehrlich.charts.readers.partition import SPILL, Partition, SourceFile, Tally, partition_table

# Measured (benchmarks/read.py): peak of a block in work, of a million rows in a shard, of the rest.
BLOCK_GB = 0.25
SHARD_GB_PER_MILLION_ROWS = 0.8
BASE_GB = 0.3


@dataclass(frozen=True, slots=True)
class ReadConfig:
    """Settings of `ehrlich read`. Workers, memory, resume and quiet do not change results.

    - dictionary: a shipped name, a file, or `auto` (from what the folder holds).
    - maps: folder of the user's ATC and CCS tables; else `maps/` in the source, if it is there.
    - splits: a subject_splits.parquet to keep; else the dataset's own, else a salted hash of
      subject_id (80/10/10).
    - limit: only that many subjects, the first by that hash.
    """

    dictionary: str = "auto"
    policy: Policy = "strict"
    maps: Path | None = None
    splits: Path | None = None
    salt: int = 0
    limit: int | None = None
    shard_rows: int = 2_000_000
    workers: int = 2
    memory_gb: float = 4.0
    resume: bool = False
    fresh: bool = False
    quiet: bool = False

    def results(self) -> dict[str, Any]:
        """What of it changes results."""
        return {
            "policy": self.policy,
            "salt": self.salt,
            "limit": self.limit,
            "shard_rows": self.shard_rows,
            "splits": edge_fingerprint(self.splits) if self.splits else None,
        }


class Reading(Protocol):
    """What the two passes need to know of a source; one class a kind of source."""

    data_use: DataUse
    buckets: Buckets

    def settings(self) -> dict[str, Any]:
        """Dictionary, version and fingerprints of the files: what changes results."""

    def tables(self) -> Mapping[str, Sequence[SourceFile]]:
        """Tables of subjects → their files."""

    def prepare(self, spill: Path) -> None:
        """Write what every shard needs (reference tables) beside the spill."""

    def jobs(self, shards: Sequence[Shard], out: Path) -> tuple[Builder, list[Any]]:
        """The function that builds a shard, and its argument for each shard."""

    def counts(
        self, tallies: Mapping[str, Tally], built: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        """Rows in, measurements, dropped by reason; raises DataError where they do not add up."""

    def write_metadata(self, shards: Sequence[Shard], out: Path) -> None:
        """Write charts/metadata."""


Builder = Callable[[Any], dict[str, Any]]


def plan_read(config: ReadConfig, root: Path) -> Manifest:
    """What `read_source` would write: its manifest without counts. Reads headers only."""
    return _manifest(config, root, _reading(config, root))


def read_source(config: ReadConfig, root: Path, out: Path) -> Manifest:
    """Write `out` as charts (base/contracts.py) from the records under `root`; its manifest.

    Raises DataError for records that cannot be read, StoreError for a disk or folder that does
    not allow it. What is interrupted is finished by the same call with `resume`.
    """
    if out.resolve().is_relative_to(root.resolve()):
        raise ConfigError(
            "--out lies inside the source", got=str(out), do="Choose a folder beside it."
        )
    reading = _reading(config, root)
    manifest = _manifest(config, root, reading)
    spill = out / SPILL
    if open_output(out, manifest.config_fingerprint, resume=config.resume, fresh=config.fresh):
        shutil.rmtree(spill, ignore_errors=True)  # of a run that was killed as it tidied up
        return read_manifest(out)
    reading.prepare(spill)
    tallies = _partition(reading, config, root, spill)
    rows = np.sum([tally.bucket_rows for tally in tallies.values()], axis=0)
    shards = plan_shards(rows, reading.buckets.names, target_rows=config.shard_rows)
    built = _build(reading, config, shards, out)
    reading.write_metadata(shards, out)
    counts = reading.counts(tallies, built)
    written = {"shards": len(shards), "files": _written(shards, out)}
    finished = replace(manifest, counts=counts | written)
    # Not before: a run killed in the middle of this must not resume on half a spill.
    write_manifest(out, finished)
    shutil.rmtree(spill)
    return finished


def _written(shards: Sequence[Shard], out: Path) -> dict[str, Any]:
    """Fingerprints of the data files, by which a later reader knows them for ours."""
    paths = [out / DATA / f"{shard.name}.parquet" for shard in shards]
    return {path.relative_to(out).as_posix(): edge_fingerprint(path) for path in paths}


def _reading(config: ReadConfig, root: Path) -> Reading:
    """The source under `root`, read as the dictionary says."""
    # Imported here: both kinds import this module's configuration.
    from ehrlich.charts.readers.kinds import find_reading

    if config.maps is not None and not config.maps.is_dir():
        raise ConfigError("--maps is no folder", got=str(config.maps))
    if config.splits is not None and not config.splits.is_file():
        raise ConfigError("--splits is no file", got=str(config.splits))
    return find_reading(config, root)


def _manifest(config: ReadConfig, root: Path, reading: Reading) -> Manifest:
    return Manifest(
        "read", reading.data_use, config.results() | reading.settings(),
        inputs={"source": str(root.resolve())}, versions=versions_of(("polars", "pyarrow", "meds")),
    )  # fmt: skip


def _partition(reading: Reading, config: ReadConfig, root: Path, spill: Path) -> dict[str, Tally]:
    """First pass over every table of subjects, the largest first."""
    threads = max(1, min(config.workers, int((config.memory_gb - BASE_GB) / BLOCK_GB) - 1))
    tables = reading.tables()
    only = _limited(tables, reading.buckets, config.limit) if config.limit else None
    settings = Partition(spill, reading.buckets, threads, only)
    sizes = {
        name: sum(file.path.stat().st_size for file in files) for name, files in tables.items()
    }
    tallies: dict[str, Tally] = {}
    with progress_bar(sum(sizes.values()), "Laying out", quiet=config.quiet) as bar:
        for name in sorted(tables, key=lambda name: (-sizes[name], name)):
            tallies[name] = partition_table(tables[name], settings, bar=bar)
    if not any(tally.kept for tally in tallies.values()):
        raise DataError("no row could be read", where=str(root))
    return tallies


def _limited(
    tables: Mapping[str, Sequence[SourceFile]], buckets: Buckets, limit: int
) -> npt.NDArray[np.int64]:
    """The subjects that --limit keeps: the first by hash, whatever their split.

    Of those that the required (or only) table has.
    """
    known = [files for files in tables.values() if files[0].table.required]
    chosen = known[0] if known else next(iter(tables.values()))
    found = [np.unique(rows.to_numpy()) for file in chosen for rows in _subjects(file)]
    subjects = np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)
    return subjects[np.argsort(buckets.of(subjects) % PER_SPLIT, kind="stable")][:limit]


def _subjects(file: SourceFile) -> list[Any]:
    table = replace(file.table, kinds={})
    header = replace(file.header, wanted={SUBJECT: file.header.wanted[SUBJECT]})
    if file.path.suffix == ".parquet":
        return [
            parsed.rows[SUBJECT] for parsed in read_parquet_blocks(file.path, table, header=header)
        ]
    return [
        parse_block(block, table, header=header).rows[SUBJECT] for block in read_blocks(file.path)
    ]


def _build(
    reading: Reading, config: ReadConfig, shards: list[Shard], out: Path
) -> list[dict[str, Any]]:
    """Second pass: the tallies of all shards, in their order."""
    each_gb = SHARD_GB_PER_MILLION_ROWS * config.shard_rows / 1e6
    workers = max(1, min(config.workers, int((config.memory_gb - BASE_GB) / each_gb)))
    function, jobs = reading.jobs(shards, out)
    return run_jobs(function, jobs, workers=workers, label="Building shards", quiet=config.quiet)


def dropped_in(
    built: Sequence[dict[str, Any]], table: str, *, kind: str = "dropped"
) -> Counter[str]:
    """Reasons of all shards for one table."""
    total: Counter[str] = Counter()
    for shard in built:
        total.update(shard[kind].get(table, {}))
    return total
