"""The bar: nothing where nobody looks, never on standard output."""

from __future__ import annotations

import io
import sys

import pytest

from ehrlich.base.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("quiet", [True, False])
def test_nothing_is_written_to_a_pipe(capsys: pytest.CaptureFixture[str], quiet: bool) -> None:
    with progress_bar(3, "Reading", quiet=quiet) as bar:
        bar.advance()
        bar.advance(2, "now this")
    assert capsys.readouterr() == ("", "")


def test_quiet_is_quiet_on_a_terminal_too(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar(1, "Reading", quiet=True) as bar:
        bar.advance()
    assert terminal.getvalue() == ""


def test_a_terminal_sees_label_note_and_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with progress_bar(4, "Reading") as bar:
        bar.advance(3)
        bar.advance(1, "labevents")
    assert all(word in terminal.getvalue() for word in ("Reading", "labevents", "100%"))
    assert capsys.readouterr().out == ""


def test_an_error_inside_is_not_swallowed() -> None:
    with pytest.raises(ValueError, match="inside"), progress_bar(1, "Reading", quiet=True):
        raise ValueError("inside")
