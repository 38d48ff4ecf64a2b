"""A folder of records: which tables stand where, what is missing, what it may be used for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import DataError
from ehrlich.base.store import MANIFEST, edge_fingerprint, read_json
from ehrlich.charts.readers.blocks import open_text, read_header
from ehrlich.charts.readers.columns import source_tables
from ehrlich.charts.readers.dictionary import Dictionary
from ehrlich.charts.readers.partition import SourceFile

ENDINGS = (".csv.gz", ".csv", ".parquet")


@dataclass(frozen=True, slots=True)
class Source:
    """What was found. `files`: table → its file; `missing`: table → what its absence costs."""

    root: Path
    dictionary: Dictionary
    files: dict[str, SourceFile]
    ignored: dict[str, Path]
    missing: dict[str, str]
    data_use: DataUse
    version: str
    unknown: list[str] = field(default_factory=list)

    def fingerprints(self) -> dict[str, Any]:
        """Each file's size and a digest of its edges: enough to notice another input."""
        return {name: edge_fingerprint(file.path) for name, file in sorted(self.files.items())}


def find_source(root: Path, dictionary: Dictionary) -> Source:
    """The tables of `dictionary` under `root`. Raises DataError where a required one is absent."""
    if not root.is_dir():
        raise DataError("no such folder", where=str(root))
    tables = source_tables(dictionary)
    files: dict[str, SourceFile] = {}
    missing: dict[str, str] = {}
    for name, table in tables.items():
        path = _find(root, table.module, name)
        if path is not None:
            files[name] = SourceFile(table, path, read_header(path, table))
        elif table.required:
            raise DataError(
                f"required table {name} is missing", where=str(root),
                expected=f"{table.module}/{name}.csv.gz (or .csv, .parquet; or in one flat folder)",
                do=f"Is this the {dictionary.title} folder?",
            )  # fmt: skip
        else:
            missing[name] = table.missing_costs
    ignored = {
        name: path for name in dictionary.ignored if (path := _find_any(root, dictionary, name))
    }
    return Source(
        root, dictionary, files, ignored, missing, find_data_use(root, dictionary, files=files),
        find_version(dictionary, files), _unknown(root, files, ignored),
    )  # fmt: skip


def _find(root: Path, module: str, table: str) -> Path | None:
    """The one file of the table. Raises DataError where it stands more than once."""
    places = [root / module, root, *root.glob(f"*/{module}"), *root.glob(f"*/*/{module}")]
    found = [
        folder / f"{table}{ending}"
        for folder in dict.fromkeys(places)
        for ending in ENDINGS
        if (folder / f"{table}{ending}").is_file()
    ]
    if len(found) > 1:
        raise DataError(
            f"table {table} stands more than once", where=str(root),
            got=", ".join(str(path.relative_to(root)) for path in found), do="Keep one of them.",
        )  # fmt: skip
    return found[0] if found else None


def _find_any(root: Path, dictionary: Dictionary, table: str) -> Path | None:
    """The table's file in whichever module folder."""
    found = (_find(root, module, table) for module in dictionary.modules)
    return next((path for path in found if path), None)


def _unknown(root: Path, files: dict[str, SourceFile], ignored: dict[str, Path]) -> list[str]:
    known = {file.path for file in files.values()} | set(ignored.values())
    folders = {path.parent for path in known}
    others = [
        path for folder in folders for path in folder.iterdir()
        if path.name.endswith(ENDINGS) and path not in known
    ]  # fmt: skip
    return sorted(str(path.relative_to(root)) for path in others)


def find_data_use(root: Path, dictionary: Dictionary, *, files: dict[str, SourceFile]) -> DataUse:
    """The source's tag: our own synthetic hospital, a known open extract, else the default."""
    made = own_manifest(root, "hospital", paths=[file.path for file in files.values()])
    if made is not None and made.get("data_use") == DataUse.SYNTHETIC:
        return DataUse.SYNTHETIC
    rule = dictionary.data_use
    marked = files.get(rule.open_table)
    if marked is not None and _text_digest(marked.path) in rule.open_sha256:
        return DataUse.OPEN
    return rule.default


def own_manifest(root: Path, step: str, *, paths: Sequence[Path]) -> dict[str, Any] | None:
    """The folder's manifest, where our `step` wrote it and each path is the file that it lists.

    A manifest copied beside other records says nothing about them.
    """
    if not (root / MANIFEST).is_file():
        return None
    body = read_json(root / MANIFEST)
    if not isinstance(body, dict) or body.get("step") != step or not paths:
        return None
    listed = body.get("counts", {}).get("files", {})
    same = all(
        listed.get(path.relative_to(root).as_posix()) == edge_fingerprint(path) for path in paths
    )
    return body if same else None


def _text_digest(path: Path) -> str:
    if path.suffix == ".parquet" or path.stat().st_size > 1 << 20:
        return ""
    digest = hashlib.sha256()
    with open_text(path) as file:
        for chunk in _chunks(file):
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(file: Any) -> Iterator[bytes]:
    while chunk := file.read(1 << 20):
        yield chunk


def find_version(dictionary: Dictionary, files: dict[str, SourceFile]) -> str:
    """The first version whose sign the source shows."""
    for sign in dictionary.versions:
        file = files.get(sign.table)
        if file is None or sign.column not in {name.lower() for name in file.header.names}:
            continue
        if sign.value is None or _holds(file.path, sign.value):
            return sign.version
    return "unknown"


def _holds(path: Path, value: str) -> bool:
    """Whether the table's text holds `value` as a whole field."""
    if path.suffix == ".parquet":
        return False
    with open_text(path) as file:
        return any(b"," + value.encode() + b"," in chunk for chunk in _chunks(file))
