"""One prompt, its answer, and what of the chart it does not show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ehrlich.base.errors import DataError
from ehrlich.charts.timeline import Charts
from ehrlich.prompts.blocks import read_mapped
from ehrlich.prompts.dataset import Prompts
from ehrlich.prompts.show import show_text


def plans(finished: Path, task: str = "*") -> list[dict[str, Any]]:
    frames = [read_mapped(path) for path in sorted(finished.glob(f"plans/{task}/*.arrow"))]
    return pl.concat(frames).to_dicts()


def left_out(text: str) -> dict[str, int]:
    """Reason → its first number."""
    lines = text.partition("--- left out\n")[2].split("\n")
    pairs = (line.partition(": ") for line in lines)
    return {
        head: int(found.group().replace(",", ""))
        for head, _, said in pairs
        if (found := re.match(r"[\d,]+", said))
    }


def test_a_case_shows_prompt_answer_and_what_was_left_out(finished: Path) -> None:
    case = plans(finished, "labevents")[0]
    text = show_text(finished, case["case_id"])
    head = f"case {case['case_id']}: labevents, {case['split']}, asked at {case['prediction_time']}"
    assert text.startswith(head + "\n\n## Patient\n")
    assert case["question"] in text
    assert "\n--- answer\n" + "\n".join(case["answer"]) + "\n\n--- left out\n" in text


def test_the_prompt_shown_is_the_prompt(finished: Path) -> None:
    prompts = Prompts.open(finished)
    for case in plans(finished)[::40]:
        found = prompts.find(case["case_id"])
        assert found is not None
        (row,) = prompts.rows(*found).to_dicts()
        assert f"\n\n{row['content']}\n\n--- answer" in show_text(finished, case["case_id"])


def test_what_is_not_shown_is_counted_by_reason(finished: Path) -> None:
    prompts = Prompts.open(finished)
    charts = Charts(Path(prompts.manifest.inputs["charts"]))
    for case in plans(finished)[::40]:
        found = prompts.find(case["case_id"])
        assert found is not None
        rows = charts.read(found[0].shard).filter(subject_id=case["subject_id"])
        later = rows.filter(
            pl.max_horizontal("time", "avail_time") > case["prediction_time"]
        ).height  # fmt: skip
        counts = left_out(show_text(finished, case["case_id"]))
        assert counts["not known at that time"] == later
        assert counts["cut by the budget"] == case["events_cut"]
        assert counts["written as they stood then"] == sum(case["live"])


def test_what_the_task_hides_is_counted_by_table(finished: Path) -> None:
    for case in plans(finished, "ed_reattendance_3d"):
        text = show_text(finished, case["case_id"])
        if left_out(text)["hidden by the task"]:
            assert re.search(r"hidden by the task: \d+ measurements \(.*\d+ (admissions|poe|transfers|services)", text)  # noqa: E501 # fmt: skip
            return
    pytest.fail("no case of the hospital hides anything")


def test_sections_that_were_cut_are_named(finished: Path) -> None:
    cases = [case for case in plans(finished) if case["sections_cut"]]
    assert cases
    text = show_text(finished, cases[0]["case_id"])
    assert f"cut of notes: {', '.join(cases[0]['sections_cut'])}" in text


def test_no_such_case(finished: Path) -> None:
    with pytest.raises(DataError, match="no prompt of that case"):
        show_text(finished, "no-such")
