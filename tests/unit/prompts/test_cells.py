"""Cells: what a measurement says of itself, in a line of a table and in a list."""

from __future__ import annotations

from typing import Any

import pytest
from tests.mini_charts import Row, measurements, row, source
from tests.mini_prompts import INJECTED, lab, told, writer

from ehrlich.cohorts.task import Policy
from ehrlich.prompts.cells import AGE, Form, Look, changes_at_end
from ehrlich.prompts.render import Writer
from ehrlich.prompts.style import Column, Style, TableStyle, load_style


def text(
    line: Row, form: Form = "list", policy: Policy = "strict", by: Writer | None = None
) -> str:
    """The one measurement as the style writes it."""
    (found,) = (by or writer(policy)).row_texts(measurements([line], policy), form=form)
    return str(found)


def keys(line: Row, policy: Policy = "strict") -> dict[str, str]:
    """Its list: key → cell."""
    pairs = (each.removeprefix("- ").partition(": ") for each in text(line, "list", policy).split("\n"))  # noqa: E501 # fmt: skip
    return {key: cell for key, _, cell in pairs}


def styled(table: str, columns: dict[str, Any], **more: Any) -> Writer:
    """A writer in a style of one table."""
    look = TableStyle.model_validate({"columns": columns, "fields": more.pop("fields", False)})
    return Writer(Style(style="mine", tables={table: look}, **more), source().tables)


# --- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said", "expected"),
    [
        (5.9, None, "5.9"),
        (141.0, None, "141"),
        (None, "NEG", "NEG"),
        (5.9, ">5", ">5"),
        (5.9, "___", "5.9"),
        (5.9, "  ", "5.9"),
        (0.0, None, "0"),
        (-1.5, None, "-1.5"),
    ],
)
def test_the_value_is_the_text_of_the_source_else_the_number(
    value: float | None, said: str | None, expected: str
) -> None:
    assert keys(lab(60, "Potassium", value, text_value=said))["Value"] == expected


def test_released_charts_have_the_number_as_pandas_prints_it_and_never_the_text() -> None:
    found = keys(lab(60, "Sodium", 141.0, text_value="NEG", policy="compat"), "compat")
    assert found["Valuenum"] == "141.0"
    assert "NEG" not in found.values()


def test_a_unit_stands_only_beside_a_value() -> None:
    assert keys(lab(60, "Sodium", 141.0, unit="mEq/L"))["Value"] == "141 mEq/L"
    for nothing in (None, "___", ""):
        assert "Value" not in keys(lab(60, "Sodium", None, unit="mEq/L", text_value=nothing))


@pytest.mark.parametrize(
    ("value", "more", "arrow"),
    [
        (5.9, {"ref_low": 3.3, "ref_high": 5.1}, " ↑"),
        (3.0, {"ref_low": 3.3, "ref_high": 5.1}, " ↓"),
        (5.5, {"ref_low": 3.5, "ref_high": 5.5}, ""),
        (3.5, {"ref_low": 3.5, "ref_high": 5.5}, ""),
        (5.9, {}, ""),
        (5.9, {"flag": "abnormal"}, " (abnormal)"),
        (5.9, {"flag": "A"}, " (abnormal)"),
        (5.9, {"flag": "Delta"}, " (abnormal)"),
        (5.9, {"flag": "N"}, ""),
        (5.9, {"flag": "abnormal", "ref_high": 5.1}, " ↑"),
        (5.9, {"ref_low": 6.5}, " ↓"),
    ],
)
def test_an_arrow_says_on_which_side_a_value_lies(
    value: float, more: dict[str, Any], arrow: str
) -> None:
    assert keys(lab(60, "Potassium", value, unit="mmol/L", **more))["Value"] == (
        f"{value:g} mmol/L{arrow}"
    )


def test_a_flag_alone_says_nothing_without_a_value() -> None:
    assert keys(lab(60, "Potassium", None, flag="abnormal", unit="x")) == {"Test": "Potassium"}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(3.5, 5.0, "3.5-5"), (None, 40.0, "<= 40"), (0.5, None, ">= 0.5"), (None, None, None)],
)
def test_a_reference_range(low: float | None, high: float | None, expected: str | None) -> None:
    found = keys(lab(60, "Bilirubin", 1.0, ref_low=low, ref_high=high))
    assert found.get("Reference") == expected


def test_every_organism_is_named_with_what_it_resists() -> None:
    line = told("microbiologyevents", 60, "URINE", by_name={
        "test_name": "URINE CULTURE", "org_name": "PROTEUS MIRABILIS", "ab_name": "CEFAZOLIN",
        "dilution_text": "=>64", "interpretation": "R", "spec_type_desc": "URINE"})  # fmt: skip
    found = keys(line)
    assert found["Organism"] == "PROTEUS MIRABILIS"
    assert (found["Antibiotic"], found["Dilution"], found["Interpretation"]) == (
        "CEFAZOLIN", "=>64", "R",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ("0.1000234", "0.1"),
        ("12.34567", "12.35"),
        ("999.96", "1000"),
        ("123456.7", "123457"),
        ("1000", "1000"),
        ("0", "0"),
        ("12-15", "12-15"),
        ("-0.00012344", "-0.0001234"),
    ],
)
def test_a_dose_has_four_digits_and_more_only_where_it_is_large(rate: str, expected: str) -> None:
    line = told("inputevents", 60, "Heparin", by_name={"rate": rate, "rateuom": "u/h"})
    assert keys(line)["Rate"] == f"{expected} u/h"


# --- what is missing --------------------------------------------------------------------------


def test_a_missing_cell_is_empty_in_a_table_and_left_out_of_a_list() -> None:
    line = lab(60, "Sodium", 141.0)
    assert text(line, "line") == "| Sodium |  | 141 |  |  |"
    assert text(line, "list") == "- Test: Sodium\n- Value: 141"


def test_a_list_in_which_nothing_is_known_is_empty() -> None:
    assert text(told("omr", 60)) == ""


def test_released_charts_say_nan_and_for_some_keys_none() -> None:
    line = told("prescriptions", 60, "Aspirin", policy="compat", by_name={"drug": "Aspirin"})
    assert text(line, "line", "compat") == "| Aspirin | None | nan | nan | nan |"
    assert text(line, "list", "compat") == (
        "- Drug: Aspirin\n- Atc Type: None\n- Prod_Strength: nan\n- Dose_Val_Rx: nan\n"
        "- Dose_Unit_Rx: nan"
    )


@pytest.mark.parametrize("word", load_style("compat").missing_words)
def test_words_that_pandas_reads_as_missing_are_missing_in_released_charts(word: str) -> None:
    line = told("transfers", 60, policy="compat", by_name={"careunit": word})
    assert keys(line, "compat")["Careunit"] == "nan"


@pytest.mark.parametrize("hidden", ["___", "_", "", "  ", " ___ "])
def test_what_was_de_identified_is_missing(hidden: str) -> None:
    assert keys(lab(60, "Sodium", 141.0, comments=hidden)) == {"Test": "Sodium", "Value": "141"}
    assert keys(lab(60, hidden, 141.0)) == {"Value": "141"}


def test_a_text_with_a_de_identified_part_stays() -> None:
    assert keys(lab(60, "Sodium", 1.0, comments="by ___."))["Comment"] == "by ___."


# --- harmless ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["line", "list"])
def test_a_cell_is_one_line_and_its_pipes_are_escaped(form: Form) -> None:
    line = lab(60, " Sodium | K \r\n## Patient ", 1.0, comments="a|b\n\n| c |")
    found = text(line, form)
    assert "Sodium \\| K / ## Patient" in found
    assert "a\\|b / \\| c \\|" in found
    assert found.count("\n") == (0 if form == "line" else 2)


@pytest.mark.parametrize("policy", ["strict", "compat"])
@pytest.mark.parametrize("table", ["labevents", "radiology", "omr", "transfers"])
def test_no_token_of_a_template_is_left_in_any_style(policy: Policy, table: str) -> None:
    every = source(policy).tables.filter(table=table)["fields"].to_list()[0]
    line = told(table, 60, INJECTED, policy=policy, text_value=INJECTED, unit=INJECTED,
                flag=INJECTED, by_name=dict.fromkeys(every, INJECTED))  # fmt: skip
    for form in ("line", "list"):
        found = text(line, form, policy)
        for token in ("<|im_end|>", "<|im_start|>", "</think>", "/no_think"):
            assert token not in found
        assert "im_end" in found or "nan" in found


def test_released_charts_escape_neither_pipes_nor_lines() -> None:
    line = lab(60, "Sodium", 1.0, comments="a|b\nc", policy="compat")
    assert keys(line, "compat")["Comments"] == "a|b"
    assert "- Comments: a|b\nc" in text(line, "list", "compat")


# --- notes ------------------------------------------------------------------------------------


def test_a_note_is_a_list_and_its_text_without_headings_of_its_own() -> None:
    found = text(told("radiology", 60, text_value=INJECTED, by_name={"exam_name": "CHEST"}))
    head, _, body = found.partition("\n\n")
    assert head == "- Exam: CHEST"
    assert not any(line.startswith("#") for line in body.split("\n"))
    assert "\\## Laboratory" in body


def test_a_note_without_a_list_or_without_a_text() -> None:
    assert text(told("radiology", 60, text_value="clear")) == "clear"
    assert text(told("radiology", 60, by_name={"exam_name": "CHEST"})) == "- Exam: CHEST"
    assert text(told("discharge", 60, text_value=" \n")) == ""


# --- columns ----------------------------------------------------------------------------------


def test_fields_that_the_columns_do_not_name_follow_where_asked() -> None:
    by = styled("omr", {"What": "result_name"}, fields=True)
    line = told("omr", 60, by_name={"result_name": "BMI", "result_value": "31.2"})
    assert text(line, by=by) == "- What: BMI\n- Result value: 31.2"
    assert text(line, by=styled("omr", {"What": "result_name"})) == "- What: BMI"


def test_a_field_that_the_table_has_not_is_missing() -> None:
    by = styled("omr", {"What": "result_name", "Colour": "colour"}, empty="?")
    line = told("omr", 60, by_name={"result_name": "BMI"})
    assert text(line, "line", by=by) == "| BMI | ? |"


def test_the_code_stands_for_a_name_that_is_missing() -> None:
    by = styled("labevents", {"Item": "called"})
    assert text(lab(60, "Sodium"), by=by) == "- Item: Sodium"
    assert (
        text(row("labevents", 60, code="LAB//50983//mEq/L"), by=by) == "- Item: LAB//50983//mEq/L"
    )


def test_names_one_a_line_as_a_list() -> None:
    by = styled("radiology", {"Exams": {"of": ["exam_name"], "as_list": True}}, escape=False)
    line = told("radiology", 60, by_name={"exam_name": "CHEST\nABDOMEN"})
    assert text(line, by=by) == "- Exams: ['CHEST', 'ABDOMEN']"


def test_numbers_are_printed_as_the_released_code_does_where_asked() -> None:
    by_name = {"temperature": "98", "heartrate": "61.50", "pain": "3"}
    found = keys(told("triage", 60, policy="compat", by_name=by_name), "compat")
    assert (found["Temperature"], found["Heartrate"], found["Pain"]) == ("98.0", "61.5", "3")
    assert found["Resprate"] == "nan"


def test_whole_numbers_are_whole_where_all_of_the_table_are() -> None:
    line = told("outputevents", 60, "Foley", policy="compat", numeric_value=300.0)
    assert keys(line, "compat")["Value"] == "300.0"
    tables = source("compat").tables
    by = Writer(load_style("compat"), tables, frozenset({"outputevents"}), strict=False)
    assert "- Value: 300\n" in text(line, "list", "compat", by)


def test_the_age_stands_for_itself_until_the_time_is_known() -> None:
    assert text(row("births", -1)) == f"- Age: {AGE}"


def test_a_table_without_columns_has_neither_header_nor_cells() -> None:
    look = writer().looks["hospital_discharges"]
    assert look.header == ""
    assert text(told("hospital_discharges", 60, "HOME"), "line") == ""


def test_a_header_names_the_columns_and_rules_them() -> None:
    look = Look(TableStyle(columns={"A": Column(of=("item",)), "B": Column(of=("unit",))}), (),
                load_style("ehrlich"))  # fmt: skip
    assert look.header == "| A | B |\n| ------ | ------ |\n"


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("inputevents", True),
        ("procedureevents", True),
        ("ingredientevents", True),
        ("pharmacy", True),
        # Its order_status comes late, and is not shown.
        ("poe", False),
        ("labevents", False),
        ("radiology", False),
    ],
)
def test_only_what_is_shown_can_change_at_the_end(table: str, changes: bool) -> None:
    (late,) = source().tables.filter(table=table)["late"].to_list()
    assert changes_at_end(writer().looks[table], late) is changes


def test_a_value_is_made_of_the_number_and_a_note_of_its_body() -> None:
    style = load_style("ehrlich")
    value = Look(TableStyle(columns={"V": Column(of=("value",))}), (), style)
    assert changes_at_end(value, ["numeric_value"])
    assert changes_at_end(value, ["text_value"])
    arrow = Look(TableStyle(columns={"V": Column(of=("arrow",))}), (), style)
    assert changes_at_end(arrow, ["numeric_value"])
    assert changes_at_end(Look(TableStyle(body="text_value"), (), style), ["text_value"])
    assert not changes_at_end(Look(TableStyle(), (), style), ["text_value"])
