"""The files that stages talk through: dtypes, units, nullability, order, time rule of each.

Later stages add theirs here. Times are microseconds without a zone, as the source wrote them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

DATA = "data"
DETAIL = "detail"
METADATA = "metadata"
SPLITS = ("train", "tuning", "held_out")

MEDS_COLUMNS = ("subject_id", "time", "code", "numeric_value", "text_value")

# What dataset.json declares our further columns to be (MEDS 0.4 DatasetMetadataSchema).
EXTRA_COLUMN_ROLES = {
    "raw_source_id_columns": ["row_id", "encounter_id", "stay_id"],
    "code_modifier_columns": ["unit", "flag"],
    "other_extension_columns": [
        "table", "event", "avail_time", "end_time", "item", "ref_low", "ref_high",
    ],
}  # fmt: skip


def measurement_schema() -> dict[str, pl.DataType]:
    """`charts/data/<split>/<shard>.parquet`: one row is a measurement.

    Valid MEDS 0.4 DataSchema; sorted by subject_id, time (null = static, first), then `row_id`;
    a subject stands in one file. Visible at t if `time <= t` and `avail_time <= t`.

    - row_id: unique in the dataset and traceable: (table rank, row of the source file).
    - table: what the event is called in `tables.parquet`; never null.
    - event: number of the event within the subject, from 0, in file order.
    - encounter_id, stay_id: hospital admission; ED or ICU stay. Null outside any.
    - avail_time: when it was known; null = at `time`.
    - end_time: when it ended; not to be shown before.
    - item: what a clinician calls it; the answer string of decision tasks.
    - unit, ref_low, ref_high: of `numeric_value`; flag: as the source gives it.
    """
    import polars as pl

    return {
        "subject_id": pl.Int64(),
        "time": pl.Datetime("us"),
        "code": pl.String(),
        "numeric_value": pl.Float32(),
        "text_value": pl.String(),
        "row_id": pl.Int64(),
        "table": pl.String(),
        "event": pl.UInt32(),
        "encounter_id": pl.Int64(),
        "stay_id": pl.Int64(),
        "avail_time": pl.Datetime("us"),
        "end_time": pl.Datetime("us"),
        "item": pl.String(),
        "unit": pl.String(),
        "flag": pl.String(),
        "ref_low": pl.Float32(),
        "ref_high": pl.Float32(),
    }


def measurement_arrow_schema() -> pa.Schema:
    """The same as Arrow writes it: MEDS wants `code` string and `text_value` large_string."""
    import pyarrow as pa

    time = pa.timestamp("us")
    text = pa.string()
    return pa.schema(
        [
            pa.field("subject_id", pa.int64(), nullable=False),
            pa.field("time", time),
            pa.field("code", text, nullable=False),
            pa.field("numeric_value", pa.float32()),
            pa.field("text_value", pa.large_string()),
            pa.field("row_id", pa.int64(), nullable=False),
            pa.field("table", text, nullable=False),
            pa.field("event", pa.uint32(), nullable=False),
            pa.field("encounter_id", pa.int64()),
            pa.field("stay_id", pa.int64()),
            pa.field("avail_time", time),
            pa.field("end_time", time),
            pa.field("item", text),
            pa.field("unit", text),
            pa.field("flag", text),
            pa.field("ref_low", pa.float32()),
            pa.field("ref_high", pa.float32()),
        ]
    )


def detail_arrow_schema() -> pa.Schema:
    """`charts/detail/<split>/<shard>.parquet`: further fields of a measurement, by row_id.

    `fields` follows the names that `tables.parquet` gives for the measurement's table; a row
    all of whose fields are null has no line here. Same order as the data file.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("row_id", pa.int64(), nullable=False),
            pa.field("fields", pa.list_(pa.string()), nullable=False),
        ]
    )


def tables_schema() -> dict[str, pl.DataType]:
    """`charts/metadata/tables.parquet`: one row is a table of the timeline, in tie-break order.

    - heading: title of its events in a chart; fields: names of the detail fields, in order.
    - late: of `numeric_value`, `text_value` and the fields, those that became true only at
      `end_time` (durations, stop times, final status): masked before it, and for ever where
      `end_time` is null.
    """
    import polars as pl

    return {
        "table": pl.String(),
        "rank": pl.UInt8(),
        "heading": pl.String(),
        "fields": pl.List(pl.String()),
        "late": pl.List(pl.String()),
    }


def concepts_schema() -> dict[str, pl.DataType]:
    """`evidence/concepts.parquet`: the vocabulary; one row is a concept of this timeline.

    Sorted by concept; the row number is what sparse matrices call it.

    - concept: `kind//name` or `kind//name//direction`, lower case: `lab//creatinine//high`.
    - name: as a clinician reads it, direction included; codes: of the source and of coding
      systems, `SYSTEM:CODE`, by which knowledge is linked.
    - measurements, subjects: how often, over all splits and times: only to say coverage, never
      fitted on.
    """
    import polars as pl

    return {
        "concept": pl.String(),
        "kind": pl.String(),
        "name": pl.String(),
        "codes": pl.List(pl.String()),
        "measurements": pl.Int64(),
        "subjects": pl.Int64(),
    }


def lift_schema() -> dict[str, pl.DataType]:
    """`evidence/lift/<task>.parquet`: a pair of concepts that occur together, fitted on train.

    `n` units (the manifest says subjects or cases), of which n_target hold the target in the
    answer, n_history the history concept in the context, n_both both in one case. Sorted by
    target, then p, then history.

    - expected: of n_both, were the two independent within strata; lift: n_both / expected.
    - p: upper tail of the (stratified) hypergeometric; q: Benjamini-Hochberg over all pairs of
      the task that could pass; kept: whether the policy keeps the pair.
    """
    import polars as pl

    counts = {name: pl.UInt32() for name in ("n", "n_target", "n_history", "n_both")}
    return {
        "target": pl.String(),
        "history": pl.String(),
        **counts,
        "expected": pl.Float64(),
        "lift": pl.Float64(),
        "p": pl.Float64(),
        "q": pl.Float64(),
        "kept": pl.Boolean(),
    }


def graphs_schema() -> dict[str, pl.DataType]:
    """`evidence/graphs/<split>-<shard>.parquet`: one row is an edge of a case's thinking graph.

    Sorted by case_id, target, rank. Nothing here was known only after the prediction_time.

    - history: the concept in the context; event, row_id, time: the last measurement that has it.
    - path: concept, relation, node, ..., concept from target to history; null where only
      co-occurrence ties the two. hops: relations in it (0: the same node). sources: licence and
      origin of each relation.
    - n_both, lift, p, q: of the pair, without the case's own subject where that was fitted on;
      null where only knowledge ties the two.
    - rank: from 1 within a target. conditioned: targets are the true answers (training only);
      else the candidates.
    """
    import polars as pl

    return {
        "case_id": pl.String(),
        "target": pl.String(),
        "history": pl.String(),
        "rank": pl.UInt16(),
        "subject_id": pl.Int64(),
        "event": pl.UInt32(),
        "row_id": pl.Int64(),
        "time": pl.Datetime("us"),
        "path": pl.List(pl.String()),
        "hops": pl.UInt8(),
        "sources": pl.List(pl.String()),
        "n_both": pl.UInt32(),
        "lift": pl.Float64(),
        "p": pl.Float64(),
        "q": pl.Float64(),
        "conditioned": pl.Boolean(),
    }


def knowledge_schema() -> dict[str, dict[str, pl.DataType]]:
    """A knowledge folder: `nodes`, `names`, `edges`, `xrefs` (all .parquet), and a manifest.

    - nodes: node is unique; kind: disease, finding, drug, procedure, organism, test, class, ...;
      generic: too broad to mean anything, never a link target nor an inner node of a path.
    - names: lower case, white space collapsed; a name may stand for several nodes.
    - edges: `head relation tail` reads as a sentence; relation is one of relations.yaml;
      source: who says so; licence: SPDX id or the name of the terms. No loops, no duplicates.
    - xrefs: system:code of a node, such as ICD10CM:N17.9, LOINC:2160-0, RXNORM:4603.
    """
    import polars as pl

    def texts(*names: str) -> dict[str, pl.DataType]:
        return {name: pl.String() for name in names}

    return {
        "nodes": {**texts("node", "name", "kind", "source", "licence"), "generic": pl.Boolean()},
        "names": texts("node", "name", "source"),
        "edges": texts("head", "relation", "tail", "source", "licence"),
        "xrefs": texts("node", "system", "code"),
    }
