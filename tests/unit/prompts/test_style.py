"""Styles: what the shipped files may name, and how a user's own is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.mini_charts import source
from tests.mini_prompts import style_of

from ehrlich.base.errors import ConfigError
from ehrlich.cohorts.task import Policy
from ehrlich.prompts.cells import MEASURED, NUMBERS
from ehrlich.prompts.style import SHIPPED, Column, load_style

MADE = ("value", "arrow", "range", "called")
# The released code asks for it; no script of theirs makes it.
MADE_BY_NO_SCRIPT = "admission_info"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_style_is_loaded_by_its_name(name: str) -> None:
    assert load_style(name).style == name


@pytest.mark.parametrize("policy", ["strict", "compat"])
def test_shipped_styles_name_only_what_tables_hold(policy: Policy) -> None:
    style = load_style(style_of(policy))
    fields = dict(source(policy).tables.select("table", "fields").iter_rows())
    assert set(style.tables) <= set(fields)
    for table, look in style.tables.items():
        known = {*MEASURED, *NUMBERS, *MADE, *fields[table], MADE_BY_NO_SCRIPT}
        for key, column in look.columns.items():
            assert set(column.of) <= known, (table, key)
            assert column.of or column.age, (table, key)
        assert look.body is None or look.body in known


def test_the_default_style_names_every_table_of_the_source() -> None:
    shown = set(load_style("ehrlich").tables)
    # Deaths are what tasks ask about; they say nothing but their time.
    assert set(source().tables["table"]) - shown == {"deaths"}


def test_a_table_that_the_style_does_not_name_looks_as_others_do() -> None:
    ours, released = load_style("ehrlich"), load_style("compat")
    assert ours.of_table("of_a_foreign_source") == ours.other
    assert ours.other.fields
    assert released.of_table("drgcodes").skip
    assert not released.of_table("labevents").skip


def test_a_name_or_a_list_of_names_is_short_for_of() -> None:
    assert Column.model_validate("item") == Column(of=("item",))
    assert Column.model_validate(["value", "unit"]) == Column(of=("value", "unit"))
    assert Column.model_validate({"of": ["dose"], "short": True}).short


def test_a_file_of_the_users_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("style: mine\nempty: '?'\ntables:\n  labevents:\n    columns: {Test: item}\n")
    style = load_style(str(path))
    assert (style.style, style.empty) == ("mine", "?")
    assert style.tables["labevents"].columns["Test"].of == ("item",)


def test_an_unknown_style_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown style") as refused:
        load_style("erhlich")
    assert "ehrlich, compat, or a file" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("style: mine\ntables: {}\nescap: false\n", "escap"),
        ("style: mine\ntables: {labevents: {columns: {Test: {of: [item], shrt: true}}}}\n", "shrt"),
        ("style: mine\n", "tables"),
    ],
)
def test_a_file_with_a_key_that_is_wrong_or_missing_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_style(str(path))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load_style(str(tmp_path / "none.yaml"))
