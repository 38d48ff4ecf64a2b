"""What a task's file may say, and what a user hears who says it wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from ehrlich.base.errors import ConfigError, TaskError
from ehrlich.cohorts.task import Task, chosen, load_suite, load_tasks

OWN = """\
task: potassium
title: Next potassium
kind: decision
description: Whether potassium is measured next.
is_not: Not its value.
question: Which test comes next?
metric: set_f1
anchor: {table: labevents}
answer: {column: item}
"""


def written(folder: Path, text: str, name: str = "potassium") -> Path:
    (folder / f"{name}.yaml").write_text(text)
    return folder


def test_a_file_of_the_user_adds_a_task(tmp_path: Path) -> None:
    tasks = load_tasks(written(tmp_path, OWN))
    assert tasks["potassium"].title == "Next potassium"
    assert "labevents" in tasks


def test_a_file_of_the_user_replaces_the_shipped_task_of_its_name(tmp_path: Path) -> None:
    own = OWN.replace("task: potassium", "task: labevents")
    assert load_tasks(written(tmp_path, own, "labevents"))["labevents"].title == "Next potassium"


@pytest.mark.parametrize(
    ("wrong", "right", "line", "near"),
    [
        ("anchors: {table: labevents}", "anchor: {table: labevents}", 8, "anchor"),
        ("context: {hourss: 24}\n", "", 10, "hours"),
        ("citations: mine\n", "", 10, "citation"),
        ("answer: {colum: item}", "answer: {column: item}", 9, "column"),
    ],
)
def test_an_unknown_key_names_file_line_and_the_nearest_one(
    tmp_path: Path, wrong: str, right: str, line: int, near: str
) -> None:
    text = OWN.replace(right, wrong) if right else OWN + wrong
    with pytest.raises(ConfigError) as told:
        load_tasks(written(tmp_path, text))
    assert f"potassium.yaml, line {line}" in str(told.value)
    assert f"Did you mean '{near}'?" in str(told.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("kind: decision", "kind: risk"), "a risk task needs"),
        (("answer: {column: item}\n", ""), "a decision task needs an answer"),
        (("{table: labevents}", "{table: labevents, episode: ed}"), "either table or episode"),
        (("set_f1", "auprc"), "'metric'"),
        (("is_not: Not its value.\n", ""), "'is_not'"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=r"potassium\.yaml") as told:
        load_tasks(written(tmp_path, OWN.replace(*change)))
    assert said in str(told.value)


def test_an_impossible_window_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="impossible window"):
        load_tasks(written(tmp_path, OWN + "context: {hours: 0}\n"))


def test_a_label_of_two_rules_is_refused(tmp_path: Path) -> None:
    text = (
        OWN.replace("kind: decision", "kind: risk")
        .replace("answer: {column: item}\n", "")
        .replace("{table: labevents}", "{episode: icu}")
        + "predict: {at: start}\nlabel: {dies_in_stay: true, at_least_h: 24}\n"
    )
    with pytest.raises(ConfigError, match="exactly one rule, not 2"):
        load_tasks(written(tmp_path, text))


def test_a_file_of_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name is not its task's"):
        load_tasks(written(tmp_path, OWN, "sodium"))


def test_an_unknown_task_hears_the_nearest_name() -> None:
    with pytest.raises(TaskError, match="Did you mean 'labevents'"):
        chosen(load_tasks(), ["labevent"])


def test_an_unknown_suite_and_an_empty_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "suites").mkdir()
    empty = "suite: none\ntitle: N\ndescription: D\npolicy: strict\ntasks: []\n"
    (tmp_path / "suites" / "none.yaml").write_text(empty)
    with pytest.raises(TaskError, match="names no task"):
        load_suite("none", tmp_path)
    with pytest.raises(TaskError, match="no such suite"):
        load_suite("nine", tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder"):
        load_tasks(tmp_path / "nowhere")


def test_compat_replaces_what_it_states_and_keeps_the_rest() -> None:
    task = load_tasks()["readmission_30d"]
    released: Task = task.under("compat")
    assert task.under("strict") is task
    assert released.anchor.table == "discharge"
    assert released.at_risk == ()
    assert released.context.max_events == 99
    assert released.label == task.label
    assert released.predict == task.predict
