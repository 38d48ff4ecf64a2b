"""`ehrlich tasks check`: each task proves that it is what it says before its scores are trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ehrlich.cohorts.examples import problems_of_examples
from ehrlich.cohorts.scoring import set_f1
from ehrlich.cohorts.task import Task, load_tasks


@dataclass
class Soundness:
    """How many tasks and examples were run, and what is wrong."""

    tasks: int = 0
    examples: int = 0
    problems: list[str] = field(default_factory=list)
    audit: str = ""

    def as_text(self) -> str:
        """As a person reads it."""
        lines = [f"{self.tasks} tasks, {self.examples} examples run"]
        lines += [self.audit] if self.audit else []
        lines += [f"  {problem}" for problem in self.problems] or ["no problem found"]
        return "\n".join(lines)


def check_all(folder: Path | None, charts: Path | None) -> Soundness:
    """All tasks (the user's too): examples, gold answers, and with `charts` the leakage probes."""
    tasks = load_tasks(folder)
    report = Soundness(len(tasks), sum(len(task.examples) for task in tasks.values()))
    for task in tasks.values():
        report.problems += [*problems_of_examples(task), *problems_of_gold(task)]
    if charts is not None:
        report.audit, leaks = _audited(tasks, charts, folder)
        report.problems += leaks
    return report


def problems_of_gold(task: Task) -> Iterator[str]:
    """What is wrong with the task's own answers under the scorer.

    The gold answer must score 1, a wrong one less, and no constant answer may be right always.
    """
    if not task.examples:
        yield f"{task.task}: has no example"
    answers = gold_answers(task)
    if len({tuple(answer) for answer in answers}) < 2:
        yield f"{task.task}: its examples have fewer than two different answers"
    for answer in answers:
        if set_f1(answer, answer) != 1.0:
            yield f"{task.task}: the gold answer does not score 1"
        wrong = set_f1([f"not {item}" for item in answer], answer)
        if wrong is None or wrong >= 1.0:
            yield f"{task.task}: a wrong answer scores 1"
    for answer in answers:
        scores = [set_f1(answer, other) for other in answers]
        if len(answers) > 1 and all(score == 1.0 for score in scores):
            yield f"{task.task}: a constant answer is perfect"
            return


def gold_answers(task: Task) -> list[list[str]]:
    """The answers that the examples state; yes or no for risk tasks."""
    found: list[list[str]] = []
    for example in task.examples:
        for case in example.cases:
            if case.label is not None:
                found.append(["yes" if case.label else "no"])
            elif case.answer:
                found.append(list(case.answer))
    return found


def _audited(
    tasks: Mapping[str, Task], charts: Path, folder: Path | None
) -> tuple[str, Sequence[str]]:
    """The audit's table for cases made of `charts`, and its leaks."""
    import tempfile

    from ehrlich.charts.timeline import Charts
    from ehrlich.cohorts.leakage import audit, audit_text
    from ehrlich.cohorts.run import CasesConfig, run

    with tempfile.TemporaryDirectory() as out:
        config = CasesConfig(suite="all", tasks_folder=folder, quiet=True)
        run(config, charts, Path(out) / "cases")
        found = audit(Path(out) / "cases", Charts(charts))
    leaks = found.filter(found["verdict"] == "leak")
    return audit_text(found), [f"{row['task']}: {row['reasons']}" for row in leaks.to_dicts()]
