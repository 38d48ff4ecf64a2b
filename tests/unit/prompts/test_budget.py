"""Prompts within their tokens: what goes, in which order, what never goes, what is written down."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import polars as pl
import pytest
from tests.mini_charts import DAY, HOUR, Row
from tests.mini_prompts import COUNTER, asked, lab, loose, made, pieces_in, planner, reader, told

from ehrlich.base.errors import DataError
from ehrlich.cohorts.task import Task
from ehrlich.prompts.budget import Cutter, nothing_cut, within_budget
from ehrlich.prompts.chat_policy import load_policy
from ehrlich.prompts.messages import around, encode
from ehrlich.prompts.plan import FACTS_MARGIN, LIVE_MARGIN, Reader
from ehrlich.prompts.render import BETWEEN
from ehrlich.prompts.rows import prompt_rows

QWEN = load_policy("qwen3")
LONG = "  ".join(
    f"On day {n} the creatinine was {n * 37 % 50 / 10} mg/dL; stable." for n in range(9)
)
SUMMARY = "\n".join(
    f"{name}:\n{LONG}"
    for name in (
        "Major Surgical or Invasive Procedure", "Allergies", "History of Present Illness",
        "Past Medical History", "Physical Exam", "Brief Hospital Course",
        "Discharge Medications", "Followup Instructions",
    )
)  # fmt: skip
REPORT = f"INDICATION: fever.\nTECHNIQUE: {LONG}\nFINDINGS: {LONG}\nIMPRESSION: pneumonia."


def chart(*, reports: bool = True) -> list[Row]:
    """An earlier note, twelve draws of several tests, four reports, an infusion that goes on."""
    own: dict[str, Any] = {"encounter_id": 7}
    rows = [
        told("patients", None, by_name={"gender": "F"}),
        told("births", -95 * 365 * DAY),
        told("discharge", -9 * DAY, "DS", encounter_id=3, text_value=SUMMARY),
        told("admissions", 0, "URGENT", end=2 * DAY, by_name={"admission_type": "URGENT"}, **own),
        told("inputevents", 90, "Heparin", end=2 * DAY, numeric_value=500.0, unit="u",
             by_name={"rate": "100", "rateuom": "u/h", "amount": "500"}, **own),
    ]  # fmt: skip
    for hour in range(2, 14):
        rows += [
            lab(
                hour * HOUR, name, 4.0 + hour, unit="mmol/L", known=hour * HOUR + late, ref_high=5.0
            )
            for name, late in (
                ("Potassium", 5),
                ("Lactate", 5),
                ("Sodium", 5 if hour < 13 else 900),
            )
        ]
        if reports and hour % 3 == 0:
            rows.append(
                told(
                    "radiology",
                    hour * HOUR + 1,
                    text_value=REPORT,
                    by_name={"exam_name": "CHEST"},
                    known=hour * HOUR + 30,
                    **own,
                )
            )
    return [*rows, lab(14 * HOUR, "Asked")]


class Budgeted:
    """The last case of the chart under budgets."""

    def __init__(self, rows: list[Row], task: Task) -> None:
        self.frame, self.blocks = made(rows, counter=COUNTER)
        self.task, self.cases = task, asked(self.frame, task)[-1:]
        self.reader: Reader = reader(counts=True)
        assert COUNTER.tokenizer is not None
        before, after = around(COUNTER.tokenizer, QWEN, thinking=False)
        self.around = sum(COUNTER.count([before, after, BETWEEN]))
        self.plans: dict[int | None, pl.DataFrame] = {}

    def plan(self, max_tokens: int | None) -> dict[str, Any]:
        found: dict[str, Any] = self.planned(max_tokens).row(0, named=True)
        return found

    def planned(self, max_tokens: int | None) -> pl.DataFrame:
        if max_tokens not in self.plans:
            by = planner(
                self.frame, self.blocks, counts=True, max_tokens=max_tokens, around=self.around
            )
            self.plans[max_tokens] = by.plan(self.cases, self.task)
        return self.plans[max_tokens]

    def pieces(self, max_tokens: int | None) -> list[dict[str, Any]]:
        (found,) = pieces_in(self.planned(max_tokens), self.blocks)
        return found

    def text(self, max_tokens: int | None) -> str:
        return str(self.reader.charts(self.planned(max_tokens), self.blocks)[0])

    def ids(self, max_tokens: int | None) -> int:
        """Tokens of the whole conversation, as a server makes it."""
        rows = prompt_rows(
            self.planned(max_tokens), self.blocks, reader=self.reader, policy=QWEN, thinking=False
        )
        assert COUNTER.tokenizer is not None
        messages = rows["messages"][0].to_list()
        return len(encode(messages, tokenizer=COUNTER.tokenizer, policy=QWEN, thinking=False,
                          for_generation=True))  # fmt: skip

    def least(self) -> int:
        """The smallest budget that is not refused."""
        with pytest.raises(DataError) as refused:
            self.plan(1)
        return int(str(refused.value).partition("at least ")[2].split()[0].strip(".;)").replace(",", ""))  # noqa: E501 # fmt: skip


@cache
def budgeted(name: str = "labevents") -> Budgeted:
    return Budgeted(chart(), loose(name))


def budgets(case: Budgeted, count: int) -> list[int]:
    """From the least to a little more than all, in even steps, and some at random."""
    least, most = case.least(), case.plan(None)["uncut_tokens"] + 40
    draw = random.Random(3)
    even = [least + (most - least) * step // count for step in range(count + 1)]
    return sorted({*even, *(draw.randint(least, most) for _ in range(count // 2))})


# --- whole prompts ----------------------------------------------------------------------------


def test_real_tokens_are_never_above_the_budget() -> None:
    case = budgeted()
    for budget in budgets(case, 30):
        plan = case.plan(budget)
        real = case.ids(budget)
        assert real <= budget, budget
        assert real <= plan["prompt_tokens"] <= budget, budget


def test_tokens_that_were_counted_are_near_the_real_ones() -> None:
    case = budgeted()
    assert 0 <= case.plan(None)["uncut_tokens"] - case.ids(None) <= 40


def test_context_goes_oldest_first_and_leaves_no_hole() -> None:
    case = budgeted()
    whole = case.plan(None)
    context = [
        n for n, part in zip(whole["event"], whole["part"], strict=True) if part == "context"
    ]
    sizes = set()
    for budget in budgets(case, 30):
        plan = case.plan(budget)
        kept = [n for n, part in zip(plan["event"], plan["part"], strict=True) if part == "context"]
        assert kept == context[len(context) - len(kept) :], budget
        sizes.add(len(kept))
    assert {0, len(context)} < sizes
    assert len(sizes) > 8


def test_a_larger_budget_never_shows_less() -> None:
    case = budgeted()
    counts = [len(case.plan(budget)["event"]) for budget in budgets(case, 30)]
    assert counts == sorted(counts)


def test_facts_admission_and_question_stay_at_the_smallest_budget() -> None:
    case = budgeted()
    text = case.text(case.least())
    assert text == (
        "## Patient\n- Age: over 89\n- Sex: F\n\n## Admission [2150-01-01 00:00:00]\n- Type: URGENT"
    )


def test_a_budget_too_small_is_one_sentence_that_says_what_would_do() -> None:
    case = budgeted()
    least = case.least()
    with pytest.raises(DataError, match="too small for the facts, the admission and the question"):
        case.plan(least - 1)
    assert case.plan(least)["prompt_tokens"] <= least


def test_nothing_is_cut_where_all_fits() -> None:
    case = budgeted()
    whole = case.plan(None)
    same = case.plan(whole["uncut_tokens"])
    assert (same["events_cut"], same["tokens_cut"], same["sections_cut"]) == (0, 0, [])
    assert same["event"] == whole["event"]
    assert case.text(whole["uncut_tokens"]) == case.text(None)
    short = case.plan(whole["uncut_tokens"] - 1)
    assert short["events_cut"] or short["sections_cut"]


def test_every_cut_is_recorded() -> None:
    case = budgeted()
    whole = case.plan(None)
    size = {
        piece["event"]: piece["tokens"] + LIVE_MARGIN * piece["live"] for piece in case.pieces(None)
    }
    for budget in budgets(case, 30):
        plan = case.plan(budget)
        gone = set(whole["event"]) - set(plan["event"])
        assert plan["events_cut"] == len(gone)
        assert plan["tokens_cut"] == sum(size[event] for event in gone)
        assert plan["uncut_tokens"] == whole["uncut_tokens"]
        limited = [limit for limit in plan["limit"] if limit is not None]
        assert bool(limited) == bool(plan["sections_cut"])


def test_the_sections_recorded_are_those_that_the_text_says_were_left_out() -> None:
    case = budgeted()
    seen = False
    for budget in budgets(case, 30):
        text, names = case.text(budget), case.plan(budget)["sections_cut"]
        said = {
            name for line in text.split("\n") if line.startswith("[Left out: ")
            for name in line.removeprefix("[Left out: ").removesuffix("]").split(", ")
        }  # fmt: skip
        assert sorted(said) == names
        seen |= len(names) > 3
    assert seen


def test_the_earlier_note_has_a_third_and_keeps_the_course_and_medications_longest() -> None:
    case = budgeted()
    for budget in budgets(case, 30):
        plan = case.plan(budget)
        pieces = dict(zip(plan["part"], plan["limit"], strict=True))
        if pieces.get("last_discharge") is None:
            continue
        free = budget - case.least()
        assert pieces["last_discharge"] >= free // 3
        text = case.text(budget)
        if "History of Present Illness:" in text:
            assert "Discharge Medications:" in text
        if "Discharge Medications:" in text:
            assert "Brief Hospital Course:" in text


def test_the_earlier_note_has_what_a_small_context_leaves() -> None:
    case = Budgeted(
        [
            line
            for line in chart(reports=False)
            if line["table"] != "labevents" or line["item"] == "Asked"
        ],
        loose("labevents"),
    )
    whole = case.plan(None)["uncut_tokens"]
    plan = case.plan(whole - 100)
    assert plan["events_cut"] == 0
    note = plan["limit"][plan["part"].index("last_discharge")]
    assert note > (whole - case.least()) / 2


def test_the_context_has_what_a_short_note_leaves() -> None:
    rows = [line | ({"text_value": "well"} if line["table"] == "discharge" else {}) for line in chart()]  # noqa: E501 # fmt: skip
    case = Budgeted(rows, loose("labevents"))
    for budget in budgets(case, 10):
        plan = case.plan(budget)
        if plan["events_cut"] and "last_discharge" in plan["part"]:
            # Room that is left is less than the next event would take.
            whole = case.plan(None)
            assert whole["part"][-1] == "context"
            assert budget - plan["prompt_tokens"] < max(p["tokens"] for p in case.pieces(None))


def test_a_report_of_the_context_is_cut_by_sections_and_is_the_oldest_that_stays() -> None:
    case = budgeted()
    found = 0
    for budget in budgets(case, 30):
        context = [piece for piece in case.pieces(budget) if piece["part"] == "context"]
        limited = [place for place, piece in enumerate(context) if piece["limit"] is not None]
        assert limited in ([], [0])
        if limited:
            found += 1
            assert context[0]["table"] == "radiology"
            assert "IMPRESSION: pneumonia." in case.text(budget)
    assert found


def test_only_notes_are_cut_in_parts() -> None:
    case = budgeted()
    for budget in budgets(case, 30):
        for piece in case.pieces(budget):
            assert piece["limit"] is None or piece["table"] in case.reader.notes


@pytest.mark.parametrize("name", ["readmission_30d", "inpatient_mortality"])
def test_other_tasks_too_stay_within_their_budget(name: str) -> None:
    own = [told("hospital_discharges", 2 * DAY, "HOME", numeric_value=0.0, encounter_id=7)]
    case = Budgeted([*chart(), *own], loose(name))
    for budget in budgets(case, 6):
        assert case.ids(budget) <= budget


def test_an_event_written_as_it_stood_is_counted_with_a_margin() -> None:
    case = budgeted()
    pieces = case.pieces(None)
    live = sum(piece["live"] for piece in pieces)
    assert live
    (question,) = COUNTER.count([case.plan(None)["question"]])
    counted = sum(piece["tokens"] for piece in pieces) + LIVE_MARGIN * live
    fixed = case.blocks.facts["tokens"][0] + question + FACTS_MARGIN + case.around
    assert case.plan(None)["uncut_tokens"] == counted + fixed


# --- the parts --------------------------------------------------------------------------------


def pieces(*lines: tuple[int, str, str, int]) -> pl.DataFrame:
    """_case, part, table, tokens; events by their place."""
    from ehrlich.cohorts.context import PART

    return pl.DataFrame(
        [
            (case, part, event, table, tokens)
            for event, (case, part, table, tokens) in enumerate(lines)
        ],
        schema={
            "_case": pl.UInt32,
            "part": PART,
            "event": pl.UInt32,
            "table": pl.String,
            "tokens": pl.UInt32,
        },
        orient="row",
    )


def shorten_to(room: int) -> Any:
    """Notes have one section of `room` tokens beside what may go."""

    def shorten(some: pl.DataFrame) -> pl.DataFrame:
        fits = pl.col("limit") >= room
        return some.with_columns(
            text=pl.when(fits).then(pl.lit("short")),
            left_out=pl.when(fits).then(pl.lit(["findings"])),
        )

    return shorten


def cut(frame: pl.DataFrame, *fixed: int, to: int, room: int = 10) -> tuple[list[int], list[Any]]:
    stay, cuts = within_budget(
        frame, pl.Series(fixed), max_tokens=to, notes=frozenset(["note"]), shorten=shorten_to(room)
    )
    return stay["event"].to_list(), cuts.rows()


def test_nothing_older_than_the_first_that_does_not_fit_stays() -> None:
    frame = pieces(*((0, "context", "lab", size) for size in (1, 50, 10, 10)))
    assert cut(frame, 0, to=30) == ([2, 3], [(2, 51, [])])
    assert cut(frame, 0, to=70) == ([1, 2, 3], [(1, 1, [])])
    assert cut(frame, 0, to=71) == ([0, 1, 2, 3], [(0, 0, [])])


def test_nothing_older_than_a_note_that_was_cut_stays() -> None:
    frame = pieces((0, "context", "lab", 1), (0, "context", "note", 50), (0, "context", "lab", 10))
    assert cut(frame, 0, to=30) == ([1, 2], [(1, 1, ["findings"])])
    assert cut(frame, 0, to=19) == ([2], [(2, 51, [])])


def test_cases_are_cut_each_by_itself() -> None:
    frame = pieces((0, "context", "lab", 10), (0, "context", "lab", 10), (2, "context", "lab", 15))
    found = cut(frame, 5, 20, 10, to=20)
    assert found == ([1], [(1, 10, []), (0, 0, []), (1, 15, [])])


def test_the_admission_is_never_cut_but_makes_room_smaller() -> None:
    frame = pieces((0, "admission", "lab", 15), (0, "context", "lab", 10))
    assert cut(frame, 0, to=24) == ([0], [(1, 10, [])])
    with pytest.raises(DataError, match="at least 15"):
        cut(frame, 0, to=14)


def test_the_worst_of_several_cases_says_how_much_would_do() -> None:
    frame = pieces((1, "admission", "lab", 1_500))
    with pytest.raises(DataError, match=r"at least 1,700"):
        cut(frame, 100, 200, to=50)


def test_no_pieces_and_no_cases() -> None:
    assert cut(pieces(), 1, 2, to=5) == ([], [(0, 0, []), (0, 0, [])])
    assert cut(pieces(), to=5) == ([], [])
    assert nothing_cut(0).is_empty()
    assert nothing_cut(2).rows() == [(0, 0, []), (0, 0, [])]


def test_a_cutter_gives_each_note_its_own_text_whatever_the_block() -> None:
    """Blocks of several shards have the same numbers; one cutter serves them all."""
    cutter = Cutter(COUNTER.count)
    frame = pl.DataFrame({"block": [0], "live": [False], "text": [SUMMARY], "limit": [800]})
    (first,) = cutter.cut(frame)["text"]
    other = frame.with_columns(text=pl.lit(REPORT))
    (second,) = cutter.cut(other)["text"]
    assert "Brief Hospital Course" in first
    assert "Brief Hospital Course" not in second
    assert second.startswith("INDICATION")


def test_a_cutter_leaves_what_has_no_limit_and_gives_up_what_is_too_long() -> None:
    frame = pl.DataFrame({
        "block": [0, 1, 2], "live": [False, True, False], "text": [SUMMARY, REPORT, LONG],
        "limit": [None, 300, 3],
    })  # fmt: skip
    found = Cutter(COUNTER.count).cut(frame)
    assert found["text"][0] == SUMMARY
    assert "IMPRESSION" in found["text"][1]
    assert "technique" in found["left_out"][1].to_list()
    assert found["text"][2] is None
    assert found["left_out"].to_list()[::2] == [[], None]


def test_two_shards_in_one_process_keep_their_own_notes() -> None:
    """The reader is made once a process; each shard's blocks begin at 0."""
    shared = reader(counts=True)
    texts = []
    for word in ("first", "second"):
        rows = [
            line
            | (
                {"text_value": SUMMARY.replace("creatinine", word)}
                if line["table"] == "discharge"
                else {}
            )
            for line in chart()
        ]
        case = Budgeted(rows, loose("labevents"))
        assert case.reader is shared
        texts.append(case.text(case.least() + 900))
    assert "first" in texts[0]
    assert "second" in texts[1]
    assert "first" not in texts[1]
