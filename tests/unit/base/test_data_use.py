"""The most restrictive tag wins, whatever it is mixed with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrlich.base.data_use import DataUse, most_restrictive

USES = st.lists(st.sampled_from(DataUse), min_size=1)
FREE_TO_GUARDED = ["synthetic", "open", "credentialed", "phi"]


def rank(use: DataUse) -> int:
    return FREE_TO_GUARDED.index(use.value)


def test_every_tag_has_its_place_in_the_order() -> None:
    assert [use.value for use in DataUse] == FREE_TO_GUARDED


@given(USES)
def test_no_input_is_guarded_more_than_what_is_made_of_it(uses: list[DataUse]) -> None:
    result = most_restrictive(uses)
    assert result in uses
    assert all(rank(use) <= rank(result) for use in uses)


@given(USES, USES)
def test_the_tag_does_not_depend_on_the_order_of_steps(
    first: list[DataUse], second: list[DataUse]
) -> None:
    at_once = most_restrictive(first + second)
    assert most_restrictive(second + first) == at_once
    assert most_restrictive([most_restrictive(first), most_restrictive(second)]) == at_once


def test_nothing_has_no_tag() -> None:
    with pytest.raises(ValueError, match=r"empty|arg"):
        most_restrictive([])
