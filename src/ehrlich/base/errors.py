"""The error tree. Every stage raises these; the door turns them into one sentence and an exit code.

EhrlichError
├── ConfigError     a file or flag the user wrote is wrong
├── DataError       records that cannot be read as they are
├── DataUseError    data would go where its agreement does not allow
├── TaskError       a task asks for what a dataset does not have
├── ModelError      a model or its server failed
├── StoreError      disk, output folder, manifest
└── InterruptError     the user pressed Ctrl-C
"""

from __future__ import annotations


class EhrlichError(Exception):
    """One sentence: what, where, got, expected, what to do. Never holds patient text."""

    exit_code = 2

    def __init__(
        self, what: str, *, where: str = "", got: str = "", expected: str = "", do: str = ""
    ) -> None:
        self.what, self.where, self.got, self.expected, self.do = what, where, got, expected, do
        super().__init__(self.sentence())

    def sentence(self) -> str:
        """The message as a user reads it."""
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.got:
            parts.append(f"got {self.got}")
        if self.expected:
            parts.append(f"expected {self.expected}")
        sentence = "; ".join(parts)
        return f"{sentence}. {self.do}" if self.do else sentence

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        # Keyword-only fields would be lost when a worker process hands the error back.
        return _rebuild, (type(self), self.what, self.where, self.got, self.expected, self.do)


def _rebuild(kind: type[EhrlichError], what: str, where: str, got: str, *rest: str) -> EhrlichError:
    expected, do = rest
    return kind(what, where=where, got=got, expected=expected, do=do)


class ConfigError(EhrlichError):
    """A file or a flag that the user wrote is wrong."""


class DataError(EhrlichError):
    """Records that cannot be read as they are."""


class DataUseError(EhrlichError):
    """Data would go where its data-use agreement does not allow."""


class TaskError(EhrlichError):
    """A task asks for what a dataset does not have."""


class ModelError(EhrlichError):
    """A model or its server failed."""


class StoreError(EhrlichError):
    """Disk, output folder or manifest."""


class InterruptError(EhrlichError):
    """The user pressed Ctrl-C; what is finished stands, the rest waits for --resume."""

    exit_code = 130
