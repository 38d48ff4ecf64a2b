"""Findings in notes: a dictionary's names, and whether they are denied, past, or of somebody else.

One automaton finds names and cues in one pass over many notes; what a cue reaches is worked out
for all mentions at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ehrlich.base.config import Model, load_model
from ehrlich.base.errors import DataError
from ehrlich.evidence.note_text import Bools, Ints, Tokens, normal_forms

FLAGS = ("negated", "family", "history", "hypothetical")
BATCH_CHARACTERS = 1_000_000
SHORTEST_NAME = 3


class Cues(Model):
    """notes.yaml."""

    window: int
    window_after: int
    before: dict[str, tuple[str, ...]]
    after: dict[str, tuple[str, ...]]
    harmless: tuple[str, ...]
    ends: tuple[str, ...]
    sections: dict[str, tuple[str, ...]]

    def listed(self) -> Iterator[tuple[str, str]]:
        """(phrase, what it is): `before negated`, `ends`, `section family`, ..."""
        for what in ("before", "after"):
            for flag, phrases in getattr(self, what).items():
                yield from ((phrase, f"{what} {flag}") for phrase in phrases)
        for flag, phrases in self.sections.items():
            yield from ((phrase, f"section {flag}") for phrase in phrases)
        yield from ((phrase, "ends") for phrase in self.ends)
        yield from ((phrase, "harmless") for phrase in self.harmless)


@cache
def shipped_cues() -> Cues:
    """The cues that come with the package."""
    return load_model(Cues, files("ehrlich.evidence").joinpath("notes.yaml"))


@cache
def shipped_stop_list() -> frozenset[str]:
    """Names that are never looked for."""
    return _stop_list(files("ehrlich.evidence").joinpath("stop_list.txt").read_text("utf-8"))


def read_stop_list(path: Path) -> frozenset[str]:
    """A user's own list: a name a line, `#` begins a remark. Raises DataError."""
    try:
        return _stop_list(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(
            "cannot be read as a stop list", where=str(path), got=type(exc).__name__
        ) from exc


def _stop_list(text: str) -> frozenset[str]:
    lines = (line.partition("#")[0].strip().lower() for line in text.splitlines())
    return frozenset(line for line in lines if line)


def mentions_schema() -> dict[str, pl.DataType]:
    """A name in a note: start and end count characters of the note; flags as in notes.yaml."""
    flags = {flag: pl.Boolean() for flag in FLAGS}
    where = {"start": pl.UInt32(), "end": pl.UInt32()}
    return {"row_id": pl.Int64(), "concept": pl.String(), **flags, **where}


@dataclass(frozen=True)
class Matcher:
    """Finds a dictionary's names in notes. Make one with `Matcher.of`; `dropped` says what is out.

    - phrases: what the automaton looks for, in its order: names first, then cues.
    - concepts: concept of each name, by the phrase's number; a name may have several.
    - kinds: what a cue is, by the phrase's number.
    """

    phrases: tuple[bytes, ...]
    concepts: pl.DataFrame
    kinds: Mapping[str, tuple[int, ...]]
    cues: Cues
    dropped: Mapping[str, int]

    @classmethod
    def of(
        cls,
        names: pl.DataFrame,
        *,
        stop_list: frozenset[str] | None = None,
        cues: Cues | None = None,
    ) -> Matcher:
        """From `names` (name, concept), such as `chest pain`, `finding//chest pain`.

        Left out and counted: names of the stop list, shorter than three characters, or without a
        letter. A word of the stop list within a longer name does no harm. A name is also found
        with an s behind it.
        """
        stopped = _words(sorted(shipped_stop_list() if stop_list is None else stop_list))
        cues = cues or shipped_cues()
        given = names.select(
            pl.col("name").str.to_lowercase().str.strip_chars(), "concept"
        ).drop_nulls()
        # Judged as the automaton sees them: "[he]" is the word "he".
        words = _words(given["name"].to_list())
        reason = (
            pl.when(words.is_in(stopped.implode())).then(pl.lit("in the stop list"))
            .when(words.str.len_chars() < SHORTEST_NAME).then(pl.lit("too short"))
            .when(~words.str.contains(r"\p{Alphabetic}")).then(pl.lit("no letter"))
        )  # fmt: skip
        judged = given.with_columns(reason=reason)
        dropped = dict(judged.drop_nulls("reason").group_by("reason").len().sort("reason").rows())
        kept = judged.filter(pl.col("reason").is_null()).unique(["name", "concept"])
        # Many names are of one: headache, and headaches in the note.
        several = kept.filter(pl.col("name").str.contains(r"[a-rt-z]{4}$")).with_columns(
            pl.col("name") + "s"
        )
        both = pl.concat([kept, several.join(kept, on="name", how="anti")])
        forms = _with_phrases(pl.DataFrame({"name": both["name"].unique().sort()}), "name")
        placed = forms.join(both, on="name").filter(pl.col("phrase") != b"")
        return cls._numbered(placed, cues, dropped)

    @classmethod
    def _numbered(cls, named: pl.DataFrame, cues: Cues, dropped: Mapping[str, int]) -> Matcher:
        listed = pl.DataFrame(list(cues.listed()), schema=["cue", "kind"], orient="row")
        listed = _with_phrases(listed, "cue")
        # A name that is also a cue would hide it.
        names = named.filter(~pl.col("phrase").is_in(listed["phrase"].unique().implode()))
        phrases = pl.concat([names["phrase"].unique().sort(), listed["phrase"].unique().sort()])
        numbers = pl.DataFrame({"phrase": phrases}).with_row_index("number")
        concepts = names.join(numbers, on="phrase").select("number", "concept").unique()
        kinds = listed.join(numbers, on="phrase").group_by("kind").agg("number").sort("kind")
        return cls(
            tuple(phrases.to_list()),
            concepts.sort("number", "concept"),
            {kind: tuple(sorted(found)) for kind, found in kinds.iter_rows()},
            cues,
            dropped,
        )

    @cached_property
    def _automaton(self) -> Any:
        try:
            from ahocorasick_rs import BytesAhoCorasick, MatchKind
        except ImportError as exc:
            raise DataError(
                "reading notes needs ahocorasick-rs", do="pip install 'ehrlich[evidence]'"
            ) from exc
        return BytesAhoCorasick(list(self.phrases), matchkind=MatchKind.LeftmostLongest)

    def mentions(self, notes: pl.DataFrame) -> pl.DataFrame:
        """Names in `notes` (row_id, text): row_id, concept, flags, start, end.

        In order of notes, places and concepts; of overlapping names the first, then the longest.
        """
        parts = [self._of_batch(batch) for batch in _batches(notes.drop_nulls("text"))]
        return pl.concat([pl.DataFrame(schema=mentions_schema()), *parts])

    def said_of_patient(self, notes: pl.DataFrame) -> pl.DataFrame:
        """row_id and concept of findings that a note says of the patient as they are now."""
        found = self.mentions(notes).filter(~pl.any_horizontal(FLAGS))
        return found.select("row_id", "concept").unique(maintain_order=True)

    def _of_batch(self, notes: pl.DataFrame) -> pl.DataFrame:
        tokens = Tokens.of(notes["text"].to_list())
        matches = self._automaton.find_matches_as_indexes(tokens.line)
        if not matches:
            return pl.DataFrame(schema=mentions_schema())
        number, begin, finish = np.array(matches, dtype=np.int64).T
        first = np.searchsorted(tokens.place, begin)
        last = np.searchsorted(tokens.place, finish)
        names = number < self._first_cue
        scopes = Scopes.of(self, tokens, number=number, spans=(first, last))
        flags = {flag: scopes.reached(flag, first=first[names], last=last[names]) for flag in FLAGS}
        start, end = tokens.offsets(first[names], last[names] - 1)
        found = pl.DataFrame(
            {
                "number": number[names],
                "row_id": notes["row_id"].to_numpy()[tokens.note[first[names]]],
                **flags,
                "start": start,
                "end": end,
            }
        ).with_columns(pl.col("number").cast(pl.UInt32))
        held = found.join(self.concepts, on="number", how="inner", maintain_order="left_right")
        return held.select(*mentions_schema()).cast(pl.Schema(mentions_schema()))

    @property
    def _first_cue(self) -> int:
        return min((numbers[0] for numbers in self.kinds.values()), default=len(self.phrases))


@dataclass(frozen=True)
class Scopes:
    """What cues reach in one batch: stretches of tokens, and the cues of each kind in them."""

    cues: Cues
    tokens: Tokens
    # Number of the stretch (between ends of sentences and words that end a cue's reach).
    stretch: Ints
    # kind → (first token, first token behind) of its cues, in order.
    found: Mapping[str, tuple[Ints, Ints]]
    # flag → whether each token stands in a section that says so.
    sections: Mapping[str, Bools]

    @classmethod
    def of(
        cls, matcher: Matcher, tokens: Tokens, *, number: Ints, spans: tuple[Ints, Ints]
    ) -> Scopes:
        """From the automaton's matches: numbers of phrases, first tokens, first tokens behind."""
        first, last = spans
        found = {
            kind: (first[chosen], last[chosen])
            for kind, numbers in matcher.kinds.items()
            for chosen in (np.isin(number, numbers),)
        }
        breaks = tokens.is_stop.astype(np.int64)
        breaks[found["ends"][0]] += 1
        starts, behind = tokens.headings()
        breaks[starts[starts < breaks.size]] += 1
        stretch = np.cumsum(breaks)
        sections = {
            flag: _in_sections(tokens, starts, behind, _cues_of(found, flag)) for flag in FLAGS
        }
        return cls(matcher.cues, tokens, stretch, found, sections)

    def reached(self, flag: str, *, first: Ints, last: Ints) -> Bools:
        """Whether each mention (its tokens) is under a cue or a section of that flag."""
        if not first.size:
            return np.zeros(0, dtype=bool)
        under = self.sections[flag][first].copy()
        words = self.tokens.words_before
        none = np.zeros(0, dtype=np.int64)
        _, ends = self.found.get(f"before {flag}", (none, none))
        if ends.size:
            place = np.searchsorted(ends, first, side="right") - 1
            near = ends[np.maximum(place, 0)]
            same = self.stretch[near - 1] == self.stretch[first]
            within = words[first] - words[near] <= self.cues.window
            under |= (place >= 0) & same & within
        starts, _ = self.found.get(f"after {flag}", (none, none))
        if starts.size:
            place = np.searchsorted(starts, last)
            near = starts[np.minimum(place, starts.size - 1)]
            same = self.stretch[near] == self.stretch[last - 1]
            within = words[near] - words[last] <= self.cues.window_after
            under |= (place < starts.size) & same & within
        return under


def _cues_of(found: Mapping[str, tuple[Ints, Ints]], flag: str) -> Ints:
    """First tokens of what makes a heading say `flag`: its own words, or relatives as headings."""
    none = np.zeros(0, dtype=np.int64)
    names = [f"section {flag}", *([f"before {flag}"] if flag in ("family", "history") else [])]
    return np.unique(np.concatenate([found.get(name, (none, none))[0] for name in names]))


def _in_sections(tokens: Tokens, starts: Ints, behind: Ints, cues: Ints) -> Bools:
    """Whether each token stands below a heading that begins with one of the cues."""
    says = np.isin(starts, cues)
    # A note begins without a heading.
    notes = np.searchsorted(tokens.start, tokens.note_starts)
    places = np.concatenate([notes, starts])
    order = np.lexsort((np.arange(places.size), places))
    said = np.concatenate([np.zeros(notes.size, dtype=bool), says])[order]
    nearest = np.searchsorted(places[order], np.arange(tokens.start.size), side="right") - 1
    return np.asarray(said[np.maximum(nearest, 0)])


def _words(names: list[str]) -> pl.Series:
    """Names as the automaton sees them, with single spaces."""
    phrases = (b" ".join(phrase.split()) for phrase in normal_forms(names))
    return pl.Series([phrase.decode() for phrase in phrases], dtype=pl.String)


def _with_phrases(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    phrases = normal_forms(frame[column].to_list())
    return frame.with_columns(pl.Series("phrase", phrases, dtype=pl.Binary))


def _batches(notes: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Notes in their order, about a million characters at a time."""
    if notes.is_empty():
        return
    sizes = notes["text"].str.len_chars().cast(pl.Int64)
    group = (sizes.cum_sum() - sizes) // BATCH_CHARACTERS
    yield from notes.with_columns(_batch=group).partition_by("_batch", maintain_order=True)
