"""Any table that the csv module writes is read back the same, whatever the size of a block."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ehrlich.charts.readers.blocks import (
    ROW,
    Header,
    count_records,
    parse_block,
    read_blocks,
    read_header,
)
from ehrlich.charts.readers.columns import Kind, SourceTable

NAMES = ["subject_id", "a", "b"]
TABLE = SourceTable("things", "hosp", {"a": Kind.TEXT, "b": Kind.TEXT}, True)
# NUL has a test of its own; surrogates are no UTF-8.
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from('",\r\n; '),
    max_size=8,
)
ROWS = st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), TEXT, TEXT), max_size=12)


def as_csv(rows: Sequence[tuple[int, str, str]], newline: str, quote_all: bool) -> bytes:
    sink = io.StringIO()
    writer = csv.writer(
        sink, lineterminator=newline, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    )
    writer.writerows([NAMES, *rows])
    return sink.getvalue().encode()


@given(
    rows=ROWS, size=st.integers(1, 80), newline=st.sampled_from(["\n", "\r\n"]),
    quote_all=st.booleans(),
)  # fmt: skip
@settings(max_examples=150)
def test_a_table_of_the_csv_module_is_read_back(
    rows: list[tuple[int, str, str]], size: int, newline: str, quote_all: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "things.csv"
        # The csv module leaves a lone return unquoted, which then ends the row.
        returns = any("\r" in text for row in rows for text in row[1:])
        path.write_bytes(as_csv(rows, newline, quote_all or returns))
        header = read_header(path, TABLE)
        found = [parse_block(block, TABLE, header=header) for block in read_blocks(path, size)]
        counted = sum(map(count_records, read_blocks(path, size)))
    read = [row for part in found for row in part.rows.select(NAMES).rows()]
    assert read == [(subject, a or None, b or None) for subject, a, b in rows]
    assert counted == len(rows)
    for part in found:
        assert part.rows[ROW].to_list() == list(range(1, part.records + 1))
        assert not part.dropped
        assert not part.unreadable


@given(text=st.binary(max_size=60) | st.text('",\n\r\0a1', max_size=40).map(str.encode))
@settings(max_examples=300)
def test_no_text_breaks_the_parser_and_its_counts_close(text: bytes) -> None:
    header = Header(NAMES, {name: name for name in NAMES})
    typed = SourceTable("things", "hosp", {"a": Kind.NUMBER, "b": Kind.TIME}, True)
    for table in (TABLE, typed):
        found = parse_block(text + b"\n", table, header=header)
        assert found.records == found.rows.height + found.dropped.total()
        places = found.rows[ROW].to_list()
        assert places == sorted(set(places))
        assert all(1 <= place <= found.records for place in places)
