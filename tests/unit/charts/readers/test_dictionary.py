"""A dictionary that says something impossible is refused with its line, before a byte is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from ehrlich.base.errors import ConfigError
from ehrlich.charts.readers.columns import Kind, source_tables
from ehrlich.charts.readers.dictionary import load_dictionary, shipped

BASE = """\
source: mine
title: Mine
licence: none
data_use: {default: phi}
tables:
  people: {required: true, heading: Person, time: static, code: {prefix: PERSON}}
  labs:
    heading: Laboratory
    time: charttime
    code: {prefix: LAB, columns: item}
"""


def load(tmp_path: Path, text: str) -> ConfigError:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_dictionary(str(path))
    assert str(path) in str(caught.value)
    return caught.value


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_dictionary_is_sound(name: str) -> None:
    dictionary = load_dictionary(name)
    assert dictionary.source == name
    assert set(dictionary.predicates) >= {"admission", "death", "birth"}
    assert dictionary.tables or dictionary.meds


def test_every_table_of_mimic_is_ordered_in_compat_or_skipped_with_a_reason() -> None:
    dictionary = load_dictionary("mimic_iv")
    skipped = {name for name, table in dictionary.tables.items() if table.compat.skip}
    assert set(dictionary.order("compat")) | skipped == set(dictionary.tables)
    assert not set(dictionary.order("compat")) & skipped
    assert len(dictionary.order("compat")) == len(set(dictionary.order("compat")))


def test_a_dictionary_of_ones_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(BASE, encoding="utf-8")
    tables = source_tables(load_dictionary(str(path)))
    assert tables["labs"].kinds == {"charttime": Kind.TIME, "item": Kind.TEXT}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("    unit: valueuom\n    units: x\n", "Did you mean 'unit'?"),
        ("    links: {a: {table: nowhere, by: [x], columns: [y]}}\n", "no table or lookup nowhere"),
        ("    item: a.label\n", "a.label is no column of a link"),
        ("    late: [status]\n", "late names no field: ['status']"),
        ("    source: elsewhere\n", "no table elsewhere"),
        ("    end: {column: a, first: [b]}\n", "say exactly one of"),
        ("    end: {column: a, minus_years: b}\n", "minus_years goes with year"),
        ("spans: {table: stays, start: a, end: b, encounter: c}\n", "no table stays"),
        ("compat_order: [people, stays]\n", "no table stays"),
        ("predicates: {death: '('}\n", "no regular expression"),
        ("predicates: {death: '(?!x)'}\n", "no regular expression"),
        ("meds: {tables: [{table: a, pattern: '['}]}\n", "no regular expression"),
        ("  notes: {heading: Note, time: static, code: {}}\n", "neither prefix nor columns"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, extra: str, message: str) -> None:
    assert message in str(load(tmp_path, BASE + extra))


def test_an_unknown_name_lists_those_that_ship() -> None:
    with pytest.raises(ConfigError, match="mimic_iv, mimic_iv_meds"):
        load_dictionary("mimic_v")


def test_numbers_that_are_shown_as_text_stay_text_and_times_and_ids_keep_their_kind() -> None:
    kinds = {
        name: table.kinds for name, table in source_tables(load_dictionary("mimic_iv")).items()
    }
    assert kinds["labevents"]["valuenum"] is Kind.NUMBER
    assert kinds["outputevents"]["value"] is Kind.TEXT
    assert kinds["prescriptions"]["starttime"] is Kind.TIME
    assert kinds["triage"]["stay_id"] is Kind.ID
    assert kinds["admissions"]["deathtime"] is Kind.TIME
