"""A prompt within its tokens: the oldest context goes first, notes are cut by sections.

Never cut: the facts, the admission, the question. The earlier discharge note has a third of what
is left after those, and more where the context leaves it; the context has the rest. Every cut is
recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl

from ehrlich.base.errors import DataError
from ehrlich.cohorts.context import PLACE
from ehrlich.prompts.sections import CountTexts, Note

NOTE_SHARE = 1 / 3
KEYS = [PLACE, "part", "event"]
# Whether the budget took anything of a planned prompt.
IS_CUT = (pl.col("events_cut") > 0) | (pl.col("sections_cut").list.len() > 0)
# Notes whose sections are kept; a few kilobytes each.
REMEMBERED = 4096


@dataclass
class Cutter:
    """Cuts notes; remembers the sections of some by text, since many cases show the same note.

    Not by block: one cutter serves several shards, and each numbers its own blocks.
    """

    count: CountTexts
    notes: dict[str, Note] = field(default_factory=dict)

    def cut(self, pieces: pl.DataFrame) -> pl.DataFrame:
        """`pieces` (text, limit) with text cut to limit, and `left_out` list[str].

        Where limit is null nothing is cut; where even the first section is too long both are null.
        One by one: notes that are cut are few.
        """
        texts: list[str | None] = []
        names: list[list[str] | None] = []
        for text, limit in pieces.select("text", "limit").iter_rows():
            cut = (text, ()) if limit is None else self._note(text).within(limit)
            texts.append(cut[0] if cut else None)
            names.append(list(cut[1]) if cut else None)
        return pieces.with_columns(
            pl.Series("text", texts, dtype=pl.String),
            pl.Series("left_out", names, dtype=pl.List(pl.String)),
        )

    def _note(self, text: str) -> Note:
        if text not in self.notes:
            if len(self.notes) >= REMEMBERED:
                self.notes.clear()
            self.notes[text] = Note.of(text, self.count)
        return self.notes[text]


def within_budget(
    pieces: pl.DataFrame,
    fixed: pl.Series,
    *,
    max_tokens: int,
    notes: frozenset[str],
    shorten: Callable[[pl.DataFrame], pl.DataFrame],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(pieces that stay, cuts by case).

    `pieces` with tokens, in order; `fixed`: tokens of each case's facts, question and all that
    stands around them; `notes`: tables whose events are notes; `shorten` gives pieces with `limit`
    what `Cutter.cut` does. Pieces come back with `limit`, null where nothing of it is cut. Cuts:
    events_cut, tokens_cut, sections_cut (list[str]), a row a case. Raises DataError where what may
    not be cut is too long.
    """
    room = _room(pieces, fixed, max_tokens)
    placed = pieces.join(room, on=PLACE, how="left", maintain_order="left")
    size = pl.col("tokens").cast(pl.Int64)
    # What is left for an event when all newer ones are in.
    newer = size.cum_sum(reverse=True).over(PLACE, "part") - size
    left = (
        pl.when(pl.col("part") == "last_discharge")
        .then("note_room")
        .when(pl.col("part") == "context")
        .then(pl.col("context_room") - newer)
    )
    placed = placed.with_columns(_left=left.fill_null(size))
    fits = pl.col("_left") >= size
    to_cut = placed.filter(~fits & pl.col("table").is_in(list(notes)) & (pl.col("_left") > 0))
    short = shorten(to_cut.with_columns(limit="_left")).drop_nulls("text")
    kept = placed.join(
        short.select(*KEYS, "limit", "left_out"), on=KEYS, how="left", maintain_order="left"
    ).with_columns(_kept=fits | pl.col("limit").is_not_null())
    # Nothing older than the first event that does not fit.
    kept = kept.with_columns(_kept=pl.col("_kept").cum_min(reverse=True).over(PLACE, "part"))
    return kept.filter("_kept").select(*pieces.columns, "limit"), _cuts(kept, len(fixed))


def _cuts(kept: pl.DataFrame, cases: int) -> pl.DataFrame:
    gone = ~pl.col("_kept")
    cuts = kept.group_by(PLACE).agg(
        events_cut=gone.sum().cast(pl.UInt32),
        tokens_cut=pl.col("tokens").filter(gone).sum().cast(pl.UInt32),
        sections_cut=pl.col("left_out").filter("_kept").explode().drop_nulls().unique().sort(),
    )
    everyone = nothing_cut(cases).select(pl.int_range(pl.len(), dtype=pl.UInt32).alias(PLACE))
    told = everyone.join(cuts, on=PLACE, how="left", maintain_order="left")
    return told.select(
        pl.col("events_cut", "tokens_cut").fill_null(0), pl.col("sections_cut").fill_null([])
    )


def nothing_cut(cases: int) -> pl.DataFrame:
    """The cuts of cases that lost nothing."""
    none = pl.Series("events_cut", [0] * cases, dtype=pl.UInt32)
    no_names = pl.Series("sections_cut", [[]] * cases, dtype=pl.List(pl.String))
    return pl.DataFrame([none, none.alias("tokens_cut"), no_names])


def _room(pieces: pl.DataFrame, fixed: pl.Series, max_tokens: int) -> pl.DataFrame:
    """_case, note_room, context_room: tokens for the earlier note and for the context."""
    parts = pieces.group_by(PLACE).agg(
        pl.col("tokens").filter(pl.col("part") == name).sum().cast(pl.Int64).alias(name)
        for name in ("admission", "last_discharge", "context")
    )
    case = pl.DataFrame({"fixed": fixed}).with_row_index(PLACE)
    told = case.join(parts, on=PLACE, how="left", maintain_order="left").fill_null(0)
    free = max_tokens - pl.col("fixed").cast(pl.Int64) - pl.col("admission")
    told = told.with_columns(free=free)
    least = told["free"].min()
    if isinstance(least, int) and least < 0:
        raise DataError(
            "--max-tokens is too small for the facts, the admission and the question",
            got=f"{max_tokens:,}",
            expected=f"at least {max_tokens - least:,}",
        )
    share = (pl.col("free") * NOTE_SHARE).floor().cast(pl.Int64)
    note_room = pl.max_horizontal(share, pl.col("free") - pl.col("context"))
    used = pl.min_horizontal(note_room, "last_discharge")
    return told.select(PLACE, note_room=note_room, context_room=pl.col("free") - used)
