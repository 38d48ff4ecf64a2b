"""A note too long for its place is cut by sections: the hospital course and medications go last."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# From what is kept longest to what goes first. Names as notes write them, in lower case.
KEPT_LONGEST = (
    "brief hospital course", "hospital course", "discharge medications", "impression",
    "discharge diagnosis", "medications on admission", "history of present illness",
    "chief complaint", "past medical history", "major surgical or invasive procedure", "findings",
    "allergies", "service", "discharge condition", "discharge disposition", "indication",
    "examination", "pertinent results", "physical exam", "comparison", "technique",
    "social history", "family history", "discharge instructions", "followup instructions",
)  # fmt: skip
OTHER = "other"
LEFT_OUT = "[Left out: {}]"
_HEADING = re.compile(
    rf"^[ \t]*({'|'.join(map(re.escape, KEPT_LONGEST))})[ \t]*:", re.IGNORECASE | re.MULTILINE
)
CountTexts = Callable[[Sequence[str]], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a note that begins with a heading of KEPT_LONGEST; `other` before the first."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """A note's sections with their tokens, so that it can be cut to several sizes."""

    sections: tuple[Section, ...]
    tokens: tuple[int, ...]

    @classmethod
    def of(cls, text: str, count: CountTexts) -> Note:
        """The note's text (its heading and list are the first section, which always stays)."""
        sections = sections_of(text)
        return cls(sections, tuple(count([section.text for section in sections])))

    def within(self, limit: int) -> tuple[str, tuple[str, ...]] | None:
        """(text of at most `limit` tokens, names left out), or None where even that is too much.

        A line says what was left out. The first section always stays.
        """
        left: set[int] = set()
        for place in self._by_worth():
            names = self._names(left)
            if self._size(left) <= limit:
                return self._text(left, names), names
            left.add(place)
        names = self._names(left)
        return (self._text(left, names), names) if self._size(left) <= limit else None

    def _by_worth(self) -> list[int]:
        """Places of the sections but the first, from what goes first."""
        worth = {name: place for place, name in enumerate(KEPT_LONGEST)}
        rest = range(1, len(self.sections))
        return sorted(rest, key=lambda place: (-worth[self.sections[place].name], -place))

    def _size(self, left: set[int]) -> int:
        # A name is a few tokens; the line that tells of them is counted generously.
        told = 8 + 6 * len(left) if left else 0
        return told + sum(n for place, n in enumerate(self.tokens) if place not in left)

    def _names(self, left: set[int]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.sections[place].name for place in sorted(left)))

    def _text(self, left: set[int], names: Sequence[str]) -> str:
        kept = "".join(part.text for place, part in enumerate(self.sections) if place not in left)
        if not names:
            return kept
        return f"{kept.rstrip()}\n\n{LEFT_OUT.format(', '.join(names))}"


def sections_of(text: str) -> tuple[Section, ...]:
    """The text in parts: joined they are the text again. The first is what precedes any heading."""
    found = list(_HEADING.finditer(text))
    starts = [match.start() for match in found]
    first = Section(OTHER, text[: starts[0]] if starts else text)
    ends = [*starts, len(text)][1:]
    rest = [
        Section(match.group(1).lower(), text[start:end])
        for match, start, end in zip(found, starts, ends, strict=True)
    ]
    return (first, *rest)
