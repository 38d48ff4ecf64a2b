"""What each prompt is made of, decided once: a row a case, lists of its pieces. Text comes later.

A plan and the blocks it points to give the same text in an export, in training and in service;
`Reader` makes it. Plans are Arrow files, mapped into memory like blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from ehrlich.cohorts.context import PART, PLACE
from ehrlich.cohorts.scene import SUBJECT, Scene
from ehrlich.cohorts.task import Task
from ehrlich.prompts.assemble import charts_of, live_texts, pieces_of, with_texts
from ehrlich.prompts.blocks import Blocks
from ehrlich.prompts.budget import Cutter, nothing_cut, within_budget
from ehrlich.prompts.render import Writer
from ehrlich.prompts.sections import CountTexts

# One entry a piece, in the order of the prompt. limit: tokens that a cut note may have.
PIECES = {
    "event": pl.UInt32(), "part": PART, "block": pl.UInt32(), "live": pl.Boolean(),
    "limit": pl.Int64(),
}  # fmt: skip
# An event written anew may need a little more than when it is settled.
LIVE_MARGIN = 8
# The age stands for one private character until the prediction_time is known.
FACTS_MARGIN = 4


@dataclass(frozen=True)
class Planner:
    """Plans cases of one shard, of which `scene` holds the measurements.

    `around`: tokens of all that stands about the chart but the question (template, system turn).
    `max_tokens`: null: nothing is cut.
    """

    scene: Scene
    blocks: Blocks
    reader: Reader
    max_tokens: int | None = None
    around: int = 0

    def plan(self, cases: pl.DataFrame, task: Task) -> pl.DataFrame:
        """`cases` (of one task, with `question`) and their pieces as lists; prompt_tokens,
        uncut_tokens, events_cut, tokens_cut, sections_cut.

        Tokens are counted block by block; null without a tokenizer.
        """
        pieces = pieces_of(cases, self.scene, blocks=self.blocks, task=task)
        pieces = pieces.with_columns(
            tokens=pl.col("tokens") + pl.when("live").then(LIVE_MARGIN).otherwise(0)
        )
        fixed = self._fixed(cases)
        whole = _tokens(pieces, fixed, cases.height)
        if self.max_tokens is None or fixed is None:
            pieces = pieces.with_columns(limit=pl.lit(None, dtype=pl.Int64))
            cuts = nothing_cut(cases.height)
        else:
            pieces, cuts = within_budget(
                pieces,
                fixed,
                max_tokens=self.max_tokens,
                notes=self.reader.notes,
                shorten=lambda some: self.reader.shortened(
                    some, cases, blocks=self.blocks, task=task
                ),
            )
        tokens = _tokens(pieces, fixed, cases.height)
        listed = _listed(pieces, cases.height)
        counted = pl.DataFrame({"prompt_tokens": tokens, "uncut_tokens": whole})
        return pl.concat([cases, listed, counted, cuts], how="horizontal")

    def _fixed(self, cases: pl.DataFrame) -> pl.Series | None:
        """Tokens of each case's facts, question, and what stands about them."""
        count = self.reader.count
        if count is None:
            return None
        questions = cases["question"].unique()
        asked = pl.DataFrame({"question": questions, "_asked": list(count(questions.to_list()))})
        known = self.blocks.facts.select(SUBJECT, _facts="tokens")
        told = cases.select(SUBJECT, "question").join(
            asked, on="question", how="left", maintain_order="left"
        )
        told = told.join(known, on=SUBJECT, how="left", maintain_order="left")
        facts = pl.col("_facts").fill_null(FACTS_MARGIN).cast(pl.Int64)
        return told.select(facts + pl.col("_asked") + FACTS_MARGIN + self.around).to_series()


def _tokens(pieces: pl.DataFrame, fixed: pl.Series | None, cases: int) -> pl.Series:
    """Tokens of each case's prompt; null where nothing is counted."""
    if fixed is None:
        return pl.Series([None] * cases, dtype=pl.Int64)
    # A note that is cut has at most its limit.
    size = pl.col("tokens").cast(pl.Int64)
    if "limit" in pieces.columns:
        size = pl.min_horizontal(size, "limit")
    summed = pieces.group_by(PLACE).agg(_sum=size.sum())
    case = pl.DataFrame({"_fixed": fixed}).with_row_index(PLACE)
    told = case.join(summed, on=PLACE, how="left", maintain_order="left")
    return told.select(pl.col("_fixed") + pl.col("_sum").fill_null(0)).to_series()


@dataclass(frozen=True)
class Reader:
    """Makes the text of plans: the one way from a plan to a chart.

    `count` gives the tokens of texts (needed for notes that are cut).
    """

    writer: Writer
    tasks: Mapping[str, Task]
    count: CountTexts | None = None

    @cached_property
    def notes(self) -> frozenset[str]:
        """Tables whose events are notes."""
        return frozenset(name for name, look in self.writer.looks.items() if look.is_note)

    @cached_property
    def cutter(self) -> Cutter:
        """Cuts notes."""
        return Cutter(self.count or _no_tokenizer)

    def charts(self, plan: pl.DataFrame, blocks: Blocks) -> pl.Series:
        """The chart of each row of a plan (of one task and shard), in order."""
        if plan.is_empty():
            return pl.Series("text", [], dtype=pl.String)
        return charts_of(plan, self.pieces(plan, blocks), blocks=blocks, writer=self.writer)

    def pieces(self, plan: pl.DataFrame, blocks: Blocks) -> pl.DataFrame:
        """The pieces of such rows, in order, with the `text` of each as the prompt has it."""
        task = self.tasks[plan["task"][0]].under("strict" if self.writer.strict else "compat")
        lists = plan.select(PIECES.keys()).with_row_index(PLACE)
        pieces = lists.explode(list(PIECES)).drop_nulls("block")
        texts = self._texts(pieces, plan, blocks, task)
        cut = texts.filter(pl.col("limit").is_not_null())
        if cut.height:
            short = self.cutter.cut(cut).drop("left_out")
            rest = texts.filter(pl.col("limit").is_null())
            texts = pl.concat([rest, short]).sort(PLACE, "part", "event")
        return texts

    def shortened(
        self, pieces: pl.DataFrame, cases: pl.DataFrame, *, blocks: Blocks, task: Task
    ) -> pl.DataFrame:
        """`Cutter.cut` of pieces with `limit`."""
        return self.cutter.cut(self._texts(pieces, cases, blocks, task))

    def _texts(
        self, pieces: pl.DataFrame, cases: pl.DataFrame, blocks: Blocks, task: Task
    ) -> pl.DataFrame:
        live = live_texts(pieces, cases, blocks=blocks, task=task, writer=self.writer)
        return with_texts(pieces, blocks, live=live)


def _no_tokenizer(_: Any) -> Any:
    raise AssertionError("nothing is cut without a tokenizer")


def _listed(pieces: pl.DataFrame, cases: int) -> pl.DataFrame:
    """One row a case, the columns of PIECES as lists."""
    typed = pieces.select(PLACE, *(pl.col(name).cast(kind) for name, kind in PIECES.items()))
    grouped = typed.group_by(PLACE, maintain_order=True).agg(pl.all())
    everyone = pl.DataFrame({PLACE: pl.int_range(cases, dtype=pl.UInt32, eager=True)})
    listed = everyone.join(grouped, on=PLACE, how="left", maintain_order="left").drop(PLACE)
    return listed.with_columns(pl.col(name).fill_null([]) for name in PIECES)
