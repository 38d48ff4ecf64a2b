"""Which columns a source table must give, and as what. Derived from the dictionary alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

from ehrlich.charts.readers.dictionary import Dictionary, Table, time_rules

SUBJECT = "subject_id"


class Kind(StrEnum):
    """How a column is read."""

    TIME = "time"
    ID = "id"
    NUMBER = "number"
    TEXT = "text"


ARROW_TYPES = {
    Kind.TIME: pa.timestamp("us"),
    Kind.ID: pa.int64(),
    Kind.NUMBER: pa.float32(),
    Kind.TEXT: pa.string(),
}


@dataclass(frozen=True, slots=True)
class SourceTable:
    """One table of the source as it will be read: column → kind, `subject_id` apart."""

    name: str
    module: str
    kinds: dict[str, Kind]
    subject: bool
    required: bool = False
    missing_costs: str = ""


def source_tables(dictionary: Dictionary) -> dict[str, SourceTable]:
    """Every table that is read from files, by name; reference tables have `subject` False."""
    uses = _uses(dictionary)
    found: dict[str, SourceTable] = {}
    for name, table in dictionary.tables.items():
        source = dictionary.source_of(name)
        if source == name:
            found[name] = SourceTable(
                name, table.module, _kinds(uses[name]), True, table.required, table.missing_costs
            )
    for name, lookup in dictionary.lookups.items():
        if lookup.builtin is None:
            kinds = _kinds(uses.get(name, {}))
            found[name] = SourceTable(
                name, lookup.module, kinds, lookup.subject, False, lookup.missing_costs
            )
    return found


def _uses(dictionary: Dictionary) -> dict[str, dict[str, set[Kind]]]:
    """source table → column → the kinds that the rules want of it."""
    uses: dict[str, dict[str, set[Kind]]] = {}
    for name, table in dictionary.tables.items():
        own = uses.setdefault(dictionary.source_of(name), {})
        for column, kind in _table_uses(table):
            head, dot, tail = column.partition(".")
            if not dot:
                own.setdefault(column, set()).add(kind)
                continue
            link = table.links[head]
            target = uses.setdefault(_file_of(dictionary, link.table), {})
            target.setdefault(link.columns[tail], set()).add(kind)
        for link in table.links.values():
            target = uses.setdefault(_file_of(dictionary, link.table), {})
            for column in (*link.by, *link.where, *filter(None, [link.label])):
                target.setdefault(column, set())
            for column in link.columns.values():
                target.setdefault(column, set())
        # Keys take whatever kind another rule gives them, else text.
        for column in (
            *table.unique,
            *(key for link in table.links.values() for key in link.by.values()),
        ):
            if "." not in column:
                own.setdefault(column, set())
    if dictionary.spans:
        own = uses.setdefault(dictionary.source_of(dictionary.spans.table), {})
        for rule in (dictionary.spans.start, dictionary.spans.end):
            for column in rule.columns():
                own.setdefault(column, set()).add(Kind.TIME)
    return uses


def _file_of(dictionary: Dictionary, table: str) -> str:
    return dictionary.source_of(table) if table in dictionary.tables else table


def _table_uses(table: Table) -> Iterator[tuple[str, Kind]]:
    for rule in time_rules(table):
        times = set(rule.time_columns())
        yield from ((name, Kind.TIME if name in times else Kind.NUMBER) for name in rule.columns())
    yield from ((name, Kind.ID) for name in (*table.encounter, *filter(None, [table.stay])))
    for name in filter(None, (table.number, table.ref_low, table.ref_high)):
        yield name, Kind.NUMBER
    texts = (table.text, table.unit, table.flag, *table.code.columns, *table.item)
    yield from ((name, Kind.TEXT) for name in texts if name)
    for columns in table.fields.values():
        yield from ((name, Kind.TEXT) for name in columns)


def _kinds(uses: dict[str, set[Kind]]) -> dict[str, Kind]:
    """Times and ids keep their kind (they print back unchanged); numbers wanted as text do not."""
    kinds: dict[str, Kind] = {}
    for column, wanted in uses.items():
        if column == SUBJECT:
            continue
        strongest = next((kind for kind in (Kind.TIME, Kind.ID) if kind in wanted), None)
        only_number = wanted == {Kind.NUMBER}
        kinds[column] = strongest or (Kind.NUMBER if only_number else Kind.TEXT)
    return kinds
