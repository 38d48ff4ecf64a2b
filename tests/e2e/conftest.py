"""Whole runs through the door, in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from ehrlich.__main__ import main


class Ran(NamedTuple):
    """How a call ended and what it said."""

    code: int
    out: str
    err: str


Door = Callable[..., Ran]


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Door:
    """`ehrlich ...` as `main()` runs it; whatever is no error of ours comes out as a traceback."""

    def call(*arguments: str | Path) -> Ran:
        monkeypatch.setattr(sys, "argv", ["ehrlich", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
            sys.exit(0)
        said = capsys.readouterr()
        return Ran(int(ended.value.code or 0), said.out, said.err)

    return call
