"""A task in words, for a clinician: `ehrlich tasks list`, `tasks show`, and docs/tasks.md."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

from ehrlich.charts.readers.dictionary import load_dictionary
from ehrlich.cohorts.task import AtRisk, Context, Following, Label, Task

WIDTH = 88
EPISODES = {
    "ed": "emergency department visit",
    "hospital": "hospital stay",
    "icu": "stay in intensive care",
}
BEGINS = {
    "ed": "arrival in the emergency department",
    "hospital": "admission",
    "icu": "arrival in intensive care",
}
ENDS = {
    "ed": "departure from the emergency department",
    "hospital": "discharge",
    "icu": "departure from intensive care",
}
STILL_THERE = {
    "ed": "still in the emergency department",
    "hospital": "still in hospital",
    "icu": "still in intensive care",
}
AT_RISK: dict[AtRisk, str] = {
    "alive": "alive",
    "not_in_icu": "not in intensive care",
    "left_alive": "who left it alive",
    "not_admitted": "who were not admitted",
}
METRICS = {
    "set_f1": "F1 of the set of items, compared in lower case; items not yet in view also apart",
    "accuracy": "accuracy",
    "rouge_l": "ROUGE-L",
    "auroc": "AUROC of the probability of yes",
}
COLUMNS = {"item": "name", "ccs": "CCS category", "atc": "ATC class", "text_value": "text"}
GENERATED = (
    "This page is generated from `src/ehrlich/cohorts/tasks/*.yaml` and `suites/*.yaml` by "
    "`ehrlich tasks docs`. Change those files, not this page."
)
INTRODUCTION = """\
A task is a question asked of charts. A **decision** task asks for a set of items (which tests,
which drugs); a **risk** task asks for yes or no, and is scored by the probability of yes. Every
case is asked at one fixed time, and shows only what was known then. `ehrlich tasks show TASK`
prints a section of this page; a file of your own adds a task (`ehrlich cases --tasks FOLDER`).

"As released" says how the code published with EHR-R1 defines the task where it differs: that is
the suite `ehr_bench_compat`. Whatever the task, its contexts show results at the time of the draw,
final durations and statuses from the start, and notes and dates without an hour at 00:00.
"""


class Line(NamedTuple):
    """One thing to know of a task."""

    heading: str
    text: str


def table_name(table: str) -> str:
    """A table as a clinician calls it, and as files do: `laboratory (labevents)`."""
    heading = _headings().get(table)
    return f"{_small(heading)} ({table})" if heading else table


def _event_name(table: str) -> str:
    """`laboratory event (labevents)`."""
    heading = _headings().get(table)
    return f"{_small(heading)} event ({table})" if heading else f"event of {table}"


@cache
def _headings() -> Mapping[str, str]:
    return {name: table.heading for name, table in load_dictionary("mimic_iv").tables.items()}


def _small(text: str) -> str:
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def _listed(words: Iterable[str], last: str = "and") -> str:
    *first, final = list(words) or [""]
    return f"{', '.join(first)} {last} {final}" if first else final


def duration(hours: float) -> str:
    """Hours in words: days from two days on.

    >>> duration(12), duration(24), duration(720)
    ('12 hours', '24 hours', '30 days')
    """
    if hours >= 48 and hours % 24 == 0:
        return f"{hours / 24:g} days"
    return f"{hours:g} hour{'' if hours == 1 else 's'}"


def lines_of(task: Task) -> list[Line]:
    """What is asked, of whom, when, from what, what the answer is and is not; as released."""
    lines = [
        Line("Question", task.question),
        Line("Asked of", _asked_of(task)),
        Line("Asked when", _asked_when(task)),
        Line("In view", _in_view(task)),
        Line("Hidden", _hidden(task)),
        Line("Answer", _answer(task)),
        Line("Score", METRICS[task.metric]),
        Line("What it is not", task.is_not),
        Line("As released", as_released(task)),
    ]
    if task.citation:
        lines.append(Line("From", task.citation))
    return lines


def _asked_of(task: Task) -> str:
    if task.anchor.table is not None:
        if task.anchor.once:
            return f"every hospital stay with {table_name(task.anchor.table)}, once"
        if task.anchor.table == "*":
            return "every event of any kind"
        few = task.answer.fewer_than if task.answer else None
        limit = (
            "" if few is None else f" with fewer than {few} items" if few > 2 else " with one item"
        )
        return f"every {_event_name(task.anchor.table)}{limit}"
    kind = task.anchor.episode or "hospital"
    return f"every {EPISODES[kind]}{_of_patients(task.at_risk, kind)}"


def _of_patients(at_risk: Collection[AtRisk], kind: str) -> str:
    if not at_risk:
        return ""
    then = [
        STILL_THERE[kind] if condition == "in_episode" else AT_RISK[condition]
        for condition in at_risk
        if condition in ("in_episode", "alive", "not_in_icu")
    ]
    left = [AT_RISK[c] for c in at_risk if c in ("left_alive", "not_admitted")]
    parts = [f"who are then {_listed(then)}"] if then else []
    return f", of patients {_listed([*parts, *left])}"


def _asked_when(task: Task) -> str:
    if task.anchor.table is not None and task.kind == "decision":
        return "just before the stay ends" if task.anchor.once else "just before the event begins"
    kind, rule = task.anchor.episode, task.predict
    if kind is None or rule is None:
        return f"at the time of the {_event_name(task.anchor.table or '')}"
    at = BEGINS[kind] if rule.at == "start" else ENDS[kind]
    text = f"{duration(rule.plus_h)} after {at}" if rule.plus_h else f"at {at}"
    return f"{text}, or just before {ENDS[kind]}, if that is earlier" if rule.before_end else text


def _in_view(task: Task) -> str:
    admission = "" if "admissions" in task.context.hide else ", the admission"
    before = f"the patient's facts, the discharge summary of an earlier stay{admission}"
    return f"{before}, and {_window(task)}; each as far as it was known"


def _window(task: Task) -> str:
    context = task.context
    if context.since == "encounter":
        return "all events of this hospital stay"
    if context.since == "episode" and task.anchor.episode:
        return f"events since {BEGINS[task.anchor.episode]}"
    stay = " of the same encounter" if context.same_encounter else ""
    return f"events{stay} of the last {duration(context.hours or 0)}"


def _hidden(task: Task) -> str:
    asked = "the event that is asked about" if task.kind == "decision" else ""
    parts = [asked, _hidden_rows(task.context), "whatever was not yet known"]
    return "; ".join(part for part in parts if part)


def _hidden_rows(context: Context) -> str:
    items = [
        f"{_listed(names)} among {table_name(table)}" for table, names in context.hide_items.items()
    ]
    return _listed([*(table_name(table) for table in context.hide), *items])


def _answer(task: Task) -> str:
    if task.label is not None:
        return f"yes if the patient {outcome(task.label, task)}; else no"
    assert task.answer is not None
    if task.answer.column == "table":
        return "the name of the event's table"
    column = COLUMNS.get(task.answer.column, task.answer.column)
    if column == "text":
        return f"the text of {table_name(task.anchor.table or '')}"
    whole = "the stay" if task.anchor.once else "the event"
    return f"the {column} of each item in {whole}; each once, in any order"


def outcome(label: Label, task: Task) -> str:
    """The rule of a label, as what the patient does."""
    kind = task.anchor.episode or "hospital"
    if label.any_of:
        return _listed((outcome(part, task) for part in label.any_of), last="or")
    if label.follows is not None:
        return _follows(label.follows)
    if label.leads_to_admission:
        return "is admitted to hospital from this visit"
    if label.dies_in_stay:
        where = {"ed": "the emergency department or the hospital stay that follows from it"}
        return f"dies in {where.get(kind, 'this hospital stay')}"
    if label.dies_within_h is not None:
        return f"dies within {duration(label.dies_within_h)} of the question"
    if label.icu_within_h is not None:
        return f"enters intensive care within {duration(label.icu_within_h)} of {ENDS[kind]}"
    if label.longer_than_h is not None:
        return f"stays longer than {duration(label.longer_than_h)} from {BEGINS[kind]}"
    if label.at_least_h is not None:
        return f"stays at least {duration(label.at_least_h)} from {BEGINS[kind]}"
    if label.dead_by_midnight_of_end:
        return f"has a date of death no later than the date of {ENDS[kind]}"
    hours = duration(label.dies_within_h_of_context or 0)
    return f"has a date of death (its 00:00) less than {hours} after the last event in view"


def _follows(rule: Following) -> str:
    verb = {
        "ed": "is back in the emergency department",
        "hospital": "is admitted again",
        "icu": "is back in intensive care",
    }[rule.episode]
    within = f" within {duration(rule.within_h)}" if rule.within_h is not None else ""
    same = " in the same hospital stay" if rule.same_encounter else ""
    planned = (
        f" (admissions of type {_listed(rule.planned_items, last='or')} count, flagged as planned)"
        if rule.planned_items
        else ""
    )
    return f"{verb}{within}{same}{planned}"


def as_released(task: Task) -> str:
    """The released code's name for the task, and its definition where it differs."""
    if task.compat.name is None:
        return "not among the released tasks"
    return "; ".join([f"called {task.compat.name}", *_differences(task)])


def _differences(task: Task) -> Iterator[str]:
    old, context = task.under("compat"), task.compat.context
    if old.anchor != task.anchor and old.anchor.table is not None:
        counted = "asked at, and counted from," if task.kind == "risk" else "asked at"
        yield f"{counted} every {_event_name(old.anchor.table)}"
    if context is not None:
        if context.forward:
            yield _forward(old)
        elif task.kind == "decision" and old.context.since != task.context.since:
            yield f"shows {_window(old)}"
        if context.hide != task.context.hide or context.hide_items != task.context.hide_items:
            hidden = _hidden_rows(context)
            yield f"hides only {hidden}" if hidden else "hides nothing"
        yield from _limits(context)
    if old.at_risk != task.at_risk:
        yield _asked_of_whom(old)
    if old.label is not None and old.label != task.label:
        yield f"yes if the patient {outcome(old.label, old)}"


def _asked_of_whom(task: Task) -> str:
    if not task.at_risk:
        return "asked of everyone, also of those who had died or left"
    then = "at the last event in view" if task.context.forward else "then"
    kind = task.anchor.episode or "hospital"
    who = [STILL_THERE[kind] if c == "in_episode" else AT_RISK[c] for c in task.at_risk]
    return f"asked of those who are {_listed(who)} {then}"


def _forward(task: Task) -> str:
    kind, hours = task.anchor.episode or "hospital", task.context.hours
    until = f"of the {duration(hours)} after it" if hours else f"up to {ENDS[kind]}"
    return f"shows {BEGINS[kind]} and all events {until}, known then or not"


def _limits(context: Context) -> Iterator[str]:
    if context.max_events is not None:
        yield f"only with {context.min_events} to {context.max_events} events in view"
    if context.max_subject_events is not None:
        yield f"only patients of at most {context.max_subject_events} events in all"
    if context.admission_inside:
        yield "only where the admission lies inside the window"


def list_text(tasks: Mapping[str, Task], headline: Collection[str]) -> str:
    """`ehrlich tasks list`: a line a task; `*` marks those that the benchmark's mean counts."""
    width = max((len(name) for name in tasks), default=0)
    lines: list[str] = []
    for kind, about in (("decision", "a set of items"), ("risk", "yes or no")):
        own = {name: task for name, task in tasks.items() if task.kind == kind}
        lines += [f"{kind} tasks ({len(own)}): the answer is {about}"] if own else []
        lines += [
            f"  {'*' if name in headline else ' '} {name:<{width}}  {task.title}"
            for name, task in own.items()
        ]
        lines += [""] if own else []
    return "\n".join([*lines, "* counts in the mean of ehr_bench. More: ehrlich tasks show TASK"])


def show_text(task: Task) -> str:
    """`ehrlich tasks show`: everything about one task, in plain text."""
    width = max(len(line.heading) for line in lines_of(task))
    parts = [task.title, f"{task.task}: {task.kind} task, version {task.version}", ""]
    parts += [textwrap.fill(task.description, WIDTH), ""]
    for line in lines_of(task):
        lead = f"{line.heading + ':':<{width + 2}}"
        rest = " " * len(lead)
        parts.append(textwrap.fill(line.text, WIDTH, initial_indent=lead, subsequent_indent=rest))
    if task.examples:
        parts += ["", "Worked examples (each is a test):"]
        parts += [
            textwrap.fill(text, WIDTH, initial_indent="  - ", subsequent_indent="    ")
            for text in _examples(task)
        ]
    return "\n".join(parts)


def _examples(task: Task) -> Iterator[str]:
    for example in task.examples:
        answers = [
            " + ".join(case.answer or ()) if case.label is None else ("yes" if case.label else "no")
            for case in example.cases
        ]
        yield f"{example.title}: {'; then '.join(answers) if answers else 'not asked'}"


def docs_markdown(tasks: Mapping[str, Task], headline: Collection[str]) -> str:
    """docs/tasks.md: a table of all tasks, then a section each."""
    rows = [
        f"| [{name}](#{name}) | {task.kind} | {task.title} | {task.compat.name or ''} |"
        f" {'yes' if name in headline else ''} |"
        for name, task in _by_kind(tasks)
    ]
    head = ["| task | kind | about | as released | in the mean |", "|---|---|---|---|---|"]
    sections = [_section(task) for _, task in _by_kind(tasks)]
    return "\n".join(["# Tasks", "", GENERATED, "", INTRODUCTION, *head, *rows, "", *sections])


def _by_kind(tasks: Mapping[str, Task]) -> list[tuple[str, Task]]:
    """Decisions first, risks after, each as given."""
    return sorted(tasks.items(), key=lambda pair: pair[1].kind)


def _section(task: Task) -> str:
    lines = [f"## {task.task}", "", f"**{task.title}.** {task.description}", ""]
    lines += [f"- **{line.heading}**: {line.text}" for line in lines_of(task)]
    if task.examples:
        lines += ["- **Worked examples**:", *(f"  - {text}" for text in _examples(task))]
    return "\n".join([*lines, ""])
