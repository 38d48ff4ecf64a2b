"""A task's worked examples, run: a mini-chart must give exactly the cases that its file states."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import polars as pl

from ehrlich.base.contracts import measurement_schema
from ehrlich.charts.readers.dictionary import load_dictionary
from ehrlich.charts.readers.metadata import tables_of
from ehrlich.charts.readers.order import number_events
from ehrlich.charts.timeline import FIELDS
from ehrlich.cohorts.build import cases_of
from ehrlich.cohorts.scene import Scene, Source
from ehrlich.cohorts.task import Example, ExampleCase, ExampleRow, Task

SUBJECT_ID = 1


@cache
def example_source() -> Source:
    """Mini-charts speak MIMIC-IV: its tables, fields and predicates, under the strict policy."""
    dictionary = load_dictionary("mimic_iv")
    return Source(dictionary.predicates, tables_of(dictionary, "strict"), "strict")


def scene_of(example: Example) -> Scene:
    """The mini-chart as one subject's measurements in order, events by the strict rule."""
    source = example_source()
    ranks = dict(source.tables.select("table", "rank").iter_rows())
    names = dict(source.tables.select("table", FIELDS).iter_rows())
    schema = measurement_schema() | {FIELDS: pl.List(pl.String)}
    rows = [_measurement(row, place, names) for place, row in enumerate(example.chart)]
    frame = pl.DataFrame(rows, schema={k: v for k, v in schema.items() if k != "event"})
    rank = pl.col("table").replace_strict(ranks, default=len(ranks), return_dtype=pl.Int64)
    ordered = frame.with_columns(row_id=rank * (1 << 48) + pl.col("row_id"))
    ordered = ordered.sort("subject_id", "time", "row_id", nulls_last=False)
    numbered = number_events(ordered, split_gaps=True)
    return Scene(numbered.select(*measurement_schema(), FIELDS), source)


def _measurement(row: ExampleRow, place: int, names: dict[str, list[str]]) -> dict[str, object]:
    stated = row.model_dump(exclude={"fields"})
    fields = [row.fields.get(name) for name in names.get(row.table, [])] if row.fields else None
    code = row.code or f"{row.table.upper()}//{row.item or 'UNK'}"
    return stated | {"subject_id": SUBJECT_ID, "row_id": place, "code": code, FIELDS: fields}


def problems_of_examples(task: Task) -> Iterator[str]:
    """One sentence for each example that gives other cases than it states."""
    for example in task.examples:
        found = cases_of(scene_of(example), task).cases.to_dicts()
        if len(found) != len(example.cases):
            times = ", ".join(str(case["prediction_time"]) for case in found) or "none"
            yield f"{task.task}: '{example.title}' states {len(example.cases)} cases, gives {times}"
            continue
        for case, stated in zip(found, example.cases, strict=True):
            yield from (f"{task.task}: '{example.title}': {why}" for why in _differs(case, stated))


def _differs(case: dict[str, object], stated: ExampleCase) -> Iterator[str]:
    """Where a case is not as stated; what is not stated does not count."""
    answer = None if stated.answer is None else sorted(stated.answer)
    pairs = {
        "prediction_time": stated.prediction_time,
        "answer": answer,
        "boolean_value": stated.label,
        "context_events": stated.context_events,
    }
    for name, wanted in pairs.items():
        if wanted is not None and case[name] != wanted:
            yield f"{name} is {case[name]}, stated {wanted}"
