"""Blocks: every event of a shard written once, and when it stops changing. A prompt is a slice.

`blocks/<style>/<split>/<shard>/` holds three Arrow files, uncompressed, so that they are mapped
into memory and never read whole (which Parquet cannot be):

- blocks: subject_id, event, table, known_from (when the first of its measurements could be seen),
  settled (from then on the text stays as it is), mixed (a task hides some of its measurements, not
  all), text, tokens (of the text and the blank line after it; null without tokenizer); by
  subject_id, event. The row number is what prompts call a block.
- lines: of the measurements of events that change: what each looks like in a list and in a table,
  before and after its end is known. From these an event is written as it stood at some time.
- facts: subject_id, born, text, tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import polars as pl
import pyarrow as pa

from ehrlich.base.errors import DataError
from ehrlich.base.store import write_aside
from ehrlich.charts.timeline import visible
from ehrlich.cohorts.context import is_fact
from ehrlich.cohorts.scene import KEY, Source
from ehrlich.prompts.counting import Counter
from ehrlich.prompts.render import Writer

PARTS = ("blocks", "lines", "facts")
FOREVER = datetime(9999, 12, 31)
SEEN_FROM = pl.max_horizontal("time", "avail_time")


@dataclass(frozen=True)
class Blocks:
    """The blocks of one shard."""

    blocks: pl.DataFrame
    lines: pl.DataFrame
    facts: pl.DataFrame

    @cached_property
    def index(self) -> pl.DataFrame:
        """What a prompt is planned by: block, and all columns but the texts."""
        return self.blocks.drop("text", "ids", strict=False).with_row_index("block")


def blocks_of(
    rows: pl.DataFrame,
    writer: Writer,
    *,
    source: Source,
    hidden: pl.Expr,
    counter: Counter,
) -> Blocks:
    """The blocks of measurements (contract order, with `fields`).

    `hidden`: measurements that any task hides among others of their event.
    """
    told = rows.filter(~is_fact(source))
    strict = source.policy == "strict"
    shown = visible(told, FOREVER, tables=source.tables) if strict else told
    texts = writer.event_texts(shown, KEY)
    ends = writer.shown.select("table", "ends")
    closing = pl.when("ends").then("end_time")
    timed = told.join(ends, on="table", maintain_order="left").with_columns(
        _seen=SEEN_FROM, _closes=closing if strict else pl.lit(None, dtype=pl.Datetime("us"))
    )
    events = timed.group_by(KEY, maintain_order=True).agg(
        known_from=pl.col("_seen").min(),
        settled=pl.max_horizontal(pl.col("_seen").max(), pl.col("_closes").max()),
        mixed=hidden.any() & ~hidden.all(),
    )
    events = texts.join(events, on=KEY, how="left", maintain_order="left").select(
        *KEY, "table", "known_from", "settled", "mixed", "text"
    )
    changing = events.filter((pl.col("settled") > pl.col("known_from")) & strict | pl.col("mixed"))
    lines = lines_of(
        timed.join(changing.select(KEY), on=KEY, how="semi", maintain_order="left"),
        writer,
        source=source,
    )
    facts = writer.facts(rows.filter(is_fact(source)))
    return Blocks(counter.counted(events, blocks=True), lines, counter.counted(facts, blocks=False))


def lines_of(timed: pl.DataFrame, writer: Writer, *, source: Source) -> pl.DataFrame:
    """Each measurement's texts: subject_id, event, table, item, time, seen_from, closes, then
    line, list (its end not known), line_closed, list_closed (null where the end changes nothing).
    """
    opened = timed.with_columns(end_time=pl.lit(None, dtype=pl.Datetime("us")))
    if source.policy == "strict":
        opened = visible(opened, FOREVER, tables=source.tables)
        closed = visible(timed, FOREVER, tables=source.tables)
    else:
        closed = timed
    ended = pl.col("_closes").is_not_null()
    written = [
        writer.row_texts(opened, form="line").alias("line"),
        writer.row_texts(opened, form="list").alias("list"),
        writer.row_texts(closed, form="line").alias("line_closed"),
        writer.row_texts(closed, form="list").alias("list_closed"),
    ]
    return timed.select(
        *KEY, "table", "item", "time", "_closes", seen_from="_seen"
    ).with_columns(*written).with_columns(
        line_closed=pl.when(ended).then("line_closed"),
        list_closed=pl.when(ended).then("list_closed"),
    ).rename({"_closes": "closes"})  # fmt: skip


def folder_of(out: Path, style: str, *, shard: str) -> Path:
    """Where the blocks of a shard (`<split>/<number>`) lie."""
    return out / "blocks" / style / shard


def write_blocks(blocks: Blocks, folder: Path) -> None:
    """Write the three files; `blocks` last, so that its presence means all are there."""
    for part in reversed(PARTS):
        write_mapped(getattr(blocks, part), folder / f"{part}.arrow")


def read_blocks(folder: Path) -> Blocks:
    """Mapped into memory. Raises DataError where they were not made."""
    if not (folder / "blocks.arrow").is_file():
        raise DataError(
            "the blocks of these cases are missing",
            where=str(folder),
            do="Run `ehrlich prompts` on the same charts and cases, or finish it with --resume.",
        )
    return Blocks(**{part: read_mapped(folder / f"{part}.arrow") for part in PARTS})


def write_mapped(frame: pl.DataFrame, path: Path) -> None:
    """Write `frame` so that it can be mapped into memory."""
    with write_aside(path) as aside:
        frame.write_ipc(aside, compression="uncompressed")


def read_mapped(path: Path) -> pl.DataFrame:
    """The frame, mapped into memory: pages are read when their rows are. Raises DataError."""
    try:
        with pa.memory_map(str(path)) as mapped:
            table = pa.ipc.open_file(mapped).read_all()
    except (OSError, pa.ArrowException) as exc:
        raise DataError("cannot be read as Arrow", where=str(path), got=type(exc).__name__) from exc
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame
