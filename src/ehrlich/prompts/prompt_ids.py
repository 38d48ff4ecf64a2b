"""Token ids of prompts, put together from ids of blocks where that is exact."""

from __future__ import annotations

import polars as pl

from ehrlich.cohorts.context import PLACE
from ehrlich.prompts.assemble import facts_of
from ehrlich.prompts.blocks import Blocks
from ehrlich.prompts.chat_policy import ChatPolicy
from ehrlich.prompts.counting import Counter
from ehrlich.prompts.joining import (
    SEPARATOR,
    Joining,
    begins_safely,
    ends_safely,
    ids_of_joined,
    is_safe_expr,
)
from ehrlich.prompts.messages import around
from ehrlich.prompts.plan import Reader
from ehrlich.prompts.tokenizers import Ids, ids_of


def prompt_ids(
    plan: pl.DataFrame,
    blocks: Blocks,
    *,
    reader: Reader,
    counter: Counter,
    chat: tuple[ChatPolicy, bool],
) -> list[Ids]:
    """Ids of each row of a plan as a server sends them: what `messages.encode` gives.

    Settled events come with the ids that their block keeps (`--token-ids`); what was written live
    or cut is tokenised now. Where a prompt may not be cut between blocks (a tokenizer that merges
    anything, a style with other separators, a text that ends in white space) it is tokenised whole.
    `chat`: the policy, and whether thinking is wanted.
    """
    tokenizer = counter.tokenizer
    if tokenizer is None or plan.is_empty():
        return []
    before, after = around(tokenizer, chat[0], thinking=chat[1])
    style = reader.writer.style
    charts = reader.charts(plan, blocks)
    ends = (style.before_question + plan["question"] + after).to_list()
    by_blocks = (
        "ids" in blocks.blocks.columns
        and counter.joining is not Joining.EXACT
        and style.before_question == SEPARATOR
        and not style.join_absent
    )
    if not by_blocks:
        texts = [before + chart + end for chart, end in zip(charts, ends, strict=True)]
        return ids_of(texts, tokenizer)
    pieces = _with_ids(reader.pieces(plan, blocks), blocks, counter)
    told = pieces.group_by(PLACE, maintain_order=True).agg("ids", pl.col("safe").all())
    inner = {place: (ids, safe) for place, ids, safe in told.iter_rows()}
    facts = facts_of(plan, blocks, writer=reader.writer)
    found: list[Ids] = []
    for place, (fact, chart, end) in enumerate(zip(facts, charts, ends, strict=True)):
        ids, safe = inner.get(place, ([], True))
        opening, closing = before + fact, end.removeprefix(SEPARATOR)
        if not (safe and ends_safely(opening) and begins_safely(closing)):
            found += ids_of([before + chart + end], tokenizer)
            continue
        kept = [pl.Series(each, dtype=pl.UInt32).to_numpy() for each in ids]
        found.append(
            ids_of_joined(
                opening, closing, inner=kept, tokenizer=tokenizer, joining=counter.joining
            )
        )
    return found


def _with_ids(pieces: pl.DataFrame, blocks: Blocks, counter: Counter) -> pl.DataFrame:
    """`pieces` with `ids` of each as an inner piece, and whether a cut beside it is `safe`."""
    assert counter.tokenizer is not None
    kept = blocks.blocks["ids"].gather(pieces["block"])
    anew = pl.col("live") | pl.col("limit").is_not_null()
    told = pieces.with_columns(ids=kept).with_columns(ids=pl.when(~anew).then("ids"))
    texts = told.filter(pl.col("ids").is_null())["text"].unique()
    written = [counter.joining.inner(text) for text in texts]
    anew_ids = pl.Series("_now", ids_of(written, counter.tokenizer), dtype=pl.List(pl.UInt32))
    now = pl.DataFrame([texts, anew_ids])
    joined = told.join(now, on="text", how="left", maintain_order="left")
    return joined.with_columns(
        ids=pl.coalesce("ids", "_now"), safe=is_safe_expr(pl.col("text"))
    ).drop("_now")
