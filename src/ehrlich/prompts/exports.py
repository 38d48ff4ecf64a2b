"""Prompts as files that others read: EHR-Ins for training, EHR-Bench with the released keys.

Pure functions turn prompt rows into export rows; two writers stream them. Rows name no subject
unless asked to: `case_id` is a hash. Even so they are records, and fall under the manifest's tag.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow.parquet as pq

from ehrlich.base.errors import DataError
from ehrlich.base.store import write_aside
from ehrlich.cohorts.task import Task
from ehrlich.prompts.released_tasks import ReleasedInfo, released_info

# As the released files are called: a risk's label is a text, a decision's a list, and one file
# of both is a file that `datasets` cannot read.
BENCH_FILES: Final = {"decision": "decision_making", "risk": "risk_prediction"}
IDENTIFIERS = ("subject_id", "encounter_id", "stay_id")
# What a training row says of its case, where the prompt rows have it.
CASE_COLUMNS = (
    "case_id", "task", "task_version", "split", "prediction_time", "answer", "boolean_value",
    "candidates", "candidate_mode", "weight", "tokens", "prompt_tokens", "cut",
)  # fmt: skip


def instruction_rows(
    cases: pl.DataFrame, *, keep_ids: bool = False, also: tuple[str, ...] = ()
) -> pl.DataFrame:
    """EHR-Ins rows: `messages`, then the case columns, in the order of `cases`.

    In: messages list[struct] as `messages` writes them (the one place that does), case_id, task,
    split, and what else `CASE_COLUMNS` and `also` name. Subject and stay go only with `keep_ids`.
    Raises DataError for a missing column, or one that would name the subject.
    """
    _need(cases, ("messages", "case_id", "task", "split", *also))
    named = [column for column in also if column in IDENTIFIERS and not keep_ids]
    if named:
        raise DataError("names the subject", got=", ".join(named), do="Ask for it by --keep-ids.")
    wanted = (*CASE_COLUMNS, *also, *(IDENTIFIERS if keep_ids else ()))
    there = [column for column in dict.fromkeys(wanted) if column in cases.columns]
    return cases.select("messages", *there)


def bench_rows(
    cases: pl.DataFrame, tasks: Mapping[str, Task], *, first: int = 0, keep_ids: bool = False
) -> pl.DataFrame:
    """EHR-Bench rows of one kind of task: idx, instruction, input, output, candidates, task_info.

    In: case_id, task, split, prompt, question, answer list[str], boolean_value, candidates
    list[str]. Order of `cases`; idx runs from `first`. output: one item a line. task_info: task
    (its released name), event, events, target_key and metric as released, target (the answer as a
    Python literal), label (list[str]; for risks str), and ours: case_id, split, and the subject
    with `keep_ids`. Raises DataError for a missing column, a task that is not in `tasks`, or
    decisions among risks (`of_kind` parts them).
    """
    _need(cases, ("case_id", "task", "split", "prompt", "question", "answer", "candidates"))
    kinds = {_known(tasks, name).kind for name in cases["task"].unique()}
    if len(kinds) > 1:
        raise DataError("decisions and risks in one file", do="Write a file for each kind.")
    answer = pl.col("answer").list.eval(_one_line(pl.element()))
    texts = [name for name in cases["task"].unique() if tasks[name].metric == "rouge_l"]
    answer = pl.when(pl.col("task").is_in(texts)).then(pl.col("answer")).otherwise(answer)
    risk = kinds == {"risk"}
    own = [pl.col("case_id"), pl.col("split")]
    own += [pl.col(name) for name in IDENTIFIERS if keep_ids and name in cases.columns]
    infos = {name: released_info(tasks[name]) for name in cases["task"].unique()}
    return cases.with_columns(_answer=answer).select(
        idx=first + pl.int_range(pl.len(), dtype=pl.Int64),
        instruction="question",
        input="prompt",
        output=pl.col("_answer").list.join("\n"),
        candidates=pl.col("candidates").cast(pl.List(pl.String)),
        task_info=pl.struct(
            _info(infos, "name").alias("task"),
            _info(infos, "event").alias("event"),
            _info(infos, "event").alias("events"),
            _info(infos, "target_key").alias("target_key"),
            _info(infos, "metric").alias("metric"),
            (pl.col("_answer").list.first() if risk else _literal("_answer")).alias("target"),
            (pl.col("_answer").list.first() if risk else pl.col("_answer")).alias("label"),
            *own,
        ),
    )


def of_kind(cases: pl.DataFrame, tasks: Mapping[str, Task], *, kind: str) -> pl.DataFrame:
    """The cases of decisions or of risks, in their order."""
    names = [name for name in cases["task"].unique() if _known(tasks, name).kind == kind]
    return cases.filter(pl.col("task").is_in(names))


def json_lines(rows: pl.DataFrame) -> bytes:
    """The rows as JSON lines in UTF-8; times in ISO 8601."""
    buffer = io.BytesIO()
    rows.write_ndjson(buffer)
    return buffer.getvalue()


def write_jsonl(path: Path, frames: Iterable[pl.DataFrame]) -> int:
    """Write frames of rows as they come, one JSON object a line; how many rows.

    The file is whole or absent.
    """
    rows = 0
    with write_aside(path) as aside, aside.open("wb") as file:
        for frame in frames:
            file.write(json_lines(frame))
            rows += frame.height
    return rows


def write_parquet(path: Path, frames: Iterable[pl.DataFrame]) -> int:
    """Write frames of rows as they come, a row group each; how many rows.

    The file is whole or absent. All frames have the columns and dtypes of the first. Raises
    DataError where there is no frame, since a Parquet file needs columns.
    """
    each = iter(frames)
    first = next(each, None)
    if first is None:
        raise DataError("no rows to write", where=str(path))
    rows = first.height
    table = first.to_arrow()
    with (
        write_aside(path) as aside,
        pq.ParquetWriter(aside, table.schema, compression="zstd") as writer,
    ):
        writer.write_table(table)
        for frame in each:
            writer.write_table(frame.cast(first.schema).to_arrow().cast(table.schema))
            rows += frame.height
    return rows


def _need(cases: pl.DataFrame, columns: Iterable[str]) -> None:
    missing = [column for column in columns if column not in cases.columns]
    if missing:
        raise DataError("prompt rows lack a column", got=f"none called {', '.join(missing)}")


def _known(tasks: Mapping[str, Task], name: str) -> Task:
    if name not in tasks:
        raise DataError("prompt rows of an unknown task", got=name)
    return tasks[name]


def _one_line(text: pl.Expr) -> pl.Expr:
    """Without line breaks: a line of the output is an item."""
    return text.str.replace_all(r"\s*[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]\s*", " ")


def _info(infos: Mapping[str, ReleasedInfo], field: str) -> pl.Expr:
    """A field of the released task_info, by task."""
    by_task = {name: getattr(info, field) for name, info in infos.items()}
    return pl.col("task").replace_strict(by_task, default=None, return_dtype=pl.String)


def _literal(column: str) -> pl.Expr:
    """A list of texts as a literal that both JSON and Python read."""
    item = pl.element().str.replace_all("\\", "\\\\", literal=True)
    item = item.str.replace_all('"', '\\"', literal=True)
    item = item.str.replace_all("\n", "\\n", literal=True).str.replace_all("\r", "\\r")
    item = item.str.replace_all("\t", "\\t").str.replace_all(r"[\x00-\x1f]", " ")
    quoted = pl.concat_str(pl.lit('"'), item, pl.lit('"'))
    listed = pl.col(column).list.eval(quoted).list.join(", ")
    return pl.concat_str(pl.lit("["), listed, pl.lit("]"))
