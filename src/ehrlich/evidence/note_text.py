"""Notes as rows of tokens: one long byte string for the automaton, and where each token came from.

Many notes are laid end to end and treated at once with NumPy; no step looks at one token alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Bytes: TypeAlias = npt.NDArray[np.uint8]

SPACE, COMMA, STOP = 32, 44, 46
NEWLINE = 10
LONGEST_HEADING = 60
# Between two notes: a sentence and a section end there.
GAP = b"\n.\n"
NAMES_AT_ONCE = 100_000


def _byte_table(chars: bytes) -> Bools:
    table = np.zeros(256, dtype=bool)
    table[list(chars)] = True
    return table


LOWER: Bytes = np.arange(256, dtype=np.uint8)
LOWER[65:91] += 32
_UPPER = _byte_table(bytes(range(65, 91)))
_SMALL = _byte_table(bytes(range(97, 123)))
_DIGIT = _byte_table(bytes(range(48, 58)))
# Bytes of letters beyond ASCII count as letters.
_WORD = _byte_table(bytes((*range(48, 58), *range(65, 91), *range(97, 123), *range(128, 256))))
_BLANK = _byte_table(b" \t\r")
_BULLET = _byte_table(b"-*#>")
_IN_HEADING = _UPPER | _SMALL | _byte_table(b" \t/&-,()'")


@dataclass(frozen=True)
class Tokens:
    """Notes laid end to end, cut into words, commas and ends of sentences.

    - raw: the bytes of all notes; note_starts: where each begins in them.
    - start, end: of each token in `raw`; line: the tokens in lower case, each between two spaces,
      as the automaton reads it; place: where each token's first space stands in `line`.
    """

    raw: Bytes
    note_starts: Ints
    start: Ints
    end: Ints
    place: Ints
    line: bytes
    is_stop: Bools
    is_word: Bools

    @classmethod
    def of(cls, texts: Sequence[str]) -> Tokens:
        """The tokens of notes; a sentence never runs from one note into the next."""
        encoded = [text.encode("utf-8", "replace") for text in texts]
        lengths = np.array([len(text) + len(GAP) for text in encoded], dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(lengths)])[:-1].astype(np.int64)
        raw = np.frombuffer(b"".join(text + GAP for text in encoded), dtype=np.uint8)
        word = _WORD[raw]
        stop = _sentence_ends(raw, word)
        mark = stop | (raw == COMMA)
        before = np.concatenate([[False], word[:-1]])
        after = np.concatenate([word[1:], [False]])
        first = np.flatnonzero(mark | (word & ~before))
        last = np.flatnonzero(mark | (word & ~after)) + 1
        kept = word | mark
        opens = np.zeros(raw.size, dtype=np.int64)
        opens[first] = 1
        # A kept byte moves behind all kept ones before it and two spaces a token.
        moved = np.cumsum(kept) - 1 + 2 * np.cumsum(opens) - 1
        line = np.full(int(kept.sum()) + 2 * first.size, SPACE, dtype=np.uint8)
        shown = np.where(stop, STOP, LOWER[raw]).astype(np.uint8)
        line[moved[kept]] = shown[kept]
        return cls(
            raw, starts, first, last, moved[first] - 1, line.tobytes(), stop[first], word[first]
        )

    @cached_property
    def words_before(self) -> Ints:
        """How many words stand before each token (one more entry than tokens)."""
        return _running(self.is_word)

    @cached_property
    def note(self) -> Ints:
        """Which note each token belongs to."""
        return np.searchsorted(self.note_starts, self.start, side="right") - 1

    def headings(self) -> tuple[Ints, Ints]:
        """First token of each heading, and the first token behind it.

        A heading is what stands alone before a colon at the start of a line, or a line in capitals.
        """
        lines = np.flatnonzero(self.raw == NEWLINE)
        begins = np.concatenate([[0], lines + 1])
        ends = np.concatenate([lines, [self.raw.size]])
        colons = np.flatnonzero(self.raw == ord(":"))
        # The first colon of a line; the line's end where it has none.
        nearest = np.searchsorted(colons, begins)
        padded = np.append(colons, self.raw.size)
        colon = np.minimum(padded[nearest], ends)
        capitals = colon == ends
        letters = _between(_running(_UPPER[self.raw] | _SMALL[self.raw]), begins, colon)
        other = _between(_running(~_IN_HEADING[self.raw] & ~_BLANK[self.raw]), begins, colon)
        small = _between(_running(_SMALL[self.raw]), begins, colon)
        short = colon - begins <= LONGEST_HEADING
        is_heading = short & (other == 0) & (letters >= 2) & (~capitals | (small == 0))
        from_token = np.searchsorted(self.start, begins[is_heading])
        to_token = np.searchsorted(self.start, colon[is_heading])
        return from_token.astype(np.int64), to_token.astype(np.int64)

    def offsets(self, first: Ints, last: Ints) -> tuple[Ints, Ints]:
        """Characters of the own note at which tokens `first` begin and `last` end."""
        origin = self.note_starts[self.note[first]]
        # Continuation bytes of UTF-8 are no characters of their own.
        chars = _running((self.raw & 0xC0) != 0x80)
        return chars[self.start[first]] - chars[origin], chars[self.end[last]] - chars[origin]


def normal_forms(names: Sequence[str]) -> list[bytes]:
    """Names of a dictionary as they would stand in `Tokens.line`; empty where one has no word."""
    forms: list[bytes] = []
    for batch in range(0, len(names), NAMES_AT_ONCE):
        forms += _normal_forms(names[batch : batch + NAMES_AT_ONCE])
    return forms


def _normal_forms(names: Sequence[str]) -> list[bytes]:
    tokens = Tokens.of(names)
    spoken = np.flatnonzero(tokens.is_word)
    note = tokens.note[spoken]
    numbers = np.arange(len(names))
    first = np.searchsorted(note, numbers)
    last = np.searchsorted(note, numbers, side="right") - 1
    padded = np.append(spoken, 0)
    begins = tokens.place[padded[first]]
    ends = tokens.place[padded[last] + 1]
    begins = np.where(last < first, ends, begins)
    return [tokens.line[a:b] for a, b in zip(begins.tolist(), ends.tolist(), strict=True)]


def _sentence_ends(raw: Bytes, word: Bools) -> Bools:
    """Whether a byte ends a sentence: . ! ? before a blank; ; always; a blank line or a bullet."""
    after = np.append(raw[1:], NEWLINE)
    blank_after = _BLANK[after] | (after == NEWLINE)
    before = np.concatenate([[SPACE], raw[:-1]])
    two_before = np.concatenate([[SPACE, SPACE], raw[:-2]])
    # Dr. J. Smith goes on; so does 1. Aspirin.
    initial = _UPPER[before] & ~_WORD[two_before]
    full = np.isin(raw, list(b".!?")) & blank_after & ~((raw == STOP) & initial)
    newline = raw == NEWLINE
    lines = np.flatnonzero(newline)
    if not lines.size:
        return np.asarray(full | (raw == ord(";")))
    # The first byte of the next line that is no blank: nothing, a bullet, or text that goes on.
    filled = np.flatnonzero(~_BLANK[raw])
    following = np.searchsorted(filled, lines + 1)
    following = np.append(filled, raw.size - 1)[following]
    next_byte = raw[following]
    ends_here = (next_byte == NEWLINE) | _BULLET[next_byte] | _DIGIT[next_byte]
    broken = np.zeros(raw.size, dtype=bool)
    broken[lines[ends_here]] = True
    return np.asarray((full | broken | (raw == ord(";"))) & ~word)


def _running(flags: Bools) -> Ints:
    """How many are true before each place; one entry more than places."""
    counts = np.zeros(flags.size + 1, dtype=np.int64)
    np.cumsum(flags, out=counts[1:])
    return counts


def _between(running: Ints, first: Ints, last: Ints) -> Ints:
    return np.asarray(running[last] - running[first])
