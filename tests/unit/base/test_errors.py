"""Errors say one sentence, and survive the way back from a worker process."""

from __future__ import annotations

import pickle

import pytest

from ehrlich.base import errors
from ehrlich.base.errors import ConfigError, EhrlichError, StoreError

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, EhrlichError)
]


def test_the_sentence_has_where_what_got_expected_and_what_to_do_in_this_order() -> None:
    error = ConfigError("is wrong", where="a.yaml", got="1", expected="2", do="Write 2.")
    assert str(error) == "a.yaml: is wrong; got 1; expected 2. Write 2."


def test_the_sentence_leaves_out_what_is_not_known() -> None:
    assert str(StoreError("the disk is full")) == "the disk is full"
    assert str(StoreError("is a file", expected="a folder")) == "is a file; expected a folder"


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_pickles_whole(kind: type[EhrlichError]) -> None:
    error = kind("what", where="where", got="got", expected="expected", do="Do.")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert vars(again) == vars(error)
    assert str(again) == str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_stands_in_the_drawn_tree(kind: type[EhrlichError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
    assert kind.__doc__
    assert kind.exit_code in (1, 2, 3, 130)
