"""Numbers as the released code printed them."""

from __future__ import annotations

import random

import polars as pl
import pytest

from ehrlich.prompts.released_floats import released_floats


def printed(*texts: str | None) -> list[str | None]:
    found: list[str | None] = released_floats(pl.Series(texts, dtype=pl.String)).to_list()
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("98", "98.0"),
        ("98.60", "98.6"),
        ("-0.5", "-0.5"),
        ("007", "7.0"),
        ("1.", "1.0"),
        ("0", "0.0"),
        ("1e3", "1000.0"),
        ("2.5E-3", "0.0025"),
        ("1e+2", "100.0"),
        ("0.00001", "1e-05"),
        ("100000000000000000000", "1e+20"),
    ],
)
def test_a_number_is_printed_as_a_double(text: str, expected: str) -> None:
    assert printed(text) == [expected]


@pytest.mark.parametrize("text", [None, "", "abc", "12-15", "1,000", "--"])
def test_a_text_that_is_no_number_is_null(text: str | None) -> None:
    assert printed(text, "1") == [None, "1.0"]


def test_up_to_fifteen_digits_the_nearest_double_is_printed() -> None:
    draw = random.Random(5)
    texts = [f"{draw.uniform(-1000, 1000):.{draw.randint(0, 12)}f}" for _ in range(3000)]
    assert printed(*texts) == [repr(float(text)) for text in texts]


def test_digits_after_the_seventeenth_are_not_read() -> None:
    assert printed("0.12345678901234567") == printed("0.1234567890123456789")
    assert printed("12345678901234567899") == printed("12345678901234567000")


def test_order_repeats_and_absence_stay() -> None:
    assert printed("2", None, "1", "2") == ["2.0", None, "1.0", "2.0"]
    assert printed() == []


def test_the_last_digit_is_that_of_the_parser_which_divides() -> None:
    """What pandas reads of long numbers, as its parser computes them one digit at a time."""
    draw = random.Random(7)
    texts = [repr(draw.uniform(0, 1000)) for _ in range(2000)]

    def divided(text: str) -> str:
        whole, _, decimals = text.partition(".")
        number, digits = 0.0, (whole + decimals)[:17]
        for digit in digits:
            number = number * 10.0 + float(digit)
        return repr(number / 10.0 ** (len(digits) - len(whole)))

    plain = [text for text in texts if "e" not in text]
    found = printed(*plain)
    assert found == [divided(text) for text in plain]
    assert found != plain
