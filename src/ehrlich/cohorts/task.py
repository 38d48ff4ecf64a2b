"""What a task may say: a clinical question as data. One file a task; no code in it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from ehrlich.base.config import Model, load_model
from ehrlich.base.errors import ConfigError, TaskError

Episode = Literal["ed", "hospital", "icu"]
Policy = Literal["strict", "compat"]


class Anchor(Model):
    """What a case hangs on: every event of a table (`*` any table), or every episode of a kind.

    - once: one case an encounter instead of one an event, at the end of the encounter
      (for billing codes, which are known then).
    """

    table: str | None = None
    episode: Episode | None = None
    once: bool = False

    @model_validator(mode="after")
    def _one(self) -> Anchor:
        if (self.table is None) == (self.episode is None):
            raise ValueError("say either table or episode")
        return self


class Predict(Model):
    """The prediction_time of an episode's case. Decision tasks: just before the anchor event.

    - at: start or end of the episode, plus `plus_h` hours.
    - before_end: at the latest just before the episode's end.
    """

    at: Literal["start", "end"]
    plus_h: float = 0
    before_end: bool = False


class Context(Model):
    """Which events a case may show (beyond facts, an earlier discharge note, the admission).

    - since: `window` = the last `hours` before prediction_time; `encounter` = all of it;
      `episode` = since the anchor episode began.
    - same_encounter: only events of the anchor's encounter.
    - hide: tables never shown; hide_items: of a table, the items never shown.
    - min_events, max_events: cases with fewer or more context events are dropped, counted.
    - max_subject_events: subjects with more events are left out, counted.
    - admission_inside: only cases whose admission event stands in the context, or that have none.
    - forward: compat only: from the anchor to the last event that starts within `hours` of it
      (`hours` null: before the episode's end), whatever was known then.
    """

    since: Literal["window", "encounter", "episode"] = "window"
    hours: float | None = 24
    same_encounter: bool = True
    hide: tuple[str, ...] = ()
    hide_items: dict[str, tuple[str, ...]] = {}
    min_events: int = 3
    max_events: int | None = None
    max_subject_events: int | None = None
    admission_inside: bool = False
    forward: bool = False


class Answer(Model):
    """The answer of a decision task: the distinct non-empty values of a column in the event.

    - column: `item`, `text_value`, `table` (its name), or a field that tables.parquet names.
    - fewer_than: only events with fewer distinct values.
    """

    column: str
    fewer_than: int | None = None


class Following(Model):
    """Another episode of a kind that begins after this one's end.

    - within_h: hours from the end to its start. same_encounter: only of this hospital stay.
    - planned_items: a following admission whose item is one of these is flagged `planned`.
    """

    episode: Episode
    within_h: float | None = None
    same_encounter: bool = False
    planned_items: tuple[str, ...] = ()


class Label(Model):
    """When a risk task's answer is yes: the one rule that is set.

    - leads_to_admission: the ED stay belongs to a hospital stay.
    - dies_in_stay: dies in the episode, or in the hospital stay that it belongs to.
    - dies_within_h: dies within so many hours of prediction_time.
    - icu_within_h: an ICU stay begins within so many hours of the episode's end.
    - longer_than_h / at_least_h: how long the episode lasts.
    - follows: another episode follows. any_of: any of these.
    - dead_by_midnight_of_end, dies_within_h_of_context: the released code's rules (compat).
    """

    leads_to_admission: bool = False
    dies_in_stay: bool = False
    dies_within_h: float | None = None
    icu_within_h: float | None = None
    longer_than_h: float | None = None
    at_least_h: float | None = None
    follows: Following | None = None
    any_of: tuple[Label, ...] = ()
    dead_by_midnight_of_end: bool = False
    dies_within_h_of_context: float | None = None

    @model_validator(mode="after")
    def _one_rule(self) -> Label:
        said = [
            name for name in type(self).model_fields if getattr(self, name) not in (None, False, ())
        ]
        if len(said) != 1:
            raise ValueError(f"say exactly one rule, not {len(said)} ({', '.join(said)})")
        return self


AtRisk = Literal["in_episode", "alive", "not_in_icu", "left_alive", "not_admitted"]


class Compat(Model):
    """The released code's definition where it differs; null = the same.

    `name`: what the released set calls the task.
    """

    name: str | None = None
    anchor: Anchor | None = None
    predict: Predict | None = None
    context: Context | None = None
    at_risk: tuple[AtRisk, ...] | None = None
    label: Label | None = None


class ExampleRow(Model):
    """One measurement of a mini-chart; times as text, further columns as in the contract."""

    time: datetime | None
    table: str
    code: str = ""
    item: str | None = None
    encounter_id: int | None = None
    stay_id: int | None = None
    avail_time: datetime | None = None
    end_time: datetime | None = None
    numeric_value: float | None = None
    unit: str | None = None
    text_value: str | None = None
    fields: dict[str, str | None] = {}


class ExampleCase(Model):
    """What a mini-chart must give: each case's time, answer or label, and context size."""

    prediction_time: datetime
    answer: tuple[str, ...] | None = None
    label: bool | None = None
    context_events: int | None = None


class Example(Model):
    """A mini-chart of one subject and the cases that it gives, in order of time. Runs as a test."""

    title: str
    chart: tuple[ExampleRow, ...]
    cases: tuple[ExampleCase, ...]


class Task(Model):
    """One clinical question. `is_not` says in prose what it must not be taken for."""

    task: str
    title: str
    kind: Literal["decision", "risk"]
    version: int = 1
    description: str
    is_not: str
    citation: str = ""
    question: str
    metric: Literal["set_f1", "accuracy", "rouge_l", "auroc"]
    cap_train: int | None = None
    anchor: Anchor
    predict: Predict | None = None
    context: Context = Context()
    at_risk: tuple[AtRisk, ...] = ()
    answer: Answer | None = None
    label: Label | None = None
    compat: Compat = Compat()
    examples: tuple[Example, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Task:
        decision = self.kind == "decision"
        if decision and (self.answer is None or self.anchor.table is None):
            raise ValueError("a decision task needs an answer and an anchor table")
        if not decision and (
            self.label is None or self.predict is None or self.anchor.episode is None
        ):
            raise ValueError("a risk task needs a label, predict and an anchor episode")
        if decision and self.label is not None:
            raise ValueError("a decision task has an answer, not a label")
        if self.context.since == "window" and not self.context.hours and not self.context.forward:
            raise ValueError("context: an impossible window; hours must be above 0")
        return self

    def under(self, policy: Policy) -> Task:
        """The task as the policy defines it."""
        if policy == "strict":
            return self
        stated = self.compat.model_dump(exclude_none=True, exclude={"name"})
        changed: dict[str, Any] = {name: getattr(self.compat, name) for name in stated}
        return self.model_copy(update=changed)

    def tables(self) -> Iterator[str]:
        """Tables of the timeline that the task cannot do without."""
        if self.anchor.table and self.anchor.table != "*":
            yield self.anchor.table


class Suite(Model):
    """A named list of tasks under one policy. `headline`: those that its mean counts."""

    suite: str
    title: str
    description: str
    policy: Policy
    tasks: tuple[str, ...]
    headline: tuple[str, ...] = ()


def shipped(folder: Literal["tasks", "suites"]) -> dict[str, Traversable]:
    """Files that come with ehrlich, by name."""
    entries = sorted((files("ehrlich.cohorts") / folder).iterdir(), key=lambda entry: entry.name)
    return {
        entry.name.removesuffix(".yaml"): entry for entry in entries if entry.name.endswith(".yaml")
    }


def load_tasks(folder: Path | None = None) -> dict[str, Task]:
    """All tasks by name; those of the user's `folder` replace shipped ones. Raises ConfigError."""
    tasks: dict[str, Task] = {}
    for name, entry in (*shipped("tasks").items(), *_own(folder, "tasks")):
        task = load_model(Task, entry)
        if task.task != name:
            raise ConfigError("the file's name is not its task's", where=str(entry), got=task.task)
        tasks[name] = task
    return tasks


def load_suite(name: str, folder: Path | None = None) -> Suite:
    """A suite by name. Raises TaskError for an unknown or empty one."""
    known = dict((*shipped("suites").items(), *_own(folder, "suites")))
    if name not in known:
        raise TaskError("no such suite", got=name, expected=f"one of {', '.join(known)}")
    suite = load_model(Suite, known[name])
    if not suite.tasks:
        raise TaskError("the suite names no task", where=str(known[name]))
    return suite


def _own(folder: Path | None, kind: str) -> Iterator[tuple[str, Path]]:
    """The user's files: suites stand in a folder of that name, tasks beside or in `tasks/`."""
    if folder is None:
        return
    if not folder.is_dir():
        raise ConfigError("--tasks is no folder", got=str(folder))
    places = [folder / kind] if kind == "suites" else [folder, folder / kind]
    for place in places:
        yield from ((path.stem, path) for path in sorted(place.glob("*.yaml")))


def chosen(tasks: Mapping[str, Task], names: Iterable[str]) -> list[Task]:
    """The named tasks. Raises TaskError with the nearest name for an unknown one."""
    found = []
    for name in names:
        if name not in tasks:
            near = difflib.get_close_matches(name, tasks, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else "See `ehrlich tasks list`."
            raise TaskError(f"unknown task '{name}'", do=hint)
        found.append(tasks[name])
    return found
