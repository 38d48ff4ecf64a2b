"""Prompt rows: a plan's cases with chart, content of the user's turn, and messages.

The one place where a planned case becomes what a model reads: exports, `show` and the dataset for
training all call `prompt_rows`.
"""

from __future__ import annotations

import polars as pl

from ehrlich.prompts.blocks import Blocks
from ehrlich.prompts.budget import IS_CUT
from ehrlich.prompts.chat_policy import ChatPolicy
from ehrlich.prompts.messages import messages_of
from ehrlich.prompts.plan import PIECES, Reader

_PROMPT, _ANSWER, _REASONING = "\ue001", "\ue002", "\ue003"


def prompt_rows(
    plan: pl.DataFrame, blocks: Blocks, *, reader: Reader, policy: ChatPolicy, thinking: bool
) -> pl.DataFrame:
    """`plan` (of one task and shard) without the lists of pieces; prompt, content, messages, cut.

    - prompt: the chart; content: the chart and the question, as the user's turn has it.
    - messages: system, user, assistant (the answer, one item a line). Where thinking is wanted
      there is no chain yet, so the assistant is left out.
    - cut: whether the budget took anything.
    """
    charts = reader.charts(plan, blocks)
    style = reader.writer.style
    rows = plan.drop(PIECES.keys()).with_columns(
        prompt=charts,
        cut=IS_CUT,
    )
    rows = rows.with_columns(
        content=pl.concat_str("prompt", pl.lit(style.before_question), "question")
    )
    answer = None if thinking else pl.col("answer").list.join("\n")
    return rows.with_columns(
        messages=message_column(pl.col("content"), answer=answer, policy=policy, thinking=thinking)
    )


def message_column(
    content: pl.Expr,
    *,
    answer: pl.Expr | None,
    policy: ChatPolicy,
    thinking: bool,
    reasoning: pl.Expr | None = None,
) -> pl.Expr:
    """list[struct{role, content}]: what `messages_of` gives for each row, by the same function.

    With `reasoning` each turn also has reasoning_content, null but for the assistant.
    """
    probe = messages_of(
        _PROMPT,
        policy=policy,
        thinking=thinking,
        answer=None if answer is None else _ANSWER,
        reasoning=None if reasoning is None else _REASONING,
    )
    turns = []
    for message in probe:
        said = [_filled(message["content"], {_PROMPT: content, _ANSWER: answer}).alias("content")]
        if reasoning is not None:
            own = "reasoning_content" in message
            told = reasoning if own else pl.lit(None, dtype=pl.String)
            said.append(told.alias("reasoning_content"))
        turns.append(pl.struct(pl.lit(message["role"]).alias("role"), *said))
    return pl.concat_list(turns)


def _filled(text: str, values: dict[str, pl.Expr | None]) -> pl.Expr:
    """`text` with the mark that it holds replaced by a column."""
    for mark, value in values.items():
        before, found, after = text.partition(mark)
        if found and value is not None:
            return pl.concat_str(pl.lit(before), value, pl.lit(after))
    return pl.lit(text)
