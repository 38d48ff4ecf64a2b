"""One progress bar, on standard error, silent where nobody looks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Bar(Protocol):
    """What a long step reports to."""

    def advance(self, steps: float = 1, /, note: str = "") -> None: ...


class _Silent:
    def advance(self, steps: float = 1, /, note: str = "") -> None:
        return None


@contextmanager
def progress_bar(total: float, label: str, *, quiet: bool = False) -> Iterator[Bar]:
    """A bar of `total` steps, with rate and time left; nothing when quiet or not a terminal."""
    if quiet or not sys.stderr.isatty():
        yield _Silent()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total, note="")

        class Live:
            def advance(self, steps: float = 1, /, note: str = "") -> None:
                progress.update(task, advance=steps)
                if note:
                    progress.update(task, note=note)

        yield Live()
