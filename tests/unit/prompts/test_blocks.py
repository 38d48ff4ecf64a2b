"""Blocks: when an event is known, when it stops changing, what is kept of those that change."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.mini_charts import DAY, Row, at, row
from tests.mini_prompts import COUNTER, full_chart, lab, loose, made, prompts, told

from ehrlich.base.errors import DataError
from ehrlich.cohorts.task import Policy
from ehrlich.prompts.blocks import (
    PARTS,
    Blocks,
    folder_of,
    read_blocks,
    read_mapped,
    write_blocks,
    write_mapped,
)
from ehrlich.prompts.counting import Counter
from ehrlich.prompts.joining import SEPARATOR
from ehrlich.prompts.tokenizers import count_tokens


def blocks(*rows: Row, policy: Policy = "strict") -> Blocks:
    return made(list(rows), policy)[1]


def infusion(start: float, end: float | None, item: str = "Heparin", amount: str = "500") -> Row:
    named = {"amount": amount, "rate": "100", "rateuom": "u/h"}
    return told("inputevents", start, item, end=end, encounter_id=7, by_name=named,
                numeric_value=float(amount), unit="u")  # fmt: skip


def order(minute: float, kind: str) -> Row:
    return told("poe", minute, kind, by_name={"order_type": kind}, encounter_id=7)


# --- when -------------------------------------------------------------------------------------


def test_an_event_is_known_from_its_first_result_and_settled_with_its_last() -> None:
    made_of = blocks(lab(60, "Lactate", 2.2, known=75), lab(60, "Sodium", 141.0, known=120))
    (line,) = made_of.blocks.to_dicts()
    assert (line["known_from"], line["settled"]) == (at(75), at(120))
    assert not line["mixed"]


def test_what_is_known_when_it_happens_is_settled_at_once() -> None:
    made_of = blocks(lab(60, "Lactate", 2.2))
    assert made_of.blocks.select("known_from", "settled").row(0) == (at(60), at(60))
    assert made_of.lines.is_empty()


def test_an_end_settles_only_what_it_changes() -> None:
    assert blocks(infusion(60, 300)).blocks["settled"][0] == at(300)
    # Nothing of an order of tests that is shown comes with its end.
    ended = row("poe", 60, "Lab", end=300)
    assert blocks(ended).blocks["settled"][0] == at(60)


def test_an_event_settles_when_the_last_of_its_infusions_has_ended() -> None:
    made_of = blocks(infusion(60, 300), infusion(60, 200, "Insulin"), infusion(60, None, "Saline"))
    assert made_of.blocks["settled"].to_list() == [at(300)]


def test_an_infusion_without_end_never_tells_its_amount() -> None:
    (text,) = blocks(infusion(60, None)).blocks["text"]
    assert "500" not in text
    assert "- Rate: 100 u/h" in text


def test_in_released_charts_an_event_is_settled_when_it_is_known() -> None:
    named = {"amount": "500", "rate": "100"}
    line = told("inputevents", 60, "Heparin", policy="compat", end=300, by_name=named)
    made_of = blocks(line, policy="compat")
    assert made_of.blocks.select("known_from", "settled").row(0) == (at(60), at(60))
    assert made_of.lines.is_empty()
    assert "- Amount: 500.0" in made_of.blocks["text"][0]


def test_an_event_is_mixed_where_a_task_hides_some_of_it() -> None:
    rows = [order(60, "Lab"), order(60, "ADT orders"), lab(90, "Sodium"),
            order(120, "ADT orders"), lab(150, "Sodium"), order(180, "Lab")]  # fmt: skip
    assert blocks(*rows).blocks["mixed"].to_list() == [True, False, False, False, False]


def test_lines_are_kept_of_events_that_change_and_of_no_others() -> None:
    rows = [lab(60, "Lactate", 2.2, known=75), lab(60, "Sodium", 1.0, known=120),
            infusion(200, 300), order(400, "Lab"), order(400, "ADT orders"),
            lab(500, "Sodium", 1.0, known=600), lab(700, "Sodium", 1.0)]  # fmt: skip
    made_of = blocks(*rows)
    assert made_of.lines["event"].unique().to_list() == [0, 1, 2]
    assert made_of.lines.height == 5
    later = made_of.blocks["settled"] > made_of.blocks["known_from"]
    assert (later | made_of.blocks["mixed"]).arg_true().to_list() == [0, 1, 2]


def test_a_line_is_kept_before_and_after_its_end_where_the_end_changes_it() -> None:
    made_of = blocks(infusion(60, 300), lab(90, "Sodium", 1.0), order(400, "Lab"), order(400, "ADT orders"))  # noqa: E501 # fmt: skip
    heparin, first, second = made_of.lines.to_dicts()
    assert heparin["line"] == "| Heparin |  | 100 u/h |  |"
    assert heparin["line_closed"] == "| Heparin | 500 u | 100 u/h |  |"
    assert "500" not in heparin["list"]
    assert "- Amount: 500 u" in heparin["list_closed"]
    assert heparin["closes"] == at(300)
    for line in (first, second):
        assert (line["line_closed"], line["list_closed"], line["closes"]) == (None, None, None)


def test_blocks_are_by_subject_and_event_and_facts_stand_apart() -> None:
    other: dict[str, Any] = {"subject_id": 2}
    made_of = blocks(
        *full_chart(),
        told("patients", None, by_name={"gender": "M"}, **other), lab(60, "Sodium", 1.0, **other),
    )  # fmt: skip
    keys = made_of.blocks.select("subject_id", "event")
    assert keys.equals(keys.sort("subject_id", "event"))
    assert made_of.facts["subject_id"].to_list() == [1, 2]
    assert made_of.facts["born"].to_list() == [datetime(2097, 12, 31), None]
    assert not set(made_of.blocks["table"]) & {"patients", "births"}


def test_the_index_numbers_blocks_and_holds_no_text() -> None:
    made_of = made(full_chart(), counter=Counter("chart-8k", keep_ids=True))[1]
    assert made_of.index["block"].to_list() == list(range(made_of.blocks.height))
    assert not {"text", "ids"} & set(made_of.index.columns)


def test_tokens_are_those_of_the_text_and_the_blank_line_after_it() -> None:
    made_of = made(full_chart(), counter=COUNTER)[1]
    assert COUNTER.tokenizer is not None
    for part in (made_of.blocks, made_of.facts):
        texts = [text + SEPARATOR for text in part["text"]]
        assert part["tokens"].to_list() == count_tokens(texts, COUNTER.tokenizer)


# --- as it stood ------------------------------------------------------------------------------


def stood(minute: float, *rows: Row) -> str:
    """The prompt of a draw at a minute."""
    anchor = lab(minute, "Asked", known=minute + 10_000)
    admission = told("admissions", 0, "URGENT", encounter_id=7, end=9 * DAY)
    return prompts([admission, *rows, anchor], loose("labevents"))[-1]


def test_late_values_are_masked_before_the_end_and_shown_after() -> None:
    before, after = (stood(minute, infusion(60, 300)) for minute in (299, 301))
    assert "- Rate: 100 u/h" in before
    assert "500" not in before
    assert "- Amount: 500 u\n" in after


def test_an_end_at_the_time_itself_is_known_and_one_just_after_is_not() -> None:
    # A decision is asked a microsecond before its anchor.
    moment = 1 / 60_000_000
    before, after = (stood(minute, infusion(60, 300)) for minute in (300, 300 + moment))
    assert "500" not in before
    assert "- Amount: 500 u" in after


def test_a_table_of_two_is_a_list_while_one_is_known_and_none_before() -> None:
    draw = [told("microbiologyevents", 60, "CULTURE", encounter_id=7, known=known,
                 by_name={"test_name": "CULTURE", "org_name": name})
            for name, known in (("E. COLI", 90), ("YEAST", 120))]  # fmt: skip
    none, one, two = (stood(minute, *draw) for minute in (80, 100, 130))
    assert "Microbiology" not in none
    assert one.endswith("## Microbiology [2150-01-01 01:00:00]\n- Test: CULTURE\n- Organism: E. COLI")  # noqa: E501 # fmt: skip
    assert two.endswith("| CULTURE |  | E. COLI |  |  |  |  |  |\n| CULTURE |  | YEAST |  |  |  |  |  |")  # noqa: E501 # fmt: skip


def test_the_heading_has_the_time_of_the_first_row_that_could_be_seen() -> None:
    rows = [told("omr", minute, by_name={"result_name": name}, encounter_id=7, known=known)
            for minute, name, known in ((60, "late", 300), (61, "soon", 61))]  # fmt: skip
    assert made(rows)[1].blocks.height == 1
    for minute, time, names in ((100, "01:01:00", ["soon"]), (400, "01:00:00", ["late", "soon"])):
        _, found, event = stood(minute, *rows).partition("## Outpatient measurement ")
        assert found
        assert event.startswith(f"[2150-01-01 {time}]")
        assert [name for name in ("late", "soon") if name in event] == names


# --- files ------------------------------------------------------------------------------------


def test_blocks_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = made(full_chart(), counter=Counter("chart-8k", keep_ids=True))[1]
    folder = folder_of(tmp_path, "ehrlich", shard="train/0")
    write_blocks(written, folder)
    assert sorted(path.name for path in folder.iterdir()) == [f"{part}.arrow" for part in sorted(PARTS)]  # noqa: E501 # fmt: skip
    found = read_blocks(folder)
    for part in PARTS:
        assert getattr(found, part).equals(getattr(written, part))
    assert folder == tmp_path / "blocks" / "ehrlich" / "train" / "0"


def test_the_blocks_are_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ehrlich.prompts import blocks as module

    names: list[str] = []
    monkeypatch.setattr(module, "write_mapped", lambda frame, path: names.append(path.stem))
    write_blocks(blocks(lab(60, "Sodium")), tmp_path)
    assert sorted(names) == sorted(PARTS)
    assert names[-1] == "blocks"


def test_missing_blocks_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the blocks of these cases are missing") as refused:
        read_blocks(tmp_path)
    assert "--resume" in str(refused.value)


def test_a_file_that_is_no_arrow_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "blocks.arrow"
    path.write_bytes(b"no arrow" * 100)
    with pytest.raises(DataError, match="cannot be read as Arrow"):
        read_mapped(path)
    with pytest.raises(DataError, match="cannot be read as Arrow"):
        read_mapped(tmp_path / "none.arrow")


def test_a_cut_off_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "frame.arrow"
    write_mapped(pl.DataFrame({"a": list(range(1000))}), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="cannot be read as Arrow"):
        read_mapped(path)


def test_a_mapped_frame_is_the_frame_an_empty_one_too(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": ["x", None], "b": [[1, 2], []]})
    for place, each in enumerate((frame, frame.clear())):
        path = tmp_path / f"{place}.arrow"
        write_mapped(each, path)
        assert read_mapped(path).equals(each)
        assert read_mapped(path).schema == each.schema
