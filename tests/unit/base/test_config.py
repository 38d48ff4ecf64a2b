"""A wrong YAML file is one sentence: the file, the line, the nearest valid key."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from ehrlich.base.config import Model, load_model, load_yaml, validate
from ehrlich.base.errors import ConfigError


class Dose(Model):
    amount_mg: float = Field(gt=0)
    route: str = "oral"


class Drug(Model):
    name: str
    doses: list[Dose] = []
    by_age: dict[str, Dose] = {}
    first: Dose | None = None


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "drug.yaml"


def refused(file: Path, text: str) -> ConfigError:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_model(Drug, file)
    assert str(file) in caught.value.where
    return caught.value


def test_a_good_file_becomes_a_frozen_model(file: Path) -> None:
    file.write_text("name: aspirin\ndoses:\n- amount_mg: 100\n", encoding="utf-8")
    drug = load_model(Drug, file)
    assert drug == Drug(name="aspirin", doses=[Dose(amount_mg=100)])
    with pytest.raises(ValidationError, match="frozen"):
        drug.name = "other"


def test_an_unknown_key_names_its_line_and_the_nearest_key(file: Path) -> None:
    error = refused(file, "name: aspirin\nfirst:\n  amount_mg: 1\n  rout: oral\n")
    assert error.what == "unknown key 'first.rout'"
    assert error.where.endswith("line 4")
    assert error.do == "Did you mean 'route'?"


def test_a_key_near_to_nothing_lists_the_known_ones(file: Path) -> None:
    error = refused(file, "name: aspirin\nzzz: 1\n")
    assert error.where.endswith("line 2")
    assert error.do == "Known keys: by_age, doses, first, name."


def test_a_key_in_a_list_is_found_too(file: Path) -> None:
    error = refused(file, "name: a\ndoses:\n- amount_mg: 1\n- amount_mg: 2\n  ruote: iv\n")
    assert error.what == "unknown key 'doses.1.ruote'"
    assert error.where.endswith("line 5")
    assert error.do == "Did you mean 'route'?"


def test_a_wrong_value_shows_what_was_got_and_its_line(file: Path) -> None:
    error = refused(file, "name: a\n\nby_age:\n  child:\n    amount_mg: -3\n")
    assert error.where.endswith("line 5")
    assert error.got == "-3"
    assert "greater than 0" in error.what


def test_a_missing_key_is_placed_at_what_should_hold_it(file: Path) -> None:
    error = refused(file, "name: a\ndoses:\n- route: iv\n")
    assert "'doses.0.amount_mg'" in error.what
    assert error.where.endswith("line 3")
    assert error.got == ""


@pytest.mark.parametrize("text", ["", "- 1\n", "just text\n"])
def test_a_document_of_another_shape_is_refused(file: Path, text: str) -> None:
    refused(file, text)


def test_text_that_is_not_yaml_names_the_line(file: Path) -> None:
    error = refused(file, "name: a\ndoses: [1, 2\nfirst: }\n")
    assert error.what == "is not valid YAML"
    assert "line 3" in error.where


def test_a_tag_that_would_make_an_object_is_refused(file: Path) -> None:
    error = refused(file, "name: !!python/object/apply:os.getcwd []\n")
    assert error.what == "is not valid YAML"


def test_bytes_that_are_no_text_are_refused(file: Path) -> None:
    file.write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_yaml(file)


def test_an_absent_file_is_refused(file: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the file"):
        load_yaml(file)


def test_lines_are_those_of_keys_and_items(file: Path) -> None:
    file.write_text("a:\n  b: 1\nc:\n- x\n- y\n", encoding="utf-8")
    document, lines = load_yaml(file)
    assert document == {"a": {"b": 1}, "c": ["x", "y"]}
    assert lines[("a",)] == 1
    assert lines[("a", "b")] == 2
    assert lines[("c", 1)] == 5


def test_validate_works_without_lines() -> None:
    with pytest.raises(ConfigError) as caught:
        validate(Drug, {"nmae": "a", "name": "b"}, where="--drug", lines={})
    assert str(caught.value) == "--drug: unknown key 'nmae'. Did you mean 'name'?"
