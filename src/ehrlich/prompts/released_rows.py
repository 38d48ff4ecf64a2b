"""Released EHR-Bench and EHR-Ins rows as cases, for those who hold the files.

A row is a JSON object on a line: idx, instruction, input, output, candidates, task_info. The rows
are rendered MIMIC-IV: their identifiers were taken out, yet times, sex and age stay and lead back
to the record. So they are `credentialed`, whatever is said of them.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl

from ehrlich.base.contracts import SPLITS
from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import ConfigError, DataError
from ehrlich.cohorts.answers import Generation, parse_items, parse_yes_no, split_reasoning
from ehrlich.cohorts.released import released_items
from ehrlich.cohorts.task import Task, load_tasks
from ehrlich.prompts.released_tasks import ReleasedTasks

DATA_USE: Final = DataUse.CREDENTIALED
UNKNOWN_SPLIT = "unknown"
BATCH_ROWS = 1000
REASONING_KEYS = ("reasoning_content", "reasoning")

_FINAL_HEADING = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]*)?[*_]{0,2}final[ \t]+(?:results?|answers?)[*_ \t]*(?::[*_ \t]*)?$",
    re.IGNORECASE | re.MULTILINE,
)
_GZIP_MAGIC = b"\x1f\x8b"


def released_schema() -> dict[str, pl.DataType]:
    """The columns of a released row as a case.

    - case_id: sixteen hex digits of a hash of idx, task and input; the same in every reading.
    - task: ours. idx: the row's own, as text. split: as the caller states it.
    - prompt: the chart as released; question: the instruction as released.
    - answer: the items, or yes / no, or the text; boolean_value: null but for risk.
    - candidates: null for risk; released lists hold the whole answer, so candidate_mode is
      `oracle` where there is one, else `none`.
    - metric: in released words. reasoning: of a row that has a chain.
    """
    text = pl.String()
    return {
        "case_id": text, "task": text, "idx": text, "split": text, "prompt": text,
        "question": text, "answer": pl.List(text), "boolean_value": pl.Boolean(),
        "candidates": pl.List(text), "candidate_mode": text, "metric": text, "reasoning": text,
    }  # fmt: skip


class ReleasedBatch(NamedTuple):
    """Some rows of a file: the cases, how many rows were seen, how many dropped by reason."""

    cases: pl.DataFrame
    rows: int
    dropped: Counter[str]


@dataclass(frozen=True, slots=True)
class ReleasedRows:
    """A whole file. `cases` has the columns of `released_schema`, in the order of the file."""

    cases: pl.DataFrame
    rows: int
    dropped: Mapping[str, int]
    data_use: DataUse = DATA_USE


class _UnusableRowError(Exception):
    """The reason why a row is dropped, in words that hold nothing of the row."""


def read_released(
    path: Path, *, split: str = UNKNOWN_SPLIT, tasks: Mapping[str, Task] | None = None
) -> ReleasedRows:
    """All rows of a file as cases; a row that stands twice is taken once, the other counted.

    Raises as `released_batches`.
    """
    batches = list(released_batches(path, split=split, tasks=tasks))
    cases = pl.concat([batch.cases for batch in batches])
    once = cases.unique("case_id", keep="first", maintain_order=True)
    dropped = sum((batch.dropped for batch in batches), Counter[str]())
    if once.height < cases.height:
        dropped["stands twice"] += cases.height - once.height
    return ReleasedRows(once, sum(batch.rows for batch in batches), dict(sorted(dropped.items())))


def released_batches(
    path: Path,
    *,
    split: str = UNKNOWN_SPLIT,
    tasks: Mapping[str, Task] | None = None,
    batch_rows: int = BATCH_ROWS,
) -> Iterator[ReleasedBatch]:
    """The file batch by batch, so that its size does not matter; .gz is known by its content.

    `split`: unknown, or train, tuning, held_out (EHR-Bench). A bad row is counted by its reason.
    Raises ConfigError for another split, DataError for a file that cannot be read or whose rows
    are all bad.
    """
    if split not in (UNKNOWN_SPLIT, *SPLITS):
        raise ConfigError("no such split", got=split, expected=f"unknown, {', '.join(SPLITS)}")
    known = load_tasks() if tasks is None else tasks
    released = ReleasedTasks.of(known)
    lines = _lines(path)
    seen: Counter[str] = Counter()
    rows = 0
    while chunk := list(islice(lines, batch_rows)):
        batch = _batch(chunk, released, known, split)
        rows += batch.rows
        seen += batch.dropped
        yield batch
    if rows == seen.total():
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(seen.items()))
        raise DataError(
            "holds no row of EHR-Bench or EHR-Ins",
            where=str(path),
            got=f"{rows:,} lines ({reasons})" if rows else "no lines",
            expected="one JSON object a line with instruction, input, output and task_info",
        )


def _lines(path: Path) -> Iterator[bytes]:
    """Lines that are not blank."""
    try:
        with path.open("rb") as plain:
            zipped = plain.read(2) == _GZIP_MAGIC
            plain.seek(0)
            with gzip.open(plain) if zipped else plain as file:
                yield from (bare for line in file if (bare := line.strip()))
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise DataError("the compressed file is broken", where=str(path)) from exc
    except OSError as exc:
        raise DataError("cannot read the file", where=str(path), got=str(exc.strerror)) from exc


def _batch(
    lines: list[bytes], released: ReleasedTasks, tasks: Mapping[str, Task], split: str
) -> ReleasedBatch:
    # A loop over rows: each is a JSON document of its own, which may be broken in its own way.
    cases = []
    dropped: Counter[str] = Counter()
    for line in lines:
        try:
            cases.append(_case(line, released, tasks))
        except _UnusableRowError as reason:
            dropped[str(reason)] += 1
    frame = pl.DataFrame([case | {"split": split} for case in cases], schema=released_schema())
    return ReleasedBatch(frame, len(lines), dropped)


def _case(line: bytes, released: ReleasedTasks, tasks: Mapping[str, Task]) -> dict[str, Any]:
    row = _object(line, "not JSON", "not a JSON object")
    prompt, question, output = (_text(row, name) for name in ("input", "instruction", "output"))
    info = _info(row)
    name = released.find(info, question)
    if name is None:
        raise _UnusableRowError("unknown task")
    answer, reasoning = _answer(output, row, info, tasks[name])
    risk = tasks[name].kind == "risk"
    candidates = None if risk else _candidates(row)
    metric = info.get("metric")
    case = {
        "task": name,
        "idx": _idx(row),
        "prompt": prompt,
        "question": question,
        "answer": answer,
        "boolean_value": answer == ["yes"] if risk else None,
        "candidates": candidates,
        "candidate_mode": "oracle" if candidates else "none",
        "metric": metric if isinstance(metric, str) else None,
        "reasoning": reasoning,
    }
    _check_unicode(case)
    identity = json.dumps([case["idx"], name]).encode() + prompt.encode()
    return case | {"case_id": hashlib.sha256(identity).hexdigest()[:16]}


def _object(text: bytes | str, broken: str, other: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise _UnusableRowError(broken) from None
    if not isinstance(found, dict):
        raise _UnusableRowError(other)
    return found


def _text(row: Mapping[str, Any], name: str) -> str:
    if name not in row:
        raise _UnusableRowError(f"no {name}")
    if not isinstance(row[name], str):
        raise _UnusableRowError(f"{name} is no text")
    if not row[name].strip():
        raise _UnusableRowError(f"{name} is empty")
    return str(row[name])


def _info(row: Mapping[str, Any]) -> dict[str, Any]:
    """task_info, which tables store as JSON text; the task's name may stand in the row itself."""
    info = row.get("task_info")
    if isinstance(info, str):
        info = _object(info, "task_info is not JSON", "task_info is no object")
    if info is None:
        info = {}
    if not isinstance(info, dict):
        raise _UnusableRowError("task_info is no object")
    if "task" in row and "task" not in info:
        info = info | {"task": row["task"]}
    if not info:
        raise _UnusableRowError("no task_info")
    return info


def _idx(row: Mapping[str, Any]) -> str | None:
    idx = row.get("idx")
    if idx is not None and not isinstance(idx, int | float | str):
        raise _UnusableRowError("idx is no number")
    return None if idx is None else str(idx)


def _candidates(row: Mapping[str, Any]) -> list[str] | None:
    found = row.get("candidates")
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            raise _UnusableRowError("candidates is no list") from None
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise _UnusableRowError("candidates is no list")
    return found or None


def _answer(
    output: str, row: Mapping[str, Any], info: Mapping[str, Any], task: Task
) -> tuple[list[str], str | None]:
    """The answer and the reasoning apart.

    The output counts before task_info.label: the released code shares one task_info among the
    rows of a task, so that labels kept in memory all become the last one.
    """
    stated = next((row[key] for key in REASONING_KEYS if isinstance(row.get(key), str)), None)
    visible, reasoning = split_reasoning(output, Generation(stated))
    heading = None
    if visible is not None and task.metric != "rouge_l":
        heading = next(reversed(list(_FINAL_HEADING.finditer(visible))), None)
    if visible is not None and heading is not None:
        before = visible[: heading.start()].strip()
        reasoning = "\n".join(part for part in (reasoning, before) if part) or None
        visible = visible[heading.end() :]
    label = info.get("label")
    if task.kind == "risk":
        return [_yes_no(visible, label)], reasoning
    if task.metric == "rouge_l":
        items = [visible.strip()] if visible else []
    elif heading is not None:
        items = list(parse_items(visible or "").items)
    else:
        items = released_items(visible or "")
    items = [item for item in dict.fromkeys(map(str.strip, items)) if item] or _labels(label)
    if not items:
        raise _UnusableRowError("no answer in the output")
    return items, reasoning


def _labels(label: object) -> list[str]:
    found = label if isinstance(label, list) else [label]
    return [item.strip() for item in found if isinstance(item, str) and item.strip()]


def _yes_no(visible: str | None, label: object) -> str:
    said = parse_yes_no(visible).answer if visible else None
    if said is None and isinstance(label, str):
        said = {"yes": True, "no": False}.get(label.strip().lower())
    if said is None:
        raise _UnusableRowError("neither yes nor no")
    return "yes" if said else "no"


def _check_unicode(case: Mapping[str, Any]) -> None:
    """JSON can spell half a character, which no table can hold."""
    texts = [value for value in case.values() if isinstance(value, str)]
    try:
        "".join([*texts, *case["answer"], *(case["candidates"] or ())]).encode()
    except UnicodeEncodeError:
        raise _UnusableRowError("text is not Unicode") from None
