"""Jobs in this process and in others: the same results, the same errors."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from ehrlich.base.errors import DataError, StoreError
from ehrlich.base.parallel import available_cores, map_jobs


def square(number: int) -> int:
    return number * number


def refuse_three(number: int) -> int:
    if number == 3:
        raise DataError("a bad shard", where="shard-3", do="Look at it.")
    return number


def leave_a_mark(folder: Path) -> None:
    if not any(folder.parent.iterdir()):
        folder.mkdir()
        raise DataError("the first job failed")
    folder.mkdir()
    time.sleep(0.05)


def die(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def polars_threads(_: int) -> int:
    import polars as pl

    return pl.thread_pool_size()


def process(_: int) -> int:
    time.sleep(0.05)
    return os.getpid()


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_every_job_is_done_once_under_its_index(workers: int, count: int) -> None:
    jobs = list(range(10, 10 + count))
    done = list(map_jobs(square, jobs, workers=workers))
    assert sorted(done) == [(index, job * job) for index, job in enumerate(jobs)]


def test_one_worker_stays_in_this_process_and_keeps_the_order() -> None:
    done = list(map_jobs(process, range(3), workers=1))
    assert done == [(index, os.getpid()) for index in range(3)]


def test_several_workers_are_other_processes() -> None:
    used = {pid for _, pid in map_jobs(process, range(8), workers=2)}
    assert os.getpid() not in used
    assert 1 <= len(used) <= 2


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_job_is_raised_here_as_it_was(workers: int) -> None:
    with pytest.raises(DataError) as caught:
        list(map_jobs(refuse_three, range(6), workers=workers))
    assert str(caught.value) == "shard-3: a bad shard. Look at it."
    assert caught.value.do == "Look at it."


def test_after_an_error_the_waiting_jobs_are_not_started(tmp_path: Path) -> None:
    folders = [tmp_path / f"{number:02}" for number in range(40)]
    with pytest.raises(DataError, match="the first job failed"):
        list(map_jobs(leave_a_mark, folders, workers=2))
    assert len(list(tmp_path.iterdir())) < len(folders) / 2


def test_a_killed_worker_is_one_sentence() -> None:
    with pytest.raises(StoreError, match="a worker process was killed") as caught:
        list(map_jobs(die, range(4), workers=2))
    assert "--resume" in caught.value.do


def test_a_worker_keeps_to_its_share_of_threads() -> None:
    assert {size for _, size in map_jobs(polars_threads, range(2), workers=2)} == {1}


def test_there_is_at_least_one_core() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
