"""`ehrlich prompts released`: released EHR-Bench or EHR-Ins rows as they are → messages.

Prompts and questions stay to the letter; only the chat policy is ours. Whoever holds the rows can
so train and evaluate on them beside rows made here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ehrlich.base.store import (
    Manifest,
    edge_fingerprint,
    open_output,
    read_manifest,
    versions_of,
    write_manifest,
)
from ehrlich.cohorts.task import load_tasks
from ehrlich.prompts.cards import Card, card_counts, write_card
from ehrlich.prompts.chat_policy import ChatPolicy, load_policy
from ehrlich.prompts.exports import write_jsonl, write_parquet
from ehrlich.prompts.released_rows import DATA_USE, UNKNOWN_SPLIT, released_batches
from ehrlich.prompts.rows import message_column

# Between the released input and the released instruction.
BEFORE_QUESTION = "\n"
ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class ReleasedConfig:
    """Settings. split: of all rows of the file; chat: the policy of the messages."""

    split: str = UNKNOWN_SPLIT
    chat: str = "released_train"
    fresh: bool = False


def run_released(config: ReleasedConfig, source: Path, out: Path) -> Manifest:
    """Write `<split>/0.parquet`, `<split>/0.jsonl`, the card, and the manifest last.

    Bad rows are counted by reason. Raises DataError for a file without a good row.
    """
    policy = load_policy(config.chat)
    manifest = Manifest(
        "released prompts",
        DATA_USE,
        {"split": config.split, "policy": policy.model_dump(mode="json"),
         "source": edge_fingerprint(source)},
        inputs={"source": str(source.resolve())},
        versions=versions_of(["polars"]),
    )  # fmt: skip
    if open_output(out, manifest.config_fingerprint, resume=True, fresh=config.fresh):
        return read_manifest(out)
    seen, counted = Counter[str](), list[pl.DataFrame]()
    frames = _frames(config, source, policy=policy, seen=seen, counted=counted)
    path = out / config.split / "0.parquet"
    rows = write_parquet(path, frames)
    write_jsonl(path.with_suffix(".jsonl"), pl.scan_parquet(path).collect_batches())
    finished = Manifest(
        manifest.step, manifest.data_use, manifest.config, inputs=manifest.inputs,
        versions=manifest.versions, counts={"rows": rows, "dropped": dict(sorted(seen.items()))},
    )  # fmt: skip
    files = {f"{config.split}/0.{kind}": rows for kind in ("parquet", "jsonl")}
    card = Card(
        suite="EHR-Bench" if config.split == "held_out" else "EHR-Ins",
        counts=pl.concat(counted).group_by("task", "split").sum().sort("task", "split"),
        command=f"ehrlich prompts released FILE --out OUT --split {config.split}",
        files=files,
        style="as released",
        wording="as released",
        chat_policy=config.chat,
        candidates="none",
    )
    write_card(out, card, manifest=finished)
    write_manifest(out, finished)
    return finished


def _frames(
    config: ReleasedConfig, source: Path, *, policy: ChatPolicy, seen: Counter[str],
    counted: list[pl.DataFrame],
) -> Iterator[pl.DataFrame]:  # fmt: skip
    """Rows with messages, batch by batch; counts what was dropped and what is left."""
    for batch in released_batches(source, split=config.split, tasks=load_tasks()):
        seen.update(batch.dropped)
        rows = with_messages(batch.cases, policy)
        counted.append(card_counts(rows))
        yield rows.drop("prompt", "question", "reasoning")


def with_messages(cases: pl.DataFrame, policy: ChatPolicy) -> pl.DataFrame:
    """`released_schema()` rows with `messages`; a row that has a chain asks for thinking."""
    content = pl.concat_str("prompt", pl.lit(BEFORE_QUESTION), "question")
    answer = pl.col("answer").list.join("\n")
    chained = pl.col("reasoning").is_not_null()
    none = pl.lit(None, dtype=pl.String)
    plain = message_column(content, answer=answer, policy=policy, thinking=False)
    plain = plain.list.eval(
        pl.struct(
            role=pl.element().struct.field("role"),
            content=pl.element().struct.field("content"),
            reasoning_content=none,
        )
    )
    told = message_column(
        content, answer=answer, policy=policy, thinking=True, reasoning=pl.col("reasoning")
    )
    return cases.with_columns(messages=pl.when(chained).then(told).otherwise(plain))
