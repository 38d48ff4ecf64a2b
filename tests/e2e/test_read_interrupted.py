"""Killed at any moment, then resumed: the same bytes as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.small_mimic import many, write_mimic

from ehrlich.base.store import MANIFEST, STARTED
from ehrlich.charts.readers import ReadConfig, read_source
from ehrlich.charts.timeline import Charts
from ehrlich.charts.validate import problems_of

# Runs the door, and kills its own process just before the Nth call of an os function.
KILLED_AT = """
import os, sys
name, n = sys.argv[1], int(sys.argv[2])
real, calls = getattr(os, name), [0]
def counted(*args, **kwargs):
    calls[0] += 1
    if calls[0] == n:
        os.kill(os.getpid(), 9)
    return real(*args, **kwargs)
setattr(os, name, counted)
del sys.argv[1:3]
from ehrlich.__main__ import main
main()
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mimic(tmp_path_factory.mktemp("many"), tables=many(20))


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("whole") / "out"
    read_source(ReadConfig(workers=1, quiet=True), source, out)
    assert problems_of(Charts(out)) == []
    return contents(out)


def contents(out: Path) -> dict[str, Any]:
    """Every file and its bytes; the manifest without the time of its writing."""
    found: dict[str, Any] = {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }
    manifest = json.loads(found.pop(MANIFEST))
    assert manifest.pop("written_at")
    return found | {MANIFEST: manifest}


def arguments(source: Path, out: Path, workers: int = 1) -> list[str]:
    return [
        "read",
        str(source),
        "--out",
        str(out),
        "--workers",
        str(workers),
        "--quiet",
        "--resume",
    ]


def run(*command: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "moments"),
    [
        # Each is counted from the start of the attempt that it ends.
        ("replace", [2, 3, 5, 30, 40, 41, 20, 6, 4, 2]),
        ("replace", [76, 4]),
        ("unlink", [1, 2]),
        ("unlink", [40]),
        ("rmdir", [3, 1]),
    ],
)
def test_killed_before_a_file_gets_or_loses_its_name(
    tmp_path: Path, source: Path, whole: dict[str, Any], name: str, moments: list[int]
) -> None:
    out = tmp_path / "out"
    kills = 0
    for moment in moments:
        ran = run(sys.executable, "-c", KILLED_AT, name, str(moment), *arguments(source, out))
        kills += ran.returncode == -signal.SIGKILL
        assert ran.returncode in (0, -signal.SIGKILL), ran.stderr
        assert ran.returncode or contents(out) == whole
    assert kills
    ran = run(sys.executable, "-m", "ehrlich", *arguments(source, out))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert contents(out) == whole


def test_killed_before_anything_has_its_name(tmp_path: Path, source: Path) -> None:
    call = arguments(source, tmp_path / "out")
    ran = run(sys.executable, "-c", KILLED_AT, "replace", "1", *call)
    assert ran.returncode == -signal.SIGKILL
    assert run(sys.executable, "-m", "ehrlich", *call).returncode == 0


def killed_after(seconds: float, command: list[str], how: int) -> tuple[int, str]:
    """A process group of its own that gets `how` once it has begun to write, and so much later."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    out = Path(command[command.index("--out") + 1])
    begun = time.monotonic()
    while process.poll() is None and not (out / STARTED).exists() and time.monotonic() < begun + 60:
        time.sleep(0.01)
    time.sleep(seconds)
    if process.poll() is None:
        os.killpg(process.pid, how)
    _, said = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.slow
def test_killed_at_random_moments_with_two_workers(
    tmp_path: Path, source: Path, whole: dict[str, Any]
) -> None:
    out = tmp_path / "out"
    draw = random.Random()
    command = [sys.executable, "-m", "ehrlich", *arguments(source, out, workers=2)]
    for _ in range(8):
        code, said = killed_after(draw.uniform(0, 1.2), command, signal.SIGKILL)
        assert code in (0, -signal.SIGKILL), said
    assert run(*command).returncode == 0
    assert contents(out) == whole


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_ends_with_130_and_the_run_can_go_on(
    tmp_path: Path, source: Path, whole: dict[str, Any], workers: int
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "ehrlich", *arguments(source, out, workers)]
    code, said = killed_after(0.05, command, signal.SIGINT)
    assert code == 130
    assert "Traceback" not in said
    assert not (out / MANIFEST).exists()
    assert run(*command).returncode == 0
    assert contents(out) == whole


# --- processes --------------------------------------------------------------------------------


@pytest.fixture
def sharded(tmp_path: Path, source: Path) -> dict[str, Any]:
    """A run with many shards, all in this process."""
    read_source(ReadConfig(workers=1, shard_rows=200, quiet=True), source, tmp_path / "one")
    return contents(tmp_path / "one")


@pytest.mark.slow
def test_any_number_of_processes_gives_the_same_bytes(
    tmp_path: Path, source: Path, sharded: dict[str, Any]
) -> None:
    assert sharded[MANIFEST]["counts"]["shards"] > 5
    for workers, memory_gb in ((2, 4.0), (3, 1.0)):
        out = tmp_path / f"{workers}-{memory_gb}"
        config = ReadConfig(workers=workers, memory_gb=memory_gb, shard_rows=200, quiet=True)
        read_source(config, source, out)
        assert contents(out) == sharded
    assert problems_of(Charts(out)) == []


@pytest.mark.slow
def test_shards_are_of_even_size_and_hold_whole_subjects(
    tmp_path: Path, sharded: dict[str, Any]
) -> None:
    charts = Charts(tmp_path / "one")
    sizes: dict[str, list[int]] = {}
    for shard in charts.shards():
        sizes.setdefault(shard.split("/")[0], []).append(charts.read(shard).height)
    assert sum(map(sum, sizes.values())) == sharded[MANIFEST]["counts"]["measurements"]
    assert max(map(max, sizes.values())) <= 200 + 62
