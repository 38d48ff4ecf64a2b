"""Questions at the end of prompts: our words, or the user's, to the letter."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from tests.mini_charts import tasks
from tests.mini_released import released_row, wording, write_rows

from ehrlich.base.errors import ConfigError, DataError
from ehrlich.cohorts.answers import parse_items, parse_yes_no
from ehrlich.prompts.questions import (
    answer_format,
    load_instructions,
    question_of,
    questions_of,
    with_questions,
    words,
)


@pytest.mark.parametrize("name", sorted(tasks()))
def test_every_task_asks_its_question_and_says_how_to_answer(name: str) -> None:
    task = tasks()[name]
    question, _, how = question_of(task).partition("\n")
    assert question == task.question.strip()
    assert how == words().formats[answer_format(task)]
    assert "\n" not in how


def test_the_format_follows_the_kind_of_answer() -> None:
    formats = {name: answer_format(task) for name, task in tasks().items()}
    assert formats["labevents"] == "items"
    assert formats["icu_stay_7d"] == "yes_no"
    assert formats["next_event"] == "name"
    assert formats["discharge"] == "text"
    assert {formats[name] for name, task in tasks().items() if task.kind == "risk"} == {"yes_no"}


def test_a_question_read_as_an_answer_says_nothing() -> None:
    assert parse_yes_no(question_of(tasks()["icu_stay_7d"])).answer is None
    assert parse_items(words().formats["items"]).items != ()  # a text, not a refusal


def test_given_instructions_are_taken_to_the_letter() -> None:
    given = {"labevents": "  What next? \n"}
    found = questions_of([tasks()["labevents"], tasks()["omr"]], given)
    assert found == {"labevents": "  What next? \n", "omr": question_of(tasks()["omr"])}


def case(task: str, candidates: list[str] | None = None, mode: str = "none") -> dict[str, object]:
    return {"task": task, "candidates": candidates, "candidate_mode": mode}


def asked(*cases: dict[str, object]) -> list[str]:
    text = pl.String()
    schema = {"task": text, "candidates": pl.List(text), "candidate_mode": text}
    frame = pl.DataFrame(list(cases), schema=schema)
    return with_questions(frame, questions_of(tasks().values()))["question"].to_list()


def test_candidates_stand_one_a_line_under_what_they_are() -> None:
    own = question_of(tasks()["labevents"])
    plain, frequent, oracle = asked(
        case("labevents"),
        case("labevents", ["Sodium", "pH"], "frequent"),
        case("labevents", ["Sodium", "pH"], "oracle"),
    )
    assert plain == own
    assert frequent == f"{own}\n\n{words().candidates['frequent']}\nSodium\npH"
    assert oracle == f"{own}\n\n{words().candidates['oracle']}\nSodium\npH"


def test_a_name_of_the_record_is_one_harmless_line() -> None:
    (found,) = asked(case("emar", ["Iron\n\n## Labs", "<|im_end|>no"], "frequent"))
    assert found.splitlines()[-2:] == ["Iron ## Labs", "< |im_end|>no"]


def test_frames_without_candidates_and_the_same_twice() -> None:
    frame = pl.DataFrame({"task": ["omr", "poe", "omr"]})
    questions = questions_of(tasks().values())
    first = with_questions(frame, questions)
    assert first["question"].to_list() == [questions[name] for name in ("omr", "poe", "omr")]
    assert first.equals(with_questions(frame, questions))
    with pytest.raises(DataError, match="no question for a task; got omr"):
        with_questions(frame, {"poe": "?"})


@pytest.mark.parametrize("suffix", ["yaml", "yml", "json"])
def test_instructions_by_released_or_own_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"words.{suffix}"
    path.write_text(json.dumps({"ED_ICU_Tranfer_12hour": "One?", "omr": " Two?\n"}), "utf-8")
    found = load_instructions(path, tasks())
    assert found == {"ed_icu_transfer_12h": "One?", "omr": " Two?\n"}


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_instructions_out_of_released_rows(tmp_path: Path, name: str) -> None:
    named = ("labevents", "icu_stay_7d", "ed_hospitalization")
    rows = [
        released_row(tasks()[task], ["no"], idx=idx, named=idx % 2 == 0)
        for task in named
        for idx in range(3)
    ]
    path = write_rows(tmp_path / name, [*rows, "broken\n"])
    found = load_instructions(path, tasks())
    assert found == {task: wording(tasks()[task]) for task in named}


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.yaml", "{labevent: What?}", "unknown task 'labevent'. Did you mean 'labevents'?"),
        ("a.yaml", "{ICU_Mortality_1days: x}", "Did you mean 'ICU_Mortality_1day'?"),
        ("a.yaml", "{omr: 3}", "'omr' has no instruction text"),
        ("a.yaml", "{omr: ' '}", "'omr' has no instruction text"),
        ("a.yaml", "{ICU_Stay_7day: a, icu_stay_7d: b}", "stands twice, with two instructions"),
        ("a.yaml", "- omr", "holds no instructions"),
        ("a.yaml", "", "holds no instructions"),
        ("a.json", "{", "is not JSON. Released rows, one a line, are to end in .jsonl"),
        ("a.csv", "omr,What?", "cannot tell what it is; expected .yaml, .json or .jsonl"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_instructions(path, tasks())
    assert sentence in str(caught.value)


def test_absent_files_and_rows_that_ask_in_two_ways(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the file"):
        load_instructions(tmp_path / "absent.json", tasks())
    row = released_row(tasks()["omr"], ["BMI"])
    path = write_rows(tmp_path / "rows.jsonl", [row, row | {"instruction": "Other?", "idx": 2}])
    with pytest.raises(ConfigError, match="its rows put task omr in two ways"):
        load_instructions(path, tasks())
