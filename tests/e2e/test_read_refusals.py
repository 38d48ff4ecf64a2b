"""Bad input is one sentence and exit code 2: no traceback, nothing half written."""

from __future__ import annotations

import errno
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from tests.e2e.conftest import Door, Ran
from tests.small_mimic import TABLES, changed, write_mimic

from ehrlich.base.store import MANIFEST, STARTED
from ehrlich.charts.readers import metadata, partition, shard
from ehrlich.charts.timeline import Charts
from ehrlich.charts.validate import problems_of

Spoil = Callable[[Path], object]


def refused(ran: Ran, *words: str) -> None:
    """One sentence on standard error, with all of these words."""
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("ehrlich: ")
    assert ran.err.count("\n") == 1
    assert "Traceback" not in ran.err
    for word in words:
        assert word in ran.err


def unfinished(out: Path) -> bool:
    """Whether `out` holds no result and no file that was cut short."""
    return not (out / MANIFEST).exists() and not list(out.rglob("*.tmp"))


def cut(path: Path, *, keep: float) -> None:
    body = path.read_bytes()
    path.write_bytes(body[: int(len(body) * keep)])


CASES: list[tuple[str, Spoil, tuple[str, ...]]] = [
    ("a required table is missing", lambda root: (root / "hosp/admissions.csv.gz").unlink(),
     ("required table admissions is missing", "hosp/admissions.csv.gz")),
    ("a column is missing",
     lambda root: (root / "hosp/labevents.csv.gz").write_bytes(gzip.compress(b"subject_id,flag\n")),
     ("labevents lacks column", "charttime", "labevents.csv.gz")),
    ("a table is another one",
     lambda root: shutil.copy(root / "ed/triage.csv.gz", root / "ed/pyxis.csv.gz"),
     ("pyxis lacks column",)),
    ("a table stands twice",
     lambda root: (root / "hosp/labevents.csv").write_text(TABLES["hosp/labevents"]),
     ("labevents stands more than once", "hosp/labevents.csv.gz", "hosp/labevents.csv")),
    ("a table stands in a second folder",
     lambda root: shutil.copy(root / "icu/icustays.csv.gz", root / "icustays.csv.gz"),
     ("icustays stands more than once",)),
    ("a gz is cut short", lambda root: cut(root / "hosp/labevents.csv.gz", keep=0.7),
     ("damaged or cut short", "labevents.csv.gz")),
    ("a lookup is cut short", lambda root: cut(root / "icu/d_items.csv.gz", keep=0.7),
     ("damaged or cut short", "d_items.csv.gz")),
    ("an ignored table is cut short", lambda root: cut(root / "hosp/provider.csv.gz", keep=0.7),
     ("damaged or cut short", "provider.csv.gz")),
    ("a gz is none", lambda root: (root / "hosp/poe.csv.gz").write_text(TABLES["hosp/poe"]),
     ("damaged or cut short", "poe.csv.gz")),
    ("a file is empty", lambda root: (root / "hosp/omr.csv.gz").write_bytes(gzip.compress(b"")),
     ("omr lacks column", "an empty file")),
    ("the manifest beside it is broken", lambda root: (root / MANIFEST).write_text("{"),
     ("manifest.json", "JSON")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "words"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_a_source_that_cannot_be_read_is_refused(
    tmp_path: Path, door: Door, spoil: Spoil, words: tuple[str, ...]
) -> None:
    root = write_mimic(tmp_path / "in")
    spoil(root)
    refused(door("read", root, "--out", tmp_path / "out", "--workers", "1"), *words)
    assert unfinished(tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], ("no such folder",)),
        (["empty"], ("no records that a shipped dictionary knows", "--dictionary")),
        (["in", "--dictionary", "mimic_v"], ("no such dictionary", "mimic_iv")),
        (["in", "--dictionary", "meds"], ("holds no MEDS data",)),
        (["in", "--maps", "nowhere"], ("--maps is no folder",)),
        (["in", "--splits", "nowhere.parquet"], ("--splits is no file",)),
        (["in", "--splits", "in/hosp/omr.csv.gz"], ("cannot be read as parquet",)),
        (["in", "--out", "in/charts"], ("--out lies inside the source",)),
        (["in", "--out", "in"], ("--out lies inside the source",)),
        (["in", "--out", "full"], ("not empty and was not written by ehrlich",)),
        (["in", "--out", "a-file"], ("is a file",)),
        (["in", "--out", "full", "--fresh"], ("not empty and was not written by ehrlich",)),
    ],
)
def test_a_call_that_cannot_work_is_refused(
    tmp_path: Path, door: Door, arguments: list[str], words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_mimic(Path("in"))
    for folder in ("empty", "full"):
        Path(folder).mkdir()
    for file in ("full/mine.txt", "a-file"):
        Path(file).write_text("mine")
    out = [] if "--out" in arguments else ["--out", "out"]
    refused(door("read", *arguments, *out), *words)
    assert Path("full/mine.txt").read_text() == Path("a-file").read_text() == "mine"
    assert not Path("out").exists() or unfinished(Path("out"))


def test_a_source_of_which_no_row_can_be_read_is_refused(tmp_path: Path, door: Door) -> None:
    heads = {place: text.splitlines()[0] + "\n" for place, text in TABLES.items()}
    root = write_mimic(tmp_path / "in", tables=heads)
    for extra in ([], ["--limit", "5"]):
        ran = door("read", root, "--out", tmp_path / f"out{len(extra)}", *extra)
        refused(ran, "no row could be read")


def test_a_dry_run_writes_nothing_and_names_the_tag(tmp_path: Path, door: Door) -> None:
    root = write_mimic(tmp_path / "in")
    ran = door("read", root, "--out", tmp_path / "out", "--dry-run")
    assert ran.code == 0
    assert "would write" in ran.out
    assert "data use: credentialed" in ran.out
    assert not (tmp_path / "out").exists()


def test_json_is_the_manifest(tmp_path: Path, door: Door) -> None:
    root = write_mimic(tmp_path / "in")
    ran = door("read", root, "--out", tmp_path / "out", "--json", "--workers", "1")
    told = json.loads(ran.out)
    held = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert told == {name: held[name] for name in told}
    assert told["counts"]["measurements"] == 62


def test_a_second_identical_call_changes_nothing_and_another_is_refused(
    tmp_path: Path, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = write_mimic(tmp_path / "in"), tmp_path / "out"
    call = ["read", root, "--out", out, "--workers", "1"]
    assert door(*call).code == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    # It must not even look at a row.
    monkeypatch.setattr(partition, "read_blocks", lambda *_: pytest.fail("it reads again"))
    for extra in ([], ["--resume"], ["--workers", "2", "--memory-gb", "9"]):
        assert door(*call, *extra).code == 0
    for extra in (
        ["--policy", "compat"],
        ["--seed", "1"],
        ["--limit", "2"],
        ["--resume", "--seed", "2"],
    ):
        refused(door(*call, *extra), "made with other settings or inputs", "--fresh")
    path = root / "hosp/omr.csv.gz"
    path.write_bytes(gzip.compress(TABLES["hosp/omr"].replace("180.5", "190.5").encode()))
    refused(door(*call), "made with other settings or inputs")
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_fresh_replaces_what_other_settings_wrote(tmp_path: Path, door: Door) -> None:
    root, out = write_mimic(tmp_path / "in"), tmp_path / "out"
    assert door("read", root, "--out", out, "--quiet").code == 0
    assert door("read", root, "--out", out, "--policy", "compat", "--fresh", "--quiet").code == 0
    assert Charts(out).manifest.config["policy"] == "compat"
    assert problems_of(Charts(out)) == []


# --- a disk that fills ------------------------------------------------------------------------


def full_after(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write after the first `limit` finds the disk full, as the kernel would say it."""
    count_writes(iter(range(limit)), monkeypatch)


def count_writes(written: Iterator[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each write of a table takes one of `written`; without any left the disk is full."""

    def guarded(real: Callable[..., object]) -> Callable[..., object]:
        def write(*args: object, **kwargs: object) -> object:
            if next(written, None) is None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **kwargs)

        return write

    monkeypatch.setattr(pl.DataFrame, "write_parquet", guarded(pl.DataFrame.write_parquet))
    monkeypatch.setattr(pq.ParquetWriter, "write_table", guarded(pq.ParquetWriter.write_table))


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.99])
def test_a_full_disk_is_one_sentence_and_resume_finishes(
    tmp_path: Path, door: Door, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    root, out = write_mimic(tmp_path / "in"), tmp_path / "out"
    with monkeypatch.context() as patch:
        written = count()
        count_writes(written, patch)
        assert door("read", root, "--out", tmp_path / "whole", "--quiet").code == 0
        limit = int(next(written) * share)
    call = ["read", root, "--out", out, "--workers", "1"]
    with monkeypatch.context() as patch:
        full_after(limit, patch)
        refused(door(*call), "the disk is full", "--resume")
    assert unfinished(out)
    assert (out / STARTED).is_file()
    refused(door(*call), "holds an unfinished run", "--resume")
    assert door(*call, "--resume", "--quiet").code == 0
    assert problems_of(Charts(out)) == []
    assert not list(out.glob(".*"))


SMALL_DISK = """
set -e
mount -t tmpfs -o size={size}k none {folder}
set +e
{python} -m ehrlich read {root} --out {folder}/out --workers 1
code=$?
find {folder} -name '.*.tmp' | sed 's/^/LEFT /'
test -e {folder}/out/manifest.json && echo FINISHED
exit $code
"""


def small_disk(root: Path, folder: Path, size_kb: int) -> subprocess.CompletedProcess[str]:
    """A read onto a file system of so many KiB, in a mount namespace of its own."""
    script = SMALL_DISK.format(size=size_kb, folder=folder, python=sys.executable, root=root)
    return subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("size_kb", [8, 60, 200])
def test_a_disk_that_is_really_full(tmp_path: Path, size_kb: int) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here to mount a small disk with")
    probe = f"mount -t tmpfs -o size=64k none {folder}"
    tried = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", probe],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    if tried.returncode:
        pytest.skip(f"a small disk cannot be mounted without privileges here: {tried.stderr[:80]}")
    labs = TABLES["hosp/labevents"] + "".join(
        f'{9000 + i},1,10,50912,2150-03-01 07:00:00,,{i * 7919 % 99991},,,,,,,"{i * 104729:x}"\n'
        for i in range(20_000)
    )
    root = write_mimic(tmp_path / "in", tables=changed(labevents=labs))
    ran = small_disk(root, folder, size_kb)
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr.startswith("ehrlich: ")
    assert "the disk is full" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


def test_a_folder_that_may_not_be_written(tmp_path: Path, door: Door) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    if os.access(closed, os.W_OK):
        pytest.skip("this user may write anywhere")
    refused(door("read", write_mimic(tmp_path / "in"), "--out", closed / "out"), "cannot write")


def test_metadata_is_written_after_every_shard(
    tmp_path: Path, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    root, out = write_mimic(tmp_path / "in"), tmp_path / "out"
    monkeypatch.setattr(shard, "write_json", stop)
    ran = door("read", root, "--out", out, "--workers", "1")
    assert ran.code == 130
    assert not (out / "metadata").exists()
    monkeypatch.undo()
    monkeypatch.setattr(metadata, "write_json", stop)
    assert door("read", root, "--out", out, "--workers", "1", "--resume").code == 130
    assert unfinished(out)
