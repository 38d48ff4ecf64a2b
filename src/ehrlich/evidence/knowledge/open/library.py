"""Where sources lie: wheels read as archives, never imported; a folder of small files."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl

from ehrlich.base.config import Model, load_model
from ehrlich.base.errors import ConfigError, DataError

SECONDS_TO_FETCH = 600


class Licence(Model):
    """Terms under which sources come; `by_default`: no person has to read them first."""

    name: str
    by_default: bool
    why: str


class Package(Model):
    """A wheel, pinned."""

    name: str
    version: str
    wheel: str
    sha256: str


class Source(Model):
    """What one source gives; of a package or in a file, under one licence."""

    name: str
    package: str | None = None
    file: str | None = None
    licence: str
    needed: bool = False
    gives: str
    citation: str


class SourceList(Model):
    """`sources.yaml`."""

    licences: tuple[Licence, ...]
    packages: tuple[Package, ...]
    sources: tuple[Source, ...]


def source_list() -> SourceList:
    """All sources that the open graph knows. Raises ConfigError where the list is wrong."""
    listed = load_model(SourceList, files("ehrlich.evidence.knowledge.open") / "sources.yaml")
    licences = {licence.name for licence in listed.licences}
    packages = {package.name for package in listed.packages}
    for source in listed.sources:
        if source.licence not in licences or (source.package or "") not in {"", *packages}:
            raise ConfigError("names a licence or a package that is not listed", where=source.name)
    return listed


@dataclass(frozen=True)
class OpenConfig:
    """Where sources lie and which licences may enter.

    - sources: folder of the small files, as they are or with `.gz`. wheels: folder of wheels;
      one that is not there is fetched into `cache` where `fetch`.
    - allow: licences that enter although they are to be read first; deny: that do not enter.
    - listed: another list of sources than the one that comes with the package.
    """

    sources: Path | None = None
    wheels: Path | None = None
    cache: Path | None = None
    fetch: bool = True
    allow: Sequence[str] = ()
    deny: Sequence[str] = ()
    listed: SourceList | None = None


def default_cache() -> Path:
    """$EHRLICH_CACHE, else a folder in the user's cache."""
    named = os.environ.get("EHRLICH_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "ehrlich" / "knowledge"


def allowed_licences(listed: SourceList, config: OpenConfig) -> frozenset[str]:
    """Names of licences that may enter. Raises ConfigError for a name that is not listed."""
    known = {licence.name for licence in listed.licences}
    unknown = sorted({*config.allow, *config.deny} - known)
    if unknown:
        raise ConfigError(
            "no source of the open graph is under that licence",
            got=", ".join(unknown),
            expected=", ".join(sorted(known)),
        )
    default = {licence.name for licence in listed.licences if licence.by_default}
    return frozenset((default | set(config.allow)) - set(config.deny))


@dataclass
class Library:
    """Opens what readers ask for, and remembers what it opened (`inputs`)."""

    config: OpenConfig
    listed: SourceList
    inputs: dict[str, Any] = field(default_factory=dict)

    def source(self, name: str) -> Source:
        """The entry of that name in the list."""
        return next(source for source in self.listed.sources if source.name == name)

    def obstacle(self, name: str) -> str | None:
        """Why a source cannot be read, or None. Raises DataError for a wheel that is another."""
        source = self.source(name)
        if source.licence not in allowed_licences(self.listed, self.config):
            return f"licence {source.licence} is not allowed"
        if source.package is not None:
            return self._wheel(source.package)[1]
        if self._file(source) is None:
            where = self.config.sources or "no folder of sources was named"
            return f"{source.file} is absent ({where})"
        return None

    def read(self, name: str, member: str = "") -> bytes:
        """Bytes of a wheel's member, or of the source's file; `.gz` is unpacked.

        A `member` that ends in `*` stands for the one member that starts so.
        """
        source = self.source(name)
        if source.package is None:
            path = self._file(source)
            if path is None:
                raise DataError("is absent", where=str(source.file))
            raw = path.read_bytes()
            self.inputs[path.name] = {
                "bytes": len(raw),
                "sha256": hashlib.sha256(raw).hexdigest(),
            }
            return gzip.decompress(raw) if path.suffix == ".gz" else raw
        wheel, reason = self._wheel(source.package)
        if wheel is None:
            raise DataError(f"the package {source.package} is absent: {reason}")
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(_member(archive, member))

    def table(self, name: str, member: str = "", **options: Any) -> pl.DataFrame:
        """A table of text columns; tabs, or commas where the file is a .csv."""
        comma = (member or self.source(name).file or "").endswith(".csv")
        # `infer_schema=False`: a code such as 0389 is text.
        settings = {
            "separator": "," if comma else "\t",
            "infer_schema": False,
            "truncate_ragged_lines": True,
            "encoding": "utf8-lossy",
        }
        try:
            return pl.read_csv(io.BytesIO(self.read(name, member)), **(settings | options))
        except pl.exceptions.PolarsError as exc:
            first = str(exc).splitlines()[0]
            raise DataError("is not the table expected", where=member or name, got=first) from exc

    def lines(self, name: str, member: str = "") -> pl.DataFrame:
        """One text column `line`."""
        text = self.read(name, member).decode("utf-8", "replace")
        return pl.DataFrame({"line": text.splitlines()}, schema={"line": pl.String})

    def _file(self, source: Source) -> Path | None:
        folder = self.config.sources
        if folder is None or source.file is None:
            return None
        places = (folder / source.file, folder / f"{source.file}.gz")
        return next((path for path in places if path.is_file()), None)

    def _wheel(self, name: str) -> tuple[Path | None, str | None]:
        package = next(package for package in self.listed.packages if package.name == name)
        cache = self.config.cache or default_cache()
        folders = [folder for folder in (self.config.wheels, cache) if folder is not None]
        found = next(
            (path for folder in folders if (path := folder / package.wheel).is_file()), None
        )
        if found is None and self.config.fetch:
            reason = fetch(package, cache)
            found = None if reason else cache / package.wheel
        else:
            reason = f"{package.wheel} is absent"
        if found is None:
            return None, reason
        if package.wheel not in self.inputs:
            self.inputs[package.wheel] = _checked(found, package)
        return found, None


def _checked(wheel: Path, package: Package) -> Mapping[str, Any]:
    with wheel.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != package.sha256:
        raise DataError(
            f"is not the wheel of {package.name}=={package.version} that was pinned",
            where=str(wheel),
            got=f"sha256 {digest}",
            expected=package.sha256,
            do="Delete it, and let it be fetched again.",
        )
    return {"bytes": wheel.stat().st_size, "sha256": digest, "version": package.version}


def _member(archive: zipfile.ZipFile, name: str) -> str:
    if not name.endswith("*"):
        if name in archive.namelist():
            return name
    else:
        found = [each for each in archive.namelist() if each.startswith(name[:-1])]
        if len(found) == 1:
            return found[0]
    raise DataError("the wheel has no such member", where=str(archive.filename), expected=name)


def fetch(package: Package, cache: Path) -> str | None:
    """Download a wheel into `cache`, without what it depends on; why it failed, or None."""
    cache.mkdir(parents=True, exist_ok=True)
    pin = f"{package.name}=={package.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--quiet", "--dest", str(cache), pin]
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS_TO_FETCH, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return f"{pin} could not be downloaded (pip did not answer)"
    if ran.returncode or not (cache / package.wheel).is_file():
        return f"{pin} could not be downloaded; fetch it elsewhere and name its folder as wheels"
    return None
