"""Shards in processes. The seam where a cluster engine would stand: same function, same files."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from ehrlich.base.errors import StoreError
from ehrlich.base.progress import progress_bar

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_jobs(
    function: Callable[[JobT], ResultT],
    jobs: Sequence[JobT],
    *,
    workers: int,
    threads_each: int = 1,
) -> Iterator[tuple[int, ResultT]]:
    """(index of the job, its result) in the order in which they finish.

    `function` and jobs must pickle (a top-level function). One worker runs in this process.
    Workers are spawned, since forking a process that has started Polars' threads can hang.
    The first error ends the run and is raised here; jobs that wait are then not started.
    """
    if workers <= 1 or len(jobs) <= 1:
        for index, job in enumerate(jobs):
            yield index, function(job)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)), context, initializer=_prepare_worker, initargs=(threads_each,)
    )
    try:
        yield from _drain(pool, function, jobs, workers)
    except BrokenProcessPool as exc:
        raise StoreError(
            "a worker process was killed",
            do="Memory ran out? Lower --workers or --memory-gb, then --resume.",
        ) from exc
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def run_jobs(
    function: Callable[[JobT], ResultT],
    jobs: Sequence[JobT],
    *,
    workers: int,
    label: str,
    quiet: bool = False,
) -> list[ResultT]:
    """Every result, in the order of the jobs, with a progress bar of that label; see `map_jobs`."""
    results: dict[int, ResultT] = {}
    with progress_bar(len(jobs), label, quiet=quiet) as bar:
        for index, result in map_jobs(function, jobs, workers=workers):
            results[index] = result
            bar.advance(1)
    return [results[index] for index in range(len(jobs))]


def _drain(
    pool: ProcessPoolExecutor,
    function: Callable[[JobT], ResultT],
    jobs: Sequence[JobT],
    workers: int,
) -> Iterator[tuple[int, ResultT]]:
    waiting: dict[Future[ResultT], int] = {}
    queue = iter(enumerate(jobs))
    while True:
        for index, job in islice(queue, 2 * workers - len(waiting)):
            waiting[pool.submit(function, job)] = index
        if not waiting:
            return
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            yield waiting.pop(future), future.result()


def _prepare_worker(threads: int) -> None:
    # Read by Polars when it is first imported in the worker.
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    # Ctrl-C is the parent's to answer; a parent that is killed takes its workers along.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
