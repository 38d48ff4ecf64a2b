"""Text cut into blocks: whatever stands in a file, no row is lost without being counted."""

from __future__ import annotations

import gzip
import random
from datetime import datetime
from pathlib import Path

import pytest

from ehrlich.base.errors import DataError
from ehrlich.charts.readers import blocks
from ehrlich.charts.readers.blocks import (
    ROW,
    Header,
    Parsed,
    count_records,
    parquet_rows,
    parse_block,
    read_blocks,
    read_header,
)
from ehrlich.charts.readers.columns import Kind, SourceTable

COLUMNS = ["subject_id", "note", "amount", "charttime", "hadm_id"]
TABLE = SourceTable(
    "things", "hosp",
    {"note": Kind.TEXT, "amount": Kind.NUMBER, "charttime": Kind.TIME, "hadm_id": Kind.ID}, True,
)  # fmt: skip
HEADER = Header(COLUMNS, {name: name for name in COLUMNS})
HEAD = ",".join(COLUMNS).encode() + b"\n"


def parsed(text: bytes) -> Parsed:
    """A block's rows, after a check that its counts close."""
    found = parse_block(text, TABLE, header=HEADER)
    assert found.records == found.rows.height + found.dropped.total()
    places = found.rows[ROW].to_list()
    assert places == sorted(set(places))
    assert all(1 <= place <= found.records for place in places)
    return found


def one(field: str, value: bytes) -> object:
    """What `value` becomes in a row of its own."""
    row = [b"1", b"", b"", b"", b""]
    row[COLUMNS.index(field)] = value
    return parsed(b",".join(row) + b"\n").rows[field].item()


def write(path: Path, body: bytes) -> Path:
    path.write_bytes(gzip.compress(body) if path.suffix == ".gz" else body)
    return path


# --- cutting ----------------------------------------------------------------------------------

TRICKY = (
    b'1,"line one\nline two, with ""quotes""",1.5,2150-01-01 00:00:00,7\n'
    b"2,plain,,,\n"
    b'3,"\n\n\n",2,,\n'
    b'4,"a,b\r\nc",3,2150-01-01,8\r\n'
    b"5,last,4,,"
)


@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 33, 64, 1 << 20])
def test_quoted_newlines_and_commas_survive_any_block_border(
    tmp_path: Path, ending: str, size: int
) -> None:
    path = write(tmp_path / f"things{ending}", HEAD + TRICKY)
    cut = list(read_blocks(path, size))
    assert b"".join(cut) == TRICKY + b"\n"
    rows = [row for block in cut for row in parsed(block).rows.select("subject_id", "note").rows()]
    assert rows == [
        (1, 'line one\nline two, with "quotes"'), (2, "plain"), (3, "\n\n\n"), (4, "a,b\r\nc"),
        (5, "last"),
    ]  # fmt: skip
    assert sum(count_records(block) for block in cut) == 5
    assert len(cut) > 1 or size > 64


def test_a_quote_that_is_never_closed_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "LONGEST_RECORD", 1 << 12)
    body = HEAD + b'1,"never closed,,,\n' + b"2,b,,,\n" * 10_000
    with pytest.raises(DataError, match="a quote is not closed"):
        list(read_blocks(write(tmp_path / "things.csv", body), 1 << 10))


def test_a_text_cut_inside_its_last_quotes_is_one_bad_row() -> None:
    found = parsed(b'1,a,,,\n2,"cut he')
    assert found.rows["subject_id"].to_list() == [1]
    assert dict(found.dropped) == {"wrong number of columns": 1}


@pytest.mark.parametrize(
    ("text", "records"),
    [
        (b"", 0),
        (b"1,a\n2,b\n", 2),
        (b"\n1,a\n", 1),
        (b"\r\n1,a\r\n", 1),
        (b"1,a\n\n\n2,b\n", 2),
        (b"1,a\r\n\r\n2,b\r\n", 2),
        (b'1,"a\n\nb"\n\n2,b\n', 2),
        (b"1,a\r\n\n2,b\n", 2),
    ],
)
def test_records_are_counted_without_parsing(text: bytes, records: int) -> None:
    assert count_records(text) == records
    table = SourceTable("pairs", "hosp", {"note": Kind.TEXT}, True)
    header = Header(["subject_id", "note"], {"subject_id": "subject_id", "note": "note"})
    assert (parse_block(text, table, header=header).records if text else 0) == records


# --- rows that are wrong ----------------------------------------------------------------------


def test_blank_lines_are_no_rows_and_do_not_shift_the_numbering() -> None:
    found = parsed(b"\n1,a,,,\n\n\n2,b\n\r\n3,c,,,\n4,d,,,,,\n5,e,,,\n")
    assert found.rows.select("subject_id", ROW).rows() == [(1, 1), (3, 3), (5, 5)]
    assert dict(found.dropped) == {"wrong number of columns": 2}


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_a_nul_byte_costs_its_row_only(newline: bytes) -> None:
    lines = [b"1,a,1,,", b"", b"2,\0b,2,,", b"3,c,3,,", b'4,"d\0\nd",4,,', b"5\0,e,5,,", b"6,f,6,,"]
    found = parsed(newline.join(lines) + newline)
    assert found.rows.select("subject_id", ROW).rows() == [(1, 1), (3, 3), (6, 6)]
    assert found.dropped["NUL byte in the row"] == 3 - found.dropped["no readable subject_id"]


def test_a_nul_byte_beside_a_stray_quote_and_a_row_too_short() -> None:
    found = parsed(b'1,5" needle,1,,\n2,\0,2,,\n3\n4,c" d,4,,\n5,\xff,5,,\n')
    assert found.rows.select("subject_id", ROW).rows() == [(1, 1), (4, 4), (5, 5)]
    assert dict(found.dropped) == {"wrong number of columns": 1, "NUL byte in the row": 1}


def test_only_nul_bytes() -> None:
    assert parsed(b"1,\0,,,\n").rows.is_empty()
    assert parsed(b"\0\0\0\0").rows.is_empty()


def test_bytes_that_are_no_utf_8_are_replaced_and_counted() -> None:
    found = parsed(b"1,caf\xe9,1.5,2150-01-01 00:00:00,7\n2,caf\xc3\xa9,,,\n")
    assert found.rows["note"].to_list() == ["caf\ufffd", "café"]
    assert found.rows["amount"].to_list() == [1.5, None]
    assert dict(found.unreadable) == {"bytes that are not UTF-8 (replaced)": 1}


def test_a_value_that_does_not_fit_is_null_and_counted_and_the_others_stay() -> None:
    found = parsed(
        b"1,a,1.5,2150-01-01 00:00:00,7\n2,b,high,2150-13-01 00:00:00,7.5\nx,c,1,,\n,d,2,,\n"
    )
    assert found.rows.select("subject_id", "note", "amount", "hadm_id").rows() == [
        (1, "a", 1.5, 7), (2, "b", None, None),
    ]  # fmt: skip
    assert found.rows["charttime"].to_list() == [datetime(2150, 1, 1), None]
    assert dict(found.dropped) == {"no readable subject_id": 2}
    assert dict(found.unreadable) == {
        "amount is no number": 1, "charttime is no time": 1, "hadm_id is no id": 1,
        "subject_id is no id": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "time"),
    [
        (b"2150-01-02 03:04:05", datetime(2150, 1, 2, 3, 4, 5)),
        (b"2150-01-02 03:04:05.25", datetime(2150, 1, 2, 3, 4, 5, 250_000)),
        (b"2150-01-02 03:04:05.000001", datetime(2150, 1, 2, 3, 4, 5, 1)),
        (b"2150-01-02 03:04:05.0000019", datetime(2150, 1, 2, 3, 4, 5, 1)),
        (b"2150-01-02T03:04:05", datetime(2150, 1, 2, 3, 4, 5)),
        (b"2150-01-02 03:04", datetime(2150, 1, 2, 3, 4)),
        (b"2150-01-02", datetime(2150, 1, 2)),
        (b" 2150-01-02 03:04:05 ", datetime(2150, 1, 2, 3, 4, 5)),
        (b"2150-02-30 00:00:00", None),
        (b"2150-01-02 25:00:00", None),
        (b"yesterday", None),
        (b"", None),
    ],
)
def test_a_time_is_read_alike_in_a_clean_and_in_a_dirty_block(
    value: bytes, time: datetime | None
) -> None:
    assert one("charttime", value) == time
    dirty = parsed(b"1,a,,%s,\n2,\xff,high,never,\n" % value)
    assert dirty.rows["charttime"].to_list() == [time, None]


@pytest.mark.parametrize(
    ("value", "number"),
    [(b"123", 123), (b"123.0", 123), (b" 123 ", 123), (b"-5", -5), (b"12.5", None), (b"", None),
     (b"9223372036854775807", 2**63 - 1), (b"9223372036854775808", None), (b"abc", None)],
)  # fmt: skip
def test_an_id_may_have_been_a_float_but_is_never_rounded(value: bytes, number: int | None) -> None:
    assert one("hadm_id", value) == number
    dirty = parsed(b"1,a,high,,%s\n" % value)
    assert dirty.rows["hadm_id"].item() == number


# --- headers and files ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        b"\xef\xbb\xbf" + HEAD,
        HEAD.upper(),
        HEAD.replace(b"\n", b"\r\n"),
        b'"subject_id","note","amount","charttime","hadm_id"\n',
        b" subject_id , note,amount,charttime,hadm_id\n",
    ],
)
def test_a_header_may_be_spelled_otherwise(tmp_path: Path, head: bytes) -> None:
    path = write(tmp_path / "things.csv", head + b"1,a,2,2150-01-01,3\n")
    header = read_header(path, TABLE)
    (block,) = read_blocks(path)
    rows = parse_block(block, TABLE, header=header).rows
    assert rows.row(0, named=True) == {
        "subject_id": 1, "note": "a", "amount": 2.0, "charttime": datetime(2150, 1, 1),
        "hadm_id": 3, ROW: 1,
    }  # fmt: skip


def test_columns_may_stand_in_any_order_beside_others(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.csv", b"x,hadm_id,charttime,note,amount,y,subject_id\n0,3,,a,2,0,1\n"
    )
    (block,) = read_blocks(path)
    rows = parse_block(block, TABLE, header=read_header(path, TABLE)).rows
    assert rows.select(COLUMNS).row(0) == (1, "a", 2.0, None, 3)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "things.csv", b"subject_id,note,amount,hadm\n")
    with pytest.raises(DataError) as caught:
        read_header(path, TABLE)
    assert caught.value.what == "table things lacks column charttime, hadm_id"
    assert caught.value.got == "subject_id, note, amount, hadm"


@pytest.mark.parametrize("name", ["things.csv", "things.csv.gz"])
def test_an_empty_file_is_refused_and_a_header_alone_has_no_rows(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="an empty file"):
        read_header(write(tmp_path / name, b""), TABLE)
    path = write(tmp_path / name, HEAD)
    read_header(path, TABLE)
    assert list(read_blocks(path)) == []
    path = write(tmp_path / name, HEAD[:-1])
    read_header(path, TABLE)
    assert list(read_blocks(path)) == []


# --- damage -----------------------------------------------------------------------------------


def many_rows(n: int = 4000) -> bytes:
    """Rows that do not compress to nothing."""
    draw = random.Random(0)
    return HEAD + b"".join(b"%d,%x,,,\n" % (i, draw.getrandbits(80)) for i in range(n))


@pytest.mark.parametrize("percent", [0.1, 1, 10, 33, 50, 77, 99, 99.99])
def test_a_gz_that_is_cut_short_is_refused(tmp_path: Path, percent: float) -> None:
    whole = gzip.compress(many_rows())
    path = tmp_path / "things.csv.gz"
    path.write_bytes(whole[: max(1, int(len(whole) * percent / 100))])
    with pytest.raises(DataError, match="damaged or cut short") as caught:
        list(read_blocks(path, 1 << 12))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("back", range(1, 9))
def test_a_gz_without_the_whole_of_its_checksum_is_refused(tmp_path: Path, back: int) -> None:
    path = tmp_path / "things.csv.gz"
    path.write_bytes(gzip.compress(many_rows())[:-back])
    with pytest.raises(DataError, match="damaged or cut short"):
        list(read_blocks(path))


def test_a_flipped_bit_anywhere_in_a_gz_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(many_rows(1000), mtime=0)
    draw = random.Random(1)
    path = tmp_path / "things.csv.gz"
    # Bytes 4 to 9 are time, flags of the packer and system: they hold no data.
    for place in [0, 1, 2, *draw.sample(range(10, len(whole)), 60)]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(damaged))
        with pytest.raises(DataError, match="damaged or cut short"):
            list(read_blocks(path, 1 << 12))


@pytest.mark.parametrize("body", [b"subject_id,note\n1,a\n", b"\x1f\x8b", b"PK\x03\x04 a zip"])
def test_a_gz_that_is_none_is_refused_at_its_header(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "things.csv.gz"
    path.write_bytes(body)
    with pytest.raises(DataError, match="damaged or cut short"):
        read_header(path, TABLE)


def test_a_gz_of_several_members_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "things.csv.gz"
    path.write_bytes(b"".join(gzip.compress(part) for part in (HEAD, b"1,a,,,\n2,", b"b,,,\n")))
    assert b"".join(read_blocks(path, 4)) == b"1,a,,,\n2,b,,,\n"


def test_a_parquet_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "things.parquet"
    for body in (b"", b"PAR1", b"PAR1 nonsense PAR1", HEAD):
        path.write_bytes(body)
        with pytest.raises(DataError, match="damaged or cut short"):
            read_header(path, TABLE)
        with pytest.raises(DataError, match="damaged or cut short"):
            parquet_rows(path)


def test_a_row_that_is_too_short_and_no_utf_8_is_counted_once_and_shifts_no_number() -> None:
    found = parsed(b"1,a,,,\n2,\xff\n3,c,,,\n")
    assert found.rows.select("subject_id", ROW).rows() == [(1, 1), (3, 3)]
    assert dict(found.dropped) == {"wrong number of columns": 1}
