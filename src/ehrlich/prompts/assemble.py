"""Cases and blocks → charts as text. The one way to a prompt, for export, training and service.

A piece is one event of one case's prompt: its block as it stands where the event had settled by the
prediction_time, else written anew from what could be seen then. That this equals writing
`cohorts.context.context_rows` directly is held by a property test.
"""

from __future__ import annotations

import polars as pl

from ehrlich.cohorts.context import PART, PLACE, context_events
from ehrlich.cohorts.scene import KEY, SUBJECT, Scene, hidden_rows
from ehrlich.cohorts.task import Task
from ehrlich.prompts.blocks import Blocks
from ehrlich.prompts.render import BETWEEN, Writer, with_age

PIECE = ("_case", "part", "event", "table", "block", "live", "tokens")


def pieces_of(cases: pl.DataFrame, scene: Scene, *, blocks: Blocks, task: Task) -> pl.DataFrame:
    """One row a piece, in the order of the prompt: _case, part, event, table, block, live, tokens.

    `scene`: the shard's measurements; no values of theirs are needed. live: the event had not
    settled at prediction_time, or the task hides a part of it; its text is then `live_texts`, and
    `tokens` is that of the block.
    """
    context = task.under(scene.source.policy).context
    policy = scene.source.policy
    index = None if policy == "compat" else scene.index_of(context)
    events = context_events(cases, index, task=task, policy=policy)
    at = cases.with_row_index(PLACE).select(PLACE, SUBJECT, _at="prediction_time")
    placed = events.join(at, on=PLACE).join(blocks.index, on=KEY)
    if policy == "compat":
        banned = pl.col("table").is_in([*context.hide, "admissions"])
        placed = placed.filter(~(banned & (pl.col("part") == "context")))
        late = pl.lit(False)
    else:
        placed = placed.filter(pl.col("known_from") <= pl.col("_at"))
        late = pl.col("settled") > pl.col("_at")
    hides = pl.lit(bool(context.hide_items)) & pl.col("mixed")
    pieces = placed.with_columns(live=late | hides, part=pl.col("part").cast(PART))
    return pieces.sort(PLACE, "part", "event").select(PIECE)


def live_texts(
    pieces: pl.DataFrame, cases: pl.DataFrame, *, blocks: Blocks, task: Task, writer: Writer
) -> pl.DataFrame:
    """_case, event, text: the live pieces as they stood at prediction_time; none where nothing was.

    The heading has the time of the first measurement that could be seen.
    """
    at = cases.with_row_index(PLACE).select(PLACE, SUBJECT, _at="prediction_time")
    live = pieces.filter("live").select(PLACE, "event").join(at, on=PLACE)
    lines = live.join(blocks.lines, on=KEY, maintain_order="left_right")
    if task.context.hide_items:
        lines = lines.filter(~hidden_rows(task.context))
    if writer.strict:
        lines = lines.filter(pl.col("seen_from") <= pl.col("_at"))
    closed = (pl.col("closes") <= pl.col("_at")).fill_null(value=False)
    keys = [PLACE, "event"]
    looked = lines.join(writer.shown.select("table", "listed"), on="table", maintain_order="left")
    single = (pl.len().over(keys) == 1) | pl.col("listed")
    texts = looked.with_columns(_single=single).with_columns(
        text=pl.when("_single")
        .then(pl.when(closed).then("list_closed").otherwise("list"))
        .otherwise(pl.when(closed).then("line_closed").otherwise("line"))
    )
    return writer.joined(texts, keys).select(*keys, "text")


def with_texts(pieces: pl.DataFrame, blocks: Blocks, *, live: pl.DataFrame) -> pl.DataFrame:
    """`pieces` with their text; a live piece of which nothing could be seen is gone."""
    whole = pieces.with_columns(text=blocks.blocks["text"].gather(pieces["block"]))
    joined = whole.join(
        live.rename({"text": "_live"}), on=[PLACE, "event"], how="left", maintain_order="left"
    )
    told = joined.with_columns(text=pl.when("live").then("_live").otherwise("text")).drop("_live")
    return told.drop_nulls("text")


def charts_of(
    cases: pl.DataFrame, pieces: pl.DataFrame, *, blocks: Blocks, writer: Writer
) -> pl.Series:
    """The chart of each of `cases`, in order: facts, earlier discharge note, admission, events.

    `pieces` with `text`.
    """
    at = cases.with_row_index(PLACE).select(PLACE, SUBJECT, _at="prediction_time")
    facts = pl.DataFrame({"text": facts_of(cases, blocks, writer=writer)}).with_row_index(PLACE)
    facts = facts.select(PLACE, part=pl.lit("facts", dtype=PART), text="text")
    told = [facts, pieces.select(PLACE, "part", "text")]
    if writer.style.join_absent:
        told += [_absent(at, pieces, name) for name in ("last_discharge", "admission", "context")]
    ordered = pl.concat(told).sort(PLACE, "part", maintain_order=True)
    joined = ordered.group_by(PLACE, maintain_order=True).agg(pl.col("text").str.join(BETWEEN))
    return joined["text"]


def facts_of(cases: pl.DataFrame, blocks: Blocks, *, writer: Writer) -> pl.Series:
    """The facts that open the chart of each of `cases`, in order, with the age at its time."""
    asked = cases.select(SUBJECT, _at="prediction_time")
    known = asked.join(blocks.facts, on=SUBJECT, how="left", maintain_order="left")
    told = with_age(pl.col("text"), pl.col("born"), at=pl.col("_at"))
    return known.select(told.fill_null(f"## {writer.style.facts}")).to_series()


def _absent(at: pl.DataFrame, pieces: pl.DataFrame, part: str) -> pl.DataFrame:
    """An empty text for each case that has no such part."""
    without = at.join(pieces.filter(pl.col("part") == part), on=PLACE, how="anti")
    return without.select(PLACE, part=pl.lit(part, dtype=PART), text=pl.lit(""))
