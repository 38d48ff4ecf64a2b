"""The kinds of source that can be read: tables by a dictionary, and foreign MEDS datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import DataError
from ehrlich.base.store import edge_fingerprint, read_json
from ehrlich.charts.code_maps import reference_tables
from ehrlich.charts.readers.blocks import (
    count_records,
    parquet_rows,
    parse_block,
    read_blocks,
    read_parquet_blocks,
)
from ehrlich.charts.readers.buckets import Buckets, Shard, read_splits
from ehrlich.charts.readers.dictionary import Dictionary, Policy, load_dictionary, shipped
from ehrlich.charts.readers.meds import (
    DESCRIPTIONS,
    MEDS,
    MedsJob,
    MedsSource,
    build_meds_shard,
    column_names,
    find_meds,
    meds_files,
    meds_tables,
)
from ehrlich.charts.readers.metadata import tables_of, write_metadata
from ehrlich.charts.readers.partition import SourceFile, Tally, write_spill
from ehrlich.charts.readers.run import Builder, ReadConfig, Reading, dropped_in
from ehrlich.charts.readers.shard import REFERENCES, ShardJob, build_shard
from ehrlich.charts.readers.source import Source, find_source, own_manifest
from ehrlich.charts.readers.values import POLARS_TYPES

# Maps that come with a source are used where the user names none.
MAPS = "maps"


def find_reading(config: ReadConfig, root: Path) -> Reading:
    """The source under `root` as its dictionary reads it. Raises DataError, ConfigError."""
    if not root.is_dir():
        raise DataError("no such folder", where=str(root))
    name = config.dictionary if config.dictionary != "auto" else guess_dictionary(root)
    dictionary = load_dictionary(name)
    if dictionary.meds is None:
        return TableReading(find_source(root, dictionary), config)
    return MedsReading(find_meds(root, dictionary, salt=config.salt, splits=config.splits), config)


def guess_dictionary(root: Path) -> str:
    """The shipped dictionary that fits what `root` holds. Raises DataError where none does."""
    if meds_files(root):
        return _guess_meds(root)
    for name in shipped():
        dictionary = load_dictionary(name)
        required = [table for table, rule in dictionary.tables.items() if rule.required]
        if required and any(_stands(root, dictionary, table) for table in required):
            return name
    raise DataError(
        "holds no records that a shipped dictionary knows", where=str(root),
        expected=f"one of {', '.join(shipped())}", do="Name yours with --dictionary.",
    )  # fmt: skip


def _stands(root: Path, dictionary: Dictionary, table: str) -> bool:
    module = dictionary.module_of(table)
    patterns = (
        f"{table}.*",
        f"{module}/{table}.*",
        f"*/{module}/{table}.*",
        f"*/*/{module}/{table}.*",
    )
    return any(path.is_file() for pattern in patterns for path in root.glob(pattern))


def _guess_meds(root: Path) -> str:
    described = root / "metadata" / "dataset.json"
    stated = read_json(described) if described.is_file() else {}
    name = str(stated.get("dataset_name", "")).lower() if isinstance(stated, dict) else ""
    columns = set(column_names(meds_files(root)[0]))
    if "mimic" in name and "row_id" not in columns:
        return "mimic_iv_meds"
    return "ehrshot_meds" if "ehrshot" in name or "omop_table" in columns else "meds"


@dataclass
class TableReading:
    """Tables by a dictionary (MIMIC-IV and its like)."""

    source: Source
    config: ReadConfig

    def __post_init__(self) -> None:
        self.data_use = self.source.data_use
        beside = self.source.root / MAPS
        self.maps = self.config.maps or (beside if beside.is_dir() else None)
        splits = self.config.splits
        self.buckets = read_splits(splits) if splits else Buckets(self.config.salt)
        self.coverage: dict[str, int | None] = {}

    def settings(self) -> dict[str, Any]:
        maps = self.maps
        return {
            "dictionary": self.source.dictionary.model_dump(mode="json"),
            "version": self.source.version,
            "files": self.source.fingerprints(),
            "maps": {
                path.name: edge_fingerprint(path)
                for path in sorted(maps.iterdir())
                if path.is_file()
            }
            if maps
            else None,
        }

    def tables(self) -> Mapping[str, Sequence[SourceFile]]:
        return {name: [file] for name, file in self.source.files.items() if file.table.subject}

    def prepare(self, spill: Path) -> None:
        builtin = reference_tables(self.maps)
        for name, lookup in self.source.dictionary.lookups.items():
            if lookup.subject:
                continue
            file = self.source.files.get(name)
            frame = (
                builtin[lookup.builtin] if lookup.builtin else _reference(file) if file else None
            )
            self.coverage[name] = None if frame is None else frame.height
            if frame is not None:
                write_spill(frame, spill / REFERENCES / f"{name}.parquet")

    def jobs(self, shards: Sequence[Shard], out: Path) -> tuple[Builder, list[Any]]:
        make = (self.source.dictionary, self.config.policy)
        return build_shard, [ShardJob(*make, shard, out) for shard in shards]

    def write_metadata(self, shards: Sequence[Shard], out: Path) -> None:
        dictionary = self.source.dictionary
        write_metadata(
            dictionary, shards, out=out, tables=tables_of(dictionary, self.config.policy)
        )

    def counts(
        self, tallies: Mapping[str, Tally], built: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        dictionary = self.source.dictionary
        made = _made_by_table(built)
        tables = {
            name: _line(name, tally, _dropped(name, dictionary, self.config.policy, tally, built),
                        made[name], tally.kept if name in dictionary.lookups else 0)
            for name, tally in tallies.items()
        }  # fmt: skip
        sources = {dictionary.source_of(name) for name in dictionary.tables}
        return _totals(tables, built) | {
            "derived": {name: rows for name, rows in sorted(made.items()) if name not in sources},
            "not_in_a_chart": {name: _count(path) for name, path in self.source.ignored.items()},
            "oddities": {
                name: dict(found)
                for name in made
                if (found := dropped_in(built, name, kind="oddities"))
            },
            "reference_rows": self.coverage,
            "filled_fields": _filled(built),
        }


def _filled(built: Sequence[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """table → field → rows that have it: how far lookups, CCS and ATC reach."""
    total: dict[str, Counter[str]] = {}
    for shard in built:
        for table, fields in shard.get("filled", {}).items():
            total.setdefault(table, Counter()).update(fields)
    return {table: dict(fields) for table, fields in sorted(total.items())}


def _made_by_table(built: Sequence[dict[str, Any]]) -> Counter[str]:
    made: Counter[str] = Counter()
    for tally in built:
        made.update(tally["tables"])
    return made


def _dropped(
    name: str, dictionary: Dictionary, policy: Policy, tally: Tally, built: Sequence[dict[str, Any]]
) -> Counter[str]:
    dropped = Counter(tally.dropped) + dropped_in(built, name)
    table = dictionary.tables.get(name)
    if policy == "compat" and table is not None and table.compat.skip:
        dropped[f"left out: {table.compat.skip}"] += tally.kept
    return dropped


def _line(
    name: str, tally: Tally, dropped: Counter[str], measurements: int, completing: int
) -> dict[str, Any]:
    """One table's account; raises DataError where it does not close."""
    line: dict[str, Any] = {
        "in": tally.records,
        "measurements": measurements,
        "completing": completing,
        "dropped": {reason: rows for reason, rows in sorted(dropped.items()) if rows},
    }
    if tally.records != measurements + completing + sum(dropped.values()):
        raise DataError(f"rows of {name} do not add up", got=str(line), do="Please report this.")
    return line | (
        {"unreadable": dict(sorted(tally.unreadable.items()))} if tally.unreadable else {}
    )


def _totals(
    tables: Mapping[str, dict[str, Any]], built: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "rows_in": sum(line["in"] for line in tables.values()),
        "measurements": sum(tally["rows"] for tally in built),
        "dropped": sum(sum(line["dropped"].values()) for line in tables.values()),
        "tables": dict(tables),
    }


def _reference(file: SourceFile) -> pl.DataFrame:
    """A reference table, whole; one without rows has its columns all the same."""
    if file.path.suffix == ".parquet":
        parts = [p.rows for p in read_parquet_blocks(file.path, file.table, header=file.header)]
    else:
        parts = [
            parse_block(block, file.table, header=file.header).rows
            for block in read_blocks(file.path)
        ]
    empty = {name: POLARS_TYPES[kind] for name, kind in file.table.kinds.items()}
    return pl.concat(parts) if parts else pl.DataFrame(schema=empty)


def _count(path: Path) -> int:
    if path.suffix == ".parquet":
        return parquet_rows(path)
    return sum(count_records(text) for text in read_blocks(path))


@dataclass
class MedsReading:
    """A foreign MEDS dataset."""

    source: MedsSource
    config: ReadConfig

    def __post_init__(self) -> None:
        self.buckets = self.source.buckets
        self.data_use = self._data_use()

    def _data_use(self) -> DataUse:
        """An ehrlich timeline keeps its tag; else the dictionary's."""
        source = self.source
        made = own_manifest(source.root, "read", paths=[file.path for file in source.files])
        return DataUse(made["data_use"]) if made else source.dictionary.data_use.default

    def settings(self) -> dict[str, Any]:
        root = self.source.root
        files = {
            str(file.path.relative_to(root)): edge_fingerprint(file.path)
            for file in self.source.files
        }
        return {
            "dictionary": self.source.dictionary.model_dump(mode="json"),
            "columns": self.source.aliases,
            "extra_columns": self.source.extra,
            "files": files,
        }

    def tables(self) -> Mapping[str, Sequence[SourceFile]]:
        return {MEDS: self.source.files}

    def prepare(self, spill: Path) -> None:
        if self.source.descriptions is not None:
            write_spill(self.source.descriptions, spill / DESCRIPTIONS)

    def jobs(self, shards: Sequence[Shard], out: Path) -> tuple[Builder, list[Any]]:
        layout, source = self.source.dictionary.meds, self.source
        assert layout is not None
        made = (layout, source.aliases, source.extra, source.table_column, source.tables)
        return build_meds_shard, [MedsJob(*made, shard, out) for shard in shards]

    def write_metadata(self, shards: Sequence[Shard], out: Path) -> None:
        source = self.source
        tables = meds_tables(source.tables, source)
        write_metadata(
            source.dictionary,
            shards,
            out=out,
            tables=tables,
            descriptions=source.descriptions,
        )

    def counts(
        self, tallies: Mapping[str, Tally], built: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        made = _made_by_table(built)
        dropped = Counter(tallies[MEDS].dropped) + dropped_in(built, MEDS)
        line = _line(MEDS, tallies[MEDS], dropped, made.total(), 0)
        return _totals({MEDS: line}, built) | {"measurements_by_table": dict(sorted(made.items()))}
