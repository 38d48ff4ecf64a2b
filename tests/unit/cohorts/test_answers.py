"""What is read from outputs as models write them."""

from __future__ import annotations

import polars as pl
import pytest

from ehrlich.cohorts.answers import (
    AnswerStatus,
    Generation,
    known_items,
    normalise,
    parse_frame,
    parse_items,
    parse_text,
    parse_yes_no,
)

CUT = Generation(at_limit=True)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("Sodium\nPotassium", ["Sodium", "Potassium"]),
        ("- Sodium\n* Urea\n\u2022Chloride\n\u2013 pH", ["Sodium", "Urea", "Chloride", "pH"]),
        ("1. Sodium\n2) Potassium\n(3) pH\n4.Urea", ["Sodium", "Potassium", "pH", "Urea"]),
        ("a. Sodium\nb) Potassium", ["Sodium", "Potassium"]),
        ("- 1. Sodium\n- 2. Potassium", ["Sodium", "Potassium"]),
        ("**Sodium**\n`Urea`\n\u201cpH\u201d\n*Iron*", ["Sodium", "Urea", "pH", "Iron"]),
        ("1. **Urea** (high)\n2. pH", ["Urea (high)", "pH"]),
        ("Sodium\n- pH", ["Sodium", "pH"]),
        ("Here is the list:\n\n- Sodium\n- pH\n\nThese are routine.", ["Sodium", "pH"]),
        ("The next tests:\nSodium\npH", ["Sodium", "pH"]),
        ("1. **Electrolytes:**\n   - Sodium\n   - pH", ["Sodium", "pH"]),
        ("Sodium,\nPotassium,\npH", ["Sodium", "Potassium", "pH"]),
        ("Sure:\n```text\nSodium\npH\n```\nGood luck", ["Sodium", "pH"]),
        ("```\nSodium\npH", ["Sodium", "pH"]),
        ("---\nSodium\n***\npH\n- ", ["Sodium", "pH"]),
        ("He is ill.\n\nFinal Results:\nSodium\npH", ["Sodium", "pH"]),
        ("Answer: no\n## **Final Answer**\nSodium", ["Sodium"]),
        ("**Answer: Sodium**", ["Sodium"]),
        ("**Final Answer:** *NF* Ertapenem", ["*NF* Ertapenem"]),
        ("So the answer is: Sodium", ["Sodium"]),
        ("<answer>\nSodium\npH\n</answer> I hope", ["Sodium", "pH"]),
        (r"Sodium\npH", ["Sodium", "pH"]),
        ("Sodium\r\npH\r", ["Sodium", "pH"]),
        ("Sodium<|im_end|>", ["Sodium"]),
        ("Sodium\nsodium", ["Sodium", "sodium"]),
    ],
)  # fmt: skip
def test_items_without_their_decoration(text: str, items: list[str]) -> None:
    answer = parse_items(text)
    assert answer.status == AnswerStatus.OK
    assert list(answer.items) == items


@pytest.mark.parametrize(
    "name",
    [
        "Heparin, porcine; flush", "*NF* Ertapenem Sodium", "0.9% Sodium Chloride",
        "24 hr Creatinine", "25-OH Vitamin D", "C. difficile PCR", "% Hemoglobin A1c",
        '"Light-for-dates" without mention', "Sodium Acetate.", "pregnancy,", "(Albumin) 25%",
        "I was present during the above procedure", "Anti-A*_b_ titre",
    ],
)  # fmt: skip
def test_names_that_look_like_decoration_stay_whole(name: str) -> None:
    assert parse_items(name).items == (name,)
    assert parse_items(f"{name}\nH. pylori IgG Ab").items == (name, "H. pylori IgG Ab")
    assert parse_items(f"1. {name}\n2. pH").items == (name, "pH")


def test_known_names_settle_doubts() -> None:
    known = known_items(["Sodium", "pH", "labevents", "1. Odd", "Heparin, porcine", ""])
    assert parse_items("Sodium, PH, and sodium.", known=known).items == ("Sodium", "PH", "sodium")
    assert parse_items("Sodium; Heparin, porcine", known=known).items[1] == "Heparin, porcine"
    assert parse_items("Sodium, pH,", known=known).items == ("Sodium", "pH")
    assert parse_items("Sodium, gold", known=known).items == ("Sodium, gold",)
    assert parse_items("Sodium, pH").items == ("Sodium, pH",)
    assert parse_items("Sodium, pH\nHeparin", known=known).items == ("Sodium, pH", "Heparin")
    assert parse_items("Heparin, porcine", known=known).items == ("Heparin, porcine",)
    assert parse_items("labevents.", known=known).items == ("labevents",)
    assert parse_items("labevents.").items == ("labevents.",)
    assert parse_items("1. Odd\n2. pH", known=known).items == ("1. Odd", "pH")


@pytest.mark.parametrize(
    ("text", "generation", "status", "reasoning"),
    [
        ("<think>why</think>\n\nSodium", Generation(), "ok", "why"),
        ("<THINK>why</Think>Sodium", Generation(), "ok", "why"),
        ("why\n</think>\nSodium", Generation(think_opened=True), "ok", "why"),
        ("<think></think>Sodium", Generation("apart"), "ok", "apart"),
        ("<think>a</think>x<think>b</think>Sodium", Generation(), "ok", "axb"),
        ("<think>Sodium", Generation(), "unparsed", "Sodium"),
        ("<think>Sodium", CUT, "overlong", "Sodium"),
        ("Sodium", Generation(think_opened=True), "unparsed", "Sodium"),
        ("a</think>Sodium<think>", Generation(), "unparsed", "a</think>Sodium<think>"),
        ("<think>a</think>", Generation(), "unparsed", "a"),
        ("Sodium", CUT, "overlong", None),
        ("", CUT, "overlong", None),
        (" \n- \n", Generation(), "unparsed", None),
        ("Sodium\nAnswer:", Generation(), "unparsed", None),
        ("I'm sorry, but I cannot help with that.", Generation(), "refused", None),
        ("I cannot provide medical advice.\nAsk a doctor.", Generation(), "refused", None),
        ("As an AI language model, I do not", Generation(), "refused", None),
        ("Unfortunately, I\u2019m unable to say", Generation(), "refused", None),
        ("I'm sorry, but:\n- Sodium\n- pH", Generation(), "ok", None),
    ],
)
def test_status(text: str, generation: Generation, status: str, reasoning: str | None) -> None:
    answer = parse_items(text, generation)
    assert answer.status == status
    if "</think>Sodium<think>" not in text:
        assert answer.reasoning == reasoning
    if status == "ok":
        assert answer.items[0] == "Sodium"
    if status in ("refused", "unparsed"):
        assert answer.items == ()


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("yes", True), ("No.", False), (" YES!\n", True), ("**No**", False), ("`yes`", True),
        ("- yes", True), ("1. Yes", True), ("> no", False), ("(no)", False),

        ("\u201cNo\u201d", False),
        ("Answer: Yes.", True), ("**Answer**: **no**.", False), ("Answer (yes/no): no", False),
        ("Final Results:\nyes", True), ("The answer is yes.", True),
        (r"\boxed{\text{No}}", False),
        ("On the whole, the final answer is: **no**", False), ("<answer>yes</answer>", True),
        ("yes, because he is ill", True), ("Yes. No fever is seen.", True), ("yes it is", True),
        ("no, the patient", False), ("No because stable", False), ("No - stable", False),
        ("No, I am not sure", False), ("no\n\nreason", False), ("No. Not a risk", False),
        ("He is ill.\nYes may be too much.\n**Yes**", True), ("yes yes", True),
        ("<think>no</think>\n\nyes", True), ("yes<|im_end|>", True),
    ],
)  # fmt: skip
def test_yes_and_no(text: str, answer: bool) -> None:
    read = parse_yes_no(text)
    assert (read.status, read.answer) == (AnswerStatus.OK, answer)


@pytest.mark.parametrize(
    "text",
    [
        "yes and no", "yes or no", "yes/no", "Yes, no", "no yes", "Yes\nNo", "No. Yes.",
        "yes, but no",
        "not sure", "note", "nothing", "none", "normal", "yesterday", "no idea", "**no** idea",
        "no evidence of it", "no-one", "no's", "maybe yes", "N o", "The answer is not yes", "",
        "Answer: not sure", "<think>yes", "Yes.\nAnswer:",
    ],
)  # fmt: skip
def test_neither_yes_nor_no(text: str) -> None:
    read = parse_yes_no(text)
    assert (read.status, read.answer) == (AnswerStatus.UNPARSED, None)


def test_yes_no_at_the_limit_and_refused() -> None:
    assert parse_yes_no("yes", CUT).status == AnswerStatus.OK
    assert parse_yes_no("The patient", CUT).status == AnswerStatus.OVERLONG
    assert parse_yes_no("<think>yes", CUT).status == AnswerStatus.OVERLONG
    assert parse_yes_no("I cannot say yes").status == AnswerStatus.REFUSED


def test_a_text_keeps_its_headings_and_lists() -> None:
    note = "Results: fine\n\n- Sodium 140\nAnswer: none"
    assert parse_text(f"<think>x</think>\n{note}\n").items == (note,)
    assert parse_text("<think>x").status == AnswerStatus.UNPARSED
    assert parse_text(" ").status == AnswerStatus.UNPARSED
    assert parse_text("I cannot write this.").status == AnswerStatus.REFUSED
    assert parse_text("Name: ", CUT).status == AnswerStatus.OVERLONG


def test_a_frame_of_outputs() -> None:
    outputs = pl.DataFrame(
        {
            "case_id": [1, 2, 3, 4, 5],
            "output": ["<think>a</think>yes", "No", None, "no", "The"],
            "reasoning": [None, "b", None, None, None],
            "finish_reason": ["stop", "length", "stop", "stop", "length"],
            "status": [None, None, None, "error", None],
        }
    )
    read = parse_frame(outputs, "yes_no")
    assert read["status"].to_list() == ["ok", "ok", "unparsed", "error", "overlong"]
    assert read["answer"].to_list() == [True, False, None, None, None]
    assert read["reasoning"].to_list() == ["a", "b", None, None, None]
    assert read["items"].to_list() == [None] * 5
    read = parse_frame(outputs.select("case_id", "output"), "items")
    assert read["items"].to_list() == [["yes"], ["No"], [], ["no"], ["The"]]
    assert read.schema["items"] == pl.List(pl.String)
    assert parse_frame(outputs.select("output"), "text")["items"].to_list()[0] == ["yes"]
    empty = parse_frame(outputs.clear(), "items")
    assert empty.schema == parse_frame(outputs, "items").schema


def test_normal_form() -> None:
    assert normalise(" Sodium\u00a0 Chloride\t0.9%  Flush ") == "sodium chloride 0.9% flush"
