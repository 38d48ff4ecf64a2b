"""The question at the end of a prompt: a task's own wording, or that of released rows.

Released weights were trained on their own wording, which is not ours to ship: `--instructions
FILE` reads it from released rows, or from a file that gives it by task.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import polars as pl

from ehrlich.base.config import Model, load_model, load_yaml
from ehrlich.base.errors import ConfigError, DataError
from ehrlich.cohorts.task import Task, load_tasks
from ehrlich.prompts.neutral import neutral_expr
from ehrlich.prompts.released_rows import released_batches
from ehrlich.prompts.released_tasks import ReleasedTasks

Format = Literal["items", "name", "yes_no", "text"]
CandidateMode = Literal["none", "frequent", "oracle"]
FORMATS: dict[str, Format] = {
    "set_f1": "items", "accuracy": "name", "auroc": "yes_no", "rouge_l": "text",
}  # fmt: skip


class Words(Model):
    """questions.yaml: how to answer, by format; what a list of candidates is, by mode."""

    formats: dict[Format, str]
    candidates: dict[Literal["frequent", "oracle"], str]


@cache
def words() -> Words:
    """The shipped words."""
    return load_model(Words, Path(str(files("ehrlich.prompts") / "questions.yaml")))


def answer_format(task: Task) -> Format:
    """How the task wants to be answered."""
    return FORMATS[task.metric]


def question_of(task: Task) -> str:
    """The task's question in our words, and on the next line how to answer."""
    return f"{task.question.strip()}\n{words().formats[answer_format(task)]}"


def questions_of(
    tasks: Iterable[Task], instructions: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Task → question: the given instruction to the letter, else our own words.

    `instructions` by our task names, as `load_instructions` gives them.
    """
    given = instructions or {}
    return {task.task: given.get(task.task) or question_of(task) for task in tasks}


def with_questions(cases: pl.DataFrame, questions: Mapping[str, str]) -> pl.DataFrame:
    """`cases` with `question`: that of the task, then the case's candidates where it has any.

    In: task; optional candidates list[str] and candidate_mode (`candidates_of`). The same for the
    same input. Raises DataError for a task without a question.
    """
    missing = sorted(set(cases["task"].unique()) - questions.keys())
    if missing:
        raise DataError("no question for a task", got=", ".join(missing))
    asked = pl.col("task").replace_strict(dict(questions), return_dtype=pl.String)
    if "candidates" not in cases.columns:
        return cases.with_columns(question=asked)
    mode = pl.col("candidate_mode")
    intro = mode.replace_strict(
        dict(words().candidates), default=None, return_dtype=pl.String
    )  # fmt: skip
    # A line is one name, harmless as the chart is: names of a record may hold anything.
    one_line = neutral_expr(pl.element().str.replace_all(r"\s+", " ").str.strip_chars())
    names = pl.col("candidates").list.eval(one_line).list.join("\n")
    listed = pl.concat_str(asked, pl.lit("\n\n"), intro, pl.lit("\n"), names)
    return cases.with_columns(question=pl.coalesce(listed, asked))


def load_instructions(path: Path, tasks: Mapping[str, Task] | None = None) -> dict[str, str]:
    """Our task name → instruction, from a user's file.

    YAML or JSON gives it by the task's released name (or ours); .jsonl, .jsonl.gz are released
    rows, each of which holds its own. Raises ConfigError, DataError.
    """
    known = load_tasks() if tasks is None else tasks
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind in ("jsonl", "ndjson"):
        return _from_rows(path, known)
    if kind == "json":
        return _by_our_names(_json(path), path, known)
    if kind in ("yaml", "yml"):
        return _by_our_names(load_yaml(path)[0], path, known)
    raise ConfigError("cannot tell what it is", where=str(path), expected=".yaml, .json or .jsonl")


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError("cannot read the file", where=str(path), got=str(exc.strerror)) from exc
    except (ValueError, RecursionError) as exc:
        raise ConfigError(
            "is not JSON", where=str(path), do="Released rows, one a line, are to end in .jsonl."
        ) from exc


def _by_our_names(document: object, path: Path, tasks: Mapping[str, Task]) -> dict[str, str]:
    if not isinstance(document, dict) or not document:
        raise ConfigError("holds no instructions", where=str(path), expected="task: instruction")
    names = ReleasedTasks.of(tasks).names
    found: dict[str, str] = {}
    for key, text in document.items():
        name = names.get(str(key).casefold())
        if name is None:
            near = difflib.get_close_matches(str(key).casefold(), names, n=1)
            hint = f"Did you mean '{tasks[names[near[0]]].compat.name or near[0]}'?" if near else ""
            raise ConfigError(f"unknown task '{key}'", where=str(path), do=hint)
        if not isinstance(text, str) or not text.strip():
            raise ConfigError(f"'{key}' has no instruction text", where=str(path))
        if found.setdefault(name, text) != text:
            raise ConfigError(f"'{key}' stands twice, with two instructions", where=str(path))
    return found


def _from_rows(path: Path, tasks: Mapping[str, Task]) -> dict[str, str]:
    found: dict[str, str] = {}
    for batch in released_batches(path, tasks=tasks):
        for task, text in batch.cases.select("task", "question").unique().sort("task").iter_rows():
            if found.setdefault(task, text) != text:
                raise ConfigError(
                    f"its rows put task {task} in two ways",
                    where=str(path),
                    do="Give the instruction by task in a YAML file.",
                )
    return found
