"""Each rule of a dictionary, on a few rows: what becomes of them is said in full."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl
import pytest

from ehrlich.charts.readers.blocks import ROW
from ehrlich.charts.readers.columns import SUBJECT
from ehrlich.charts.readers.dictionary import Code, Link, Policy, Table, Time
from ehrlich.charts.readers.rows import (
    FIELDS,
    RANK_SHIFT,
    Measured,
    Recipe,
    attach,
    code_text,
    full_digits,
    measure,
)

CLOCK = pl.Datetime("us")
NOON = datetime(2150, 1, 2, 12)


def at(hour: int, minute: int = 0, second: int = 0, *, day: int = 2) -> datetime:
    return datetime(2150, 1, day, hour, minute, second)


def rows(**columns: list[Any]) -> pl.DataFrame:
    """One subject's rows, numbered; columns that hold datetimes are times."""
    height = len(next(iter(columns.values())))
    frame = pl.DataFrame({SUBJECT: [1] * height, ROW: range(1, height + 1)} | columns)
    times = [name for name in frame.columns if name.endswith("time")]
    return frame.with_columns(pl.col(name).cast(CLOCK) for name in times)


def made(
    source: pl.DataFrame,
    rules: dict[str, Any],
    *,
    policy: Policy = "strict",
    linked: dict[str, pl.DataFrame] | None = None,
) -> Measured:
    base = {"heading": "Thing", "time": "charttime", "code": {"prefix": "THING"}}
    table = Table.model_validate(base | rules)
    return measure(source, Recipe("things", table, 5, policy), linked=linked or {})


def times(
    rule: object, source: pl.DataFrame, policy: Policy = "strict", column: str = "end_time"
) -> list[datetime | None]:
    """What a rule about time gives, as the end of an event long ago (which is never masked)."""
    long_ago = source.with_columns(pl.lit(datetime(1, 1, 1)).cast(CLOCK).alias("charttime"))
    found: list[datetime | None] = (
        made(long_ago, {"end": rule}, policy=policy).rows[column].to_list()
    )
    return found


# --- times ------------------------------------------------------------------------------------

TWO = rows(atime=[at(9), None, at(9), None], btime=[at(8), at(7), None, None])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("atime", [at(9), None, at(9), None]),
        ({"column": "atime", "plus_s": 1}, [at(9, 0, 1), None, at(9, 0, 1), None]),
        ({"first": ["atime", "btime"]}, [at(9), at(7), at(9), None]),
        ({"earliest": ["atime", "btime"]}, [at(8), at(7), at(9), None]),
        ({"latest": ["atime", "btime"]}, [at(9), at(7), at(9), None]),
        (
            {"first": [{"earliest": ["atime", "btime"], "plus_s": 60}, "btime"], "plus_s": -60},
            [at(8), at(7), at(9), None],
        ),
        ({"latest": [{"column": "btime", "date_only": True}, "atime"]},
         [at(23, 59, 59), at(23, 59, 59), at(9), None]),
    ],
)  # fmt: skip
def test_a_rule_about_time(rule: object, expected: list[datetime | None]) -> None:
    assert times(rule, TWO) == expected


def test_a_day_ends_at_its_last_second_or_in_compat_begins() -> None:
    days = rows(daytime=[at(0), at(17, 30), None])
    rule = {"column": "daytime", "date_only": True}
    assert times(rule, days) == [at(23, 59, 59), at(23, 59, 59), None]
    assert times(rule, days, "compat") == [at(0), at(0), None]


def test_a_birth_year_is_made_from_two_numbers() -> None:
    born = rows(year=["2150", "2160", None, "x", "30"], age=["60", None, "3", "4", "91"])
    found = made(born, {"time": {"year": "year", "minus_years": "age"}})
    assert found.rows["time"].to_list() == [datetime(2090, 1, 1), datetime(1, 1, 1)]
    assert dict(found.dropped) == {"no time": 3}
    assert made(born, {"time": {"year": "year"}}).rows["time"].to_list() == [
        datetime(2150, 1, 1), datetime(2160, 1, 1), datetime(30, 1, 1),
    ]  # fmt: skip


def test_a_row_without_a_time_is_dropped_and_a_static_one_is_not() -> None:
    source = rows(charttime=[at(1), None])
    assert made(source, {}).rows["time"].to_list() == [at(1)]
    assert dict(made(source, {}).dropped) == {"no time": 1}
    static = made(source, {"time": "static"})
    assert static.rows["time"].to_list() == [None, None]
    assert not static.dropped


def test_rows_that_go_after_their_stay_need_no_time_in_compat_only() -> None:
    rules = {"compat": {"after_stay": True}}
    source = rows(charttime=[at(1), None])
    assert made(source, rules, policy="compat").rows.height == 2
    assert made(source, rules).rows.height == 1


def test_compat_takes_its_own_time_and_knows_at_once() -> None:
    source = rows(charttime=[at(5)], atime=[at(3)], storetime=[at(9)])
    rules = {"avail": "storetime", "compat": {"time": "atime"}}
    strict = made(source, rules).rows.row(0, named=True)
    compat = made(source, rules, policy="compat").rows.row(0, named=True)
    assert (strict["time"], strict["avail_time"]) == (at(5), at(9))
    assert (compat["time"], compat["avail_time"]) == (at(3), None)


def test_known_before_it_happened_is_known_when_it_happened() -> None:
    source = rows(charttime=[at(5)] * 4, storetime=[at(4), at(5), at(6), None])
    found = made(source, {"avail": "storetime"}).rows["avail_time"].to_list()
    assert found == [None, None, at(6), None]


def test_an_end_before_its_start_is_not_used_and_counted() -> None:
    source = rows(charttime=[at(5)] * 4, stoptime=[at(4), at(5), at(6), None])
    found = made(source, {"end": "stoptime"})
    assert found.rows["end_time"].to_list() == [None, at(5), at(6), None]
    assert dict(found.oddities) == {"ends before it starts (end not used)": 1}


# --- links ------------------------------------------------------------------------------------

DETAIL = pl.DataFrame(
    {
        SUBJECT: 1, ROW: range(1, 8),
        "key": ["a", "a", "a", "b", "b", None, "d"],
        "name": ["exam", "exam", "code", "exam", "exam", "exam", "code"],
        "value": ["x", "y", "z", "w", "w", "lost", "q"],
        "seen": [3, 9, 1, 4, 2, 7, 7],
    }
)  # fmt: skip
KEYED = rows(mine=["a", "b", "c", None, "d"])


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ({}, ["x", "w", None, None, "q"]),
        ({"take": "latest"}, ["z", "w", None, None, "q"]),
        ({"take": "joined"}, ["x\ny\nz", "w", None, None, "q"]),
        ({"take": "joined", "where": {"name": "exam"}}, ["x\ny", "w", None, None, None]),
        ({"take": "joined", "label": "name"},
         ["exam: x\nexam: y\ncode: z", "exam: w", None, None, "code: q"]),
        ({"where": {"name": "code"}}, ["z", None, None, None, "q"]),
    ],
)  # fmt: skip
def test_a_link_takes_one_value_a_key(link: dict[str, Any], expected: list[str | None]) -> None:
    rule = Link.model_validate(
        {"table": "detail", "by": {"key": "mine"}, "columns": ["value"]} | link
    )
    found = attach(KEYED, "d", link=rule, other=DETAIL)
    assert found["d.value"].to_list() == expected
    assert found.select(KEYED.columns).equals(KEYED)


def test_a_link_may_rename_and_may_give_times() -> None:
    other = pl.DataFrame({"stay_id": [7, 8], "intime": [at(1), None]})
    link = Link.model_validate({"table": "stays", "by": ["stay_id"], "columns": {"came": "intime"}})
    found = attach(rows(stay_id=[8, 7, 9]), "stay", link=link, other=other)
    assert found["stay.came"].to_list() == [None, at(1), None]


def test_keys_of_other_types_meet() -> None:
    other = pl.DataFrame({"itemid": ["50912", "x"], "label": ["Creatinine", "none"]})
    link = Link.model_validate({"table": "items", "by": ["itemid"], "columns": ["label"]})
    assert attach(rows(itemid=[50912]), "l", link=link, other=other)["l.label"].to_list() == [
        "Creatinine"
    ]


def test_case_may_be_ignored() -> None:
    other = pl.DataFrame({"name": ["ASPIRIN "], "atc": ["Antithrombotics"]})
    link = Link.model_validate(
        {"table": "atc", "by": {"name": "drug"}, "columns": ["atc"], "ignore_case": True}
    )
    found = attach(rows(drug=[" Aspirin", "aspirin 81", None]), "atc", link=link, other=other)
    assert found["atc.atc"].to_list() == ["Antithrombotics", None, None]
    assert found["drug"].to_list() == [" Aspirin", "aspirin 81", None]


def test_a_table_that_is_absent_gives_nulls_of_every_kind() -> None:
    rules = {
        "links": {"stay": {"table": "stays", "by": ["stay_id"], "columns": ["intime", "hadm_id", "unit"]}},  # noqa: E501
        "end": {"column": "stay.intime", "plus_s": 1}, "encounter": "stay.hadm_id",
        "item": ["stay.unit", "stay_id"], "code": {"prefix": "A", "columns": "stay.unit"},
        "fields": {"unit": "stay.unit"},
    }  # fmt: skip
    row = made(rows(charttime=[at(1)], stay_id=[7]), rules).rows.row(0, named=True)
    assert row["end_time"] is row["encounter_id"] is row[FIELDS] is None
    assert (row["item"], row["code"]) == ("7", "A//UNK")


# --- codes, digits, items, values -------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "ndc"),
    [("93111301", "00093111301"), ("00093111301", "00093111301"), ("93111301.0", "00093111301"),
     (" 93111301 ", "00093111301"), ("0", None), ("0.0", None), ("000", None), ("", None),
     ("  ", None), (None, None), ("123456789012", "123456789012"), ("N/A", "N/A"),
     ("0009-3111-01", "0009-3111-01"), ("0002.5", "0002.5")],
)  # fmt: skip
def test_lost_zeros_of_a_code_come_back(value: str | None, ndc: str | None) -> None:
    frame = pl.DataFrame({"ndc": [value]}, schema={"ndc": pl.String})
    assert frame.select(full_digits("ndc", 11)).item() == ndc


def test_digits_are_full_before_a_link_and_in_fields() -> None:
    rules = {
        "digits": {"ndc": 11}, "fields": {"ndc": "ndc", "atc": "atc.atc"},
        "links": {"atc": {"table": "atc", "by": ["ndc"], "columns": ["atc"]}},
    }  # fmt: skip
    atc = pl.DataFrame({"ndc": ["00093111301"], "atc": ["C09AA"]})
    source = rows(charttime=[at(1)] * 2, ndc=["93111301", "0"])
    found = made(source, rules, linked={"atc": atc}).rows[FIELDS].to_list()
    assert found == [["00093111301", "C09AA"], None]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (Code(prefix="P"), ["P", "P"]),
        (Code(prefix="P", columns=("a", "b")), ["P//x//1", "P//UNK//UNK"]),
        (Code(columns=("a",)), ["x", "UNK"]),
        (Code(prefix="P", columns=("a", "absent")), ["P//x//UNK", "P//UNK//UNK"]),
        (Code(prefix="P", columns=("l.c",)), ["P//u; v", "P//UNK"]),
        (Code(prefix="P", columns=("t",)), ["P//2150-01-02 12:00:00", "P//UNK"]),
    ],
)
def test_a_code_says_unk_for_what_is_missing(code: Code, expected: list[str]) -> None:
    frame = pl.DataFrame(
        {"a": ["x", None], "b": [1, None], "l.c": ["u\nv", None], "t": [NOON, None]}
    )
    found = frame.with_columns(code_text(code, frame).alias("code"))["code"]
    assert found.to_list() == expected


def test_the_first_item_that_is_known_counts_and_ids_are_integers() -> None:
    source = rows(charttime=[at(1)] * 3, label=["Sodium", None, None], itemid=["7", "8", None],
                  hadm_id=[5, None, None], stay_id=["6", "x", None])  # fmt: skip
    found = made(source, {"item": ["label", "itemid"], "encounter": ["hadm_id", "stay_id"],
                          "stay": "stay_id"}).rows  # fmt: skip
    assert found["item"].to_list() == ["Sodium", "8", None]
    assert found["encounter_id"].to_list() == [5, None, None]
    assert found["stay_id"].to_list() == [6, None, None]


@pytest.mark.parametrize(
    ("text", "number", "value", "kept"),
    [("5", 5.0, 5.0, None), ("5.0", 5.0, 5.0, None), (">5", 5.0, 5.0, ">5"),
     ("high", None, None, "high"),
     (None, 5.0, 5.0, None), ("5", None, None, "5"), ("6", 5.0, 5.0, "6"),
     ("NaN", float("nan"), None, "NaN"),
     ("inf", float("inf"), None, "inf"), (None, None, None, None)],
)  # fmt: skip
def test_a_text_that_only_repeats_the_number_is_left_out(
    text: str | None, number: float | None, value: float | None, kept: str | None
) -> None:
    source = rows(charttime=[at(1)], value=[text], valuenum=[number]).with_columns(
        pl.col("value").cast(pl.String), pl.col("valuenum").cast(pl.Float32)
    )
    row = made(source, {"number": "valuenum", "text": "value"}).rows.row(0, named=True)
    assert (row["numeric_value"], row["text_value"]) == (value, kept)


def test_one_column_may_be_number_and_text() -> None:
    source = rows(charttime=[at(1)] * 4, value=["180.5", "130/80", "1e3", " 7 "])
    found = made(source, {"number": "value", "text": "value"}).rows
    assert found["numeric_value"].to_list() == [180.5, None, 1000.0, 7.0]
    assert found["text_value"].to_list()[:3] == [None, "130/80", None]


def test_fields_keep_their_places_and_a_row_without_any_has_none() -> None:
    source = rows(charttime=[at(1)] * 3, a=["x", None, None], b=[None, None, "y"], c=[1, None, 2])
    found = made(source, {"fields": {"one": "a", "two": ["b", "c"], "three": "charttime"}}).rows
    assert found[FIELDS].to_list() == [
        ["x", "1", "2150-01-02 01:00:00"], [None, None, "2150-01-02 01:00:00"],
        [None, "y", "2150-01-02 01:00:00"],
    ]  # fmt: skip
    assert made(source, {"fields": ["a", "b"]}).rows[FIELDS].to_list() == [
        ["x", None], None, [None, "y"],
    ]  # fmt: skip
    assert made(source, {}).rows[FIELDS].to_list() == [None] * 3


# --- copies and numbers of rows ---------------------------------------------------------------


def test_the_copy_of_an_earlier_row_is_dropped_in_strict_and_kept_in_compat() -> None:
    source = rows(charttime=[at(1)] * 5, key=["a", "b", "a", "a", "b"], value=["1", "2", "3", "1", "2"])  # noqa: E501 # fmt: skip
    strict = made(source, {"unique": ["key", "value"]})
    assert strict.rows["row_id"].to_list() == [(5 << RANK_SHIFT) + row for row in (1, 2, 3)]
    assert dict(strict.dropped) == {"the same row again": 2}
    compat = made(source, {"unique": ["key", "value"]}, policy="compat")
    assert compat.rows.height == 5
    assert not compat.dropped


def test_a_row_without_its_telling_key_is_no_copy() -> None:
    source = rows(charttime=[at(1)] * 4, key=[None, None, "a", "a"]).with_columns(
        pl.col("key").cast(pl.String)
    )
    assert made(source, {"unique": "key"}).rows.height == 3


def test_copies_are_sought_within_a_subject() -> None:
    source = rows(charttime=[at(1)] * 2, key=["a", "a"]).with_columns(pl.Series(SUBJECT, [1, 2]))
    assert made(source, {"unique": "key"}).rows.height == 2


def test_rows_keep_rank_and_place_in_their_id_and_name_their_table() -> None:
    found = made(rows(charttime=[at(1), None, at(3)]), {}).rows
    assert found["row_id"].to_list() == [(5 << RANK_SHIFT) + 1, (5 << RANK_SHIFT) + 3]
    assert found["table"].to_list() == ["things", "things"]


def test_no_rows_give_no_measurements() -> None:
    source = rows(charttime=[at(1)], a=["x"]).clear()
    found = made(source, {"fields": ["a"], "unique": "a", "digits": {"a": 3}, "end": "charttime"})
    assert found.rows.is_empty()
    assert not found.dropped
    assert not found.oddities


def test_a_time_rule_says_one_thing() -> None:
    for wrong in ({}, {"column": "a", "year": "b"}, {"column": "a", "minus_years": "b"}):
        with pytest.raises(ValueError, match=r"exactly one|goes with"):
            Time.model_validate(wrong)
