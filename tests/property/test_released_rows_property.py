"""Whatever stands on the lines of a file, reading it counts every line and ends."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mini_charts import tasks
from tests.mini_released import released_row

from ehrlich.base.errors import DataError
from ehrlich.prompts.released_rows import read_released

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KEYS = ("idx", "instruction", "input", "output", "candidates", "task_info", "task", "reasoning")
NAMES = st.sampled_from(sorted(tasks()))


@st.composite
def rows(draw: st.DrawFn) -> Any:
    """A good row in which some keys are anything, or are gone."""
    name = draw(NAMES)
    answer = draw(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1))
    row = released_row(tasks()[name], ["yes"] if tasks()[name].kind == "risk" else answer)
    row |= draw(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=2))
    for key in draw(st.sets(st.sampled_from(KEYS), max_size=1)):
        row.pop(key, None)
    return row


LINES = st.lists(st.one_of(rows().map(json.dumps).map(str.encode), st.binary()), max_size=6)


@settings(max_examples=150)
@given(LINES)
def test_every_line_is_a_case_or_counted_with_a_reason(lines: list[bytes]) -> None:
    # What is read of a first line may look compressed; that file is refused, in a sentence.
    body = b"\n".join(line.replace(b"\n", b" ") for line in lines)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_bytes(body)
        try:
            found = read_released(path, tasks=tasks())
        except DataError:
            return
    seen = [line for line in body.split(b"\n") if line.strip()]
    assert found.rows == len(seen)
    assert found.cases.height + sum(found.dropped.values()) == found.rows
    assert found.cases["case_id"].n_unique() == found.cases.height
    assert found.cases["answer"].list.len().min() != 0
    assert found.cases.select("task", "prompt", "question").null_count().row(0) == (0, 0, 0)


ITEMS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1)
    .map(str.strip)
    .filter(lambda item: item and "\\n" not in item and "<" not in item and "final" not in item),
    min_size=1,
    unique=True,
)


@given(ITEMS, st.booleans())
def test_items_come_back_as_they_were(answer: list[str], chain: bool) -> None:
    row = released_row(tasks()["emar"], answer)
    if chain:
        row["output"] = f"<think>\nWhy.\n</think>\n\n{row['output']}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text(json.dumps(row), encoding="utf-8")
        case = read_released(path, tasks=tasks()).cases.to_dicts()[0]
    assert case["answer"] == answer
    assert case["reasoning"] == ("Why." if chain else None)
