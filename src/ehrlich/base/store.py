"""Files that are whole or absent, and the manifest that says what they are.

A step writes aside, renames, and writes `manifest.json` last: a folder without a manifest is
unfinished, and what stands in it under its final name is complete.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ehrlich import __version__
from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import StoreError

if TYPE_CHECKING:
    import polars as pl

MANIFEST = "manifest.json"
MANIFEST_SCHEME = 1
STARTED = ".started.json"
EDGE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Manifest:
    """What stands in an output folder. `config` holds only what changes results."""

    step: str
    data_use: DataUse
    config: Mapping[str, Any]
    seed: int | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def config_fingerprint(self) -> str:
        """Equal for equal settings, whatever the order of keys."""
        return fingerprint({"step": self.step, "config": self.config, "seed": self.seed})


def fingerprint(value: object) -> str:
    """Sixteen hex digits of the value's canonical JSON (scheme 1: sorted keys, str for paths)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(f"{MANIFEST_SCHEME}:{text}".encode()).hexdigest()[:16]


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; renamed over it on success, removed on failure."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        os.replace(aside, path)
    except OSError as exc:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise store_error(exc, path) from exc
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def store_error(exc: OSError, path: Path) -> StoreError:
    """The disk's own reason as one sentence."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(exc):
        return StoreError(
            "the disk is full", where=str(path), do="Free some space, then run again with --resume."
        )
    return StoreError("cannot write", where=str(path), got=exc.strerror or str(exc))


def write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """`frame` as Parquet, whole or not at all."""
    with write_aside(path) as aside:
        frame.write_parquet(aside, compression="zstd")


def write_json(path: Path, value: object) -> None:
    """`value` as indented JSON, whole or not at all."""
    with write_aside(path) as aside:
        aside.write_text(json.dumps(value, indent=2, default=str) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The file's value. Raises StoreError where it is absent or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise StoreError("cannot be read as JSON", where=str(path), got=type(exc).__name__) from exc


def write_manifest(out: Path, manifest: Manifest) -> None:
    """Write `out/manifest.json`; after this the folder counts as finished."""
    body = asdict(manifest) | {
        "scheme": MANIFEST_SCHEME,
        "config_fingerprint": manifest.config_fingerprint,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(out / MANIFEST, body)
    (out / STARTED).unlink(missing_ok=True)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a finished folder. Raises StoreError where there is none."""
    if not (folder / MANIFEST).is_file():
        raise StoreError(
            "holds no finished output (no manifest.json)",
            where=str(folder),
            do="Run the step that writes it, or finish it with --resume.",
        )
    body = read_json(folder / MANIFEST)
    known = {name: body[name] for name in Manifest.__dataclass_fields__ if name in body}
    return Manifest(**(known | {"data_use": DataUse(body["data_use"])}))


def open_output(out: Path, config_fingerprint: str, *, resume: bool, fresh: bool) -> bool:
    """Make `out` ready for a step; True when it already holds the finished result.

    An output made with other settings, or an unfinished one without `resume`, is never touched
    unless `fresh`, which empties the folder if a step of ours has written it.
    """
    started = out / STARTED
    if out.exists() and not out.is_dir():
        raise StoreError("is a file", where=str(out), expected="a folder to write to")
    found = _found(out)
    if fresh and found:
        shutil.rmtree(out)
        found = None
    if found is None and out.exists() and not all(map(_is_leftover, out.iterdir())):
        raise StoreError(
            "is not empty and was not written by ehrlich",
            where=str(out),
            do="Choose another --out.",
        )
    if found is not None:
        if found != config_fingerprint:
            raise StoreError(
                "holds output made with other settings or inputs",
                where=str(out),
                do="Choose another --out, or --fresh to replace it.",
            )
        if not started.exists():
            return True
        if not resume:
            raise StoreError(
                "holds an unfinished run", where=str(out), do="Finish it with --resume, or --fresh."
            )
    for leftover in out.rglob(".*.tmp"):
        leftover.unlink()
    write_json(started, {"config_fingerprint": config_fingerprint})
    return False


def _found(out: Path) -> str | None:
    """The config fingerprint of the run that `out` belongs to, or None."""
    for name in (STARTED, MANIFEST):
        if (out / name).is_file():
            body = read_json(out / name)
            found = body.get("config_fingerprint") if isinstance(body, dict) else None
            return str(found) if found else None
    return None


def _is_leftover(path: Path) -> bool:
    """Whether the file is one of `write_aside`, left by a process that was killed."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def edge_fingerprint(path: Path) -> dict[str, Any]:
    """Size, and a digest of the first and the last 64 KiB."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(EDGE_BYTES))
        file.seek(max(0, size - EDGE_BYTES))
        digest.update(file.read(EDGE_BYTES))
    return {"bytes": size, "edges_sha256": digest.hexdigest()}


def versions_of(packages: Sequence[str]) -> dict[str, str]:
    """Our version and those of the installed packages named."""
    from importlib.metadata import version

    return {"ehrlich": __version__} | {name: version(name) for name in packages}
