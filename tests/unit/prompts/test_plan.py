"""Plans: what a prompt is made of, and that the reader makes the same text of it in any order."""

from __future__ import annotations

import polars as pl
import pytest
from tests.mini_charts import DAY, HOUR, Row, at, fillers, row
from tests.mini_prompts import (
    COUNTER,
    asked,
    full_chart,
    lab,
    loose,
    made,
    pieces_in,
    planned,
    planner,
    prompts,
    reader,
    told,
)

from ehrlich.prompts.plan import FACTS_MARGIN, LIVE_MARGIN, PIECES, Reader

CUTS = ["prompt_tokens", "uncut_tokens", "events_cut", "tokens_cut", "sections_cut"]


def order(minute: float, kind: str, subtype: str) -> Row:
    named = {"order_type": kind, "order_subtype": subtype}
    return told("poe", minute, kind, by_name=named, stay_id=5)


def emergency(*rows: Row) -> list[Row]:
    """A visit to the emergency department from minute 0 to 300."""
    return [
        told("edstays", 0, "WALK IN", end=300, stay_id=5, by_name={"arrival_transport": "WALK IN"}),
        *rows,
        told("ed_discharges", 300, "HOME", stay_id=5, by_name={"disposition": "HOME"}),
    ]


def test_a_plan_is_the_cases_with_their_pieces_and_cuts() -> None:
    frame, plan, _ = planned(full_chart(), loose("labevents"))
    cases = asked(frame, loose("labevents"))
    assert plan.select(cases.columns).equals(cases)
    assert plan.columns == [*cases.columns, *PIECES, *CUTS]
    for name, kind in PIECES.items():
        assert plan.schema[name] == pl.List(kind)
    lengths = plan.select(pl.col(list(PIECES)).list.len())
    assert all(len(set(line)) == 1 for line in lengths.iter_rows())


def test_pieces_come_as_the_prompt_shows_them() -> None:
    _, plan, blocks = planned(full_chart(), loose("readmission_30d"))
    (line,) = plan.to_dicts()
    assert line["part"] == ["last_discharge", "admission", *["context"] * (len(line["part"]) - 2)]
    assert line["event"][2:] == sorted(line["event"][2:])
    (pieces,) = pieces_in(plan, blocks)
    assert [piece["table"] for piece in pieces[:2]] == ["discharge", "admissions"]
    assert len(set(line["event"])) == len(line["event"])
    assert blocks.blocks["event"].gather(line["block"]).to_list() == line["event"]


def test_without_a_tokenizer_nothing_is_counted_or_cut() -> None:
    frame, blocks = made(full_chart())
    plan = planner(frame, blocks, max_tokens=10).plan(
        asked(frame, loose("labevents")), loose("labevents")
    )
    assert plan["prompt_tokens"].is_null().all()
    assert plan["uncut_tokens"].is_null().all()
    assert plan["events_cut"].sum() == 0
    assert plan["limit"].list.drop_nulls().list.len().sum() == 0


def test_tokens_are_those_of_pieces_facts_question_and_what_stands_around() -> None:
    frame, blocks = made(full_chart(), counter=COUNTER)
    cases = asked(frame, loose("labevents"))
    plans = [
        planner(frame, blocks, counts=True, around=around).plan(cases, loose("labevents"))
        for around in (0, 100)
    ]
    assert (plans[1]["prompt_tokens"] - plans[0]["prompt_tokens"]).to_list() == [100, 100]
    for line, pieces in zip(plans[0].to_dicts(), pieces_in(plans[0], blocks), strict=True):
        tokens = sum(piece["tokens"] + LIVE_MARGIN * piece["live"] for piece in pieces)
        facts = blocks.facts["tokens"][0]
        (question,) = COUNTER.count([line["question"]])
        assert line["prompt_tokens"] == tokens + facts + question + FACTS_MARGIN
        assert line["uncut_tokens"] == line["prompt_tokens"]


def test_only_events_that_had_not_settled_are_written_anew() -> None:
    rows = [
        told("admissions", 0, "URGENT", encounter_id=7, end=DAY),
        told("inputevents", 60, "Heparin", end=300, numeric_value=500.0, encounter_id=7),
        told("transfers", 90, "Medicine", encounter_id=7),
        lab(120, "Lactate", 2.2, known=150),
        told("transfers", 180, "Surgery", encounter_id=7),
        lab(200, "Asked"),
        told("transfers", 310, "Surgery", encounter_id=7),
        lab(400, "Asked"),
    ]
    _, plan, blocks = planned(rows, loose("labevents"))
    live = [
        {piece["table"]: piece["live"] for piece in pieces}
        for pieces in pieces_in(plan.tail(2), blocks)
    ]
    assert live[0]["inputevents"]
    assert not live[1]["inputevents"]
    assert not any(line["labevents"] or line["transfers"] for line in live)


def test_an_event_whose_first_result_is_not_known_is_no_piece() -> None:
    rows = [
        told("admissions", 0, "URGENT", encounter_id=7, end=DAY),
        *fillers(7, 10, 20),
        lab(60, "Late", 1.0, known=500),
        told("transfers", 90, "Medicine", encounter_id=7),
        lab(400, "Asked"),
    ]
    frame, plan, _ = planned(rows, loose("labevents"))
    assert plan["prediction_time"][-1] < at(400)
    event = frame.filter(item="Late")["event"][0]
    assert event not in plan["event"][-1]


def test_return_to_the_ed_hides_adt_orders_among_other_orders() -> None:
    rows = emergency(
        order(60, "ADT orders", "Admit"),
        order(60, "Lab", "Blood"),
        order(120, "ADT orders", "Transfer"),
        lab(150, "Sodium", 1.0, encounter_id=None),
        order(180, "Lab", "Urine"),
        order(180, "Lab", "Blood"),
    )
    (text,) = prompts(rows, loose("ed_reattendance_3d"))
    assert "ADT orders" not in text
    assert "Admit" not in text
    assert "Transfer" not in text
    assert "## Order [2150-01-01 01:00:00]\n- Order: Lab\n- Kind: Blood" in text
    assert "| Lab | Urine |  |\n| Lab | Blood |  |" in text
    (others,) = prompts(rows, loose("ed_hospitalization"))
    assert "ADT orders" not in others or "Admit" in others


def test_a_task_that_hides_nothing_of_it_shows_a_mixed_event_as_its_block() -> None:
    _, plan, blocks = planned(full_chart(), loose("readmission_30d"))
    (pieces,) = pieces_in(plan, blocks)
    assert [piece["live"] for piece in pieces if piece["table"] == "poe"] == [False]
    assert "| ADT orders | Admit |" in prompts(full_chart(), loose("readmission_30d"))[0]


def test_the_reader_makes_the_same_text_of_any_rows_in_any_order() -> None:
    rows = [*full_chart(), *(lab(hour * HOUR, "More", float(hour)) for hour in range(9, 20))]
    _, plan, blocks = planned(rows, loose("labevents"))
    whole = reader().charts(plan, blocks).to_list()
    assert len(set(whole)) == len(whole) > 2
    places = [*[*range(plan.height)][::-1], 0, 0, 1]
    assert reader().charts(plan[places], blocks).to_list() == [whole[place] for place in places]
    for place in range(plan.height):
        assert reader().charts(plan[place], blocks).to_list() == [whole[place]]


def test_no_cases_have_no_charts() -> None:
    _, plan, blocks = planned(full_chart(), loose("labevents"))
    assert reader().charts(plan.clear(), blocks).to_list() == []


def test_a_case_of_a_subject_without_facts_or_context_has_a_heading() -> None:
    rows = [lab(60, "Asked"), *fillers(7, 600)]
    (text,) = prompts(rows, loose("labevents"))
    assert text == "## Patient"


def test_released_charts_leave_an_empty_text_for_each_absent_part() -> None:
    rows = [lab(60, "Asked", policy="compat"), lab(90, "Then", policy="compat")]
    texts = prompts(rows, loose("labevents", "compat"), "compat")
    assert all(text.startswith("## Patient Demographics\n\n\n\n\n\n") for text in texts)


def test_notes_are_the_tables_whose_events_are_texts() -> None:
    assert reader().notes == {"radiology", "discharge"}
    assert reader("compat").notes == frozenset()


def test_a_reader_that_cannot_count_cuts_nothing() -> None:
    assert isinstance(reader(), Reader)
    with pytest.raises(AssertionError, match="without a tokenizer"):
        reader().cutter.count(["a"])


def test_facts_are_as_old_as_the_case_asks() -> None:
    rows = [
        row("births", -1),
        told("admissions", 0, "URGENT", encounter_id=7, end=900 * DAY),
        *(lab(days * DAY, "Asked") for days in (2, 370, 800)),
    ]
    ages = [
        text.partition("- Age: ")[2].split("\n")[0] for text in prompts(rows, loose("labevents"))
    ]
    assert ages == ["0", "1", "2"]
