"""Our compat cases against those of the paper's released code on the open MIMIC-IV demo.

`python -m ehrlich.cohorts.reference --source DEMO --golden FOLDER --charts CHARTS` reads the demo
into CHARTS with the golden run's own code maps, and compares; without `--source` CHARTS must be
there, read with `--policy compat`. The golden folder holds the released code's event list and
cases, before its filters on length; ours are built without them. What differs is laid to a defect
of the released code by rule, or counted as unexplained.

The defects (both from rows that the released code has no time for, hcpcsevents and microbiology
without charttime, which it puts in twice at each end of a patient's list): a context that such a
row makes run over the whole record, and billing codes that follow such a row to the end.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ehrlich.base.errors import DataError
from ehrlich.charts.readers import ReadConfig, read_source
from ehrlich.charts.timeline import Charts
from ehrlich.cohorts.build import cases_of
from ehrlich.cohorts.scene import SUBJECT, Scene, Source, events_of
from ehrlich.cohorts.task import Task, load_tasks

BILLING = ["diagnoses_icd", "drgcodes"]
TIME = "%Y-%m-%d %H:%M:%S"
UNTIMED = "a row without time stands in or next to the context"
BILLED = "billing codes that follow a row without time stand in or next to the context"
UNEXPLAINED = "unexplained"


def compare_reference(
    charts: Path, golden: Path, *, tasks_folder: Path | None = None
) -> pl.DataFrame:
    """One row a case of ours or theirs.

    task, side (`both`, `ours`, `theirs`), same_answer, same_bounds, touched (by a listed defect),
    why (empty where nothing differs).
    """
    source = Charts(charts)
    known = {task.compat.name: task for task in load_tasks(tasks_folder).values()}
    theirs = {path.stem: path for path in sorted((golden / "tasks").glob("*.parquet"))}
    if not theirs or source.policy != "compat":
        raise DataError(
            "the comparison needs compat charts and a folder of released cases",
            where=f"{charts}, {golden}",
            got=f"policy {source.policy}, {len(theirs)} tasks",
        )
    found = [(name, known[name]) for name in theirs if name in known]
    ours = our_cases(source, [without_filters(task) for _, task in found])
    events = pl.concat([events_of(source.read(shard)) for shard in source.shards()])
    released = released_events(golden / "events.parquet")
    odd = Odd.of(events, released)
    lines = [
        _judged(_joined(ours[task.task], released_cases(theirs[name]), task), odd).select(
            pl.lit(name).alias("task"), "side", "same_answer", "same_bounds", "touched", "why"
        )
        for name, task in found
    ]
    return pl.concat(lines)


def written_maps(mapping: Path, folder: Path) -> Path:
    """The golden run's tables of CCS and ATC names, as `--maps` wants them."""
    folder.mkdir(parents=True, exist_ok=True)
    for theirs, ours, names in (
        ("d_ccs_diagnoses", "ccs_diagnoses", {"long_title": "ccs"}),
        ("d_ccs_procedures", "ccs_procedures", {"long_title": "ccs"}),
        ("d_atc_prescriptions", "atc_by_ndc", {"ndc_code": "ndc", "atc_name": "atc"}),
    ):
        table = pl.read_csv(mapping / "hosp" / f"{theirs}.csv.gz", infer_schema=False)
        table.rename(names).write_csv(folder / f"{ours}.csv")
    return folder


def without_filters(task: Task) -> Task:
    """The task without the filters on length that the released index applies afterwards."""
    context = task.under("compat").context.model_copy(
        update={
            "min_events": 1,
            "max_events": None,
            "max_subject_events": None,
            "admission_inside": False,
        }
    )
    return task.model_copy(update={"compat": task.compat.model_copy(update={"context": context})})


def our_cases(charts: Charts, tasks: Sequence[Task]) -> dict[str, pl.DataFrame]:
    """Each task's cases, with start and table of their first and last context event."""
    found: dict[str, list[pl.DataFrame]] = {task.task: [] for task in tasks}
    for shard in charts.shards():
        scene = Scene(charts.read(shard, fields=True), Source.of(charts))
        starts = scene.events.select(SUBJECT, "event", "start", "table")
        for task in tasks:
            cases = cases_of(scene, task).cases
            for end in ("first", "last"):
                own = starts.rename(
                    {"event": f"context_{end}", "start": end, "table": f"{end}_table"}
                )
                cases = cases.join(
                    own, on=[SUBJECT, f"context_{end}"], how="left", maintain_order="left"
                )
            found[task.task].append(cases)
    return {task: pl.concat(parts) for task, parts in found.items()}


def released_cases(path: Path) -> pl.DataFrame:
    """The released code's cases of a task: ids, target, bounds as indices and times."""
    raw = pl.read_parquet(path)
    return raw.select(
        pl.col(SUBJECT).cast(pl.Int64),
        pl.col("hadm_id").cast(pl.Int64, strict=False).alias("encounter_id"),
        "target",
        "context_begin",
        "context_end",
        _time("context_begin_time").alias("their_first"),
        _time("context_last_time").alias("their_last"),
        _time("target_time").alias("their_time"),
    )


def released_events(path: Path) -> pl.DataFrame:
    """The released code's event list: subject_id, idx, table, start, encounter_id."""
    return pl.read_parquet(path).select(
        SUBJECT, "idx", pl.col("file_name").alias("table"), _time("starttime").alias("start"),
        pl.col("hadm_id").cast(pl.Int64, strict=False).alias("encounter_id"),
    )  # fmt: skip


def _time(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).str.to_datetime(TIME, strict=False, time_unit="us")


class Odd:
    """Events that a listed defect of the released code puts in or moves, in both lists."""

    def __init__(self, untimed: pl.DataFrame, moved: pl.DataFrame, ours: pl.DataFrame) -> None:
        self.untimed, self.moved, self.ours = untimed, moved, ours

    @classmethod
    def of(cls, events: pl.DataFrame, released: pl.DataFrame) -> Odd:
        """From our events and theirs.

        - untimed: theirs of rows without time. moved: theirs of encounters whose billing codes do
          not follow the event that they follow in ours. ours: our billing events of those.
        """
        lost = pl.col("table") == "hcpcsevents"
        lost |= pl.col("start").is_null() & (pl.col("table") == "microbiologyevents")
        untimed = released.filter(lost).select(SUBJECT, "idx")
        theirs = _billing(released, "idx")
        mine = _billing(events.rename({"event": "idx"}), "idx")
        keys = [SUBJECT, "encounter_id", "table"]
        both = theirs.join(mine, on=keys, how="full", suffix="_mine", coalesce=True)
        differs = both.filter(
            pl.col("_before").ne_missing(pl.col("_before_mine"))
            | pl.col("_at").ne_missing(pl.col("_at_mine"))
            | pl.col("_next").ne_missing(pl.col("_next_mine"))
        )
        moved = differs.select(SUBJECT, "encounter_id").unique()
        ours = mine.join(moved, on=[SUBJECT, "encounter_id"], how="semi")
        return cls(untimed, moved, ours.select(SUBJECT, "idx"))


def _billing(events: pl.DataFrame, index: str) -> pl.DataFrame:
    """Billing events with the neighbours that they have: (table, start) before, table after."""
    around = events.sort(SUBJECT, index).with_columns(
        _before=pl.col("table").shift().over(SUBJECT),
        _at=pl.col("start").shift().over(SUBJECT),
        _next=pl.col("table").shift(-1).over(SUBJECT),
    )
    columns = [SUBJECT, "encounter_id", "table", index, "_before", "_at", "_next"]
    billing = around.filter(pl.col("table").is_in(BILLING)).select(columns)
    # Of billing codes that follow billing codes only the place counts, not a time of their own.
    follows = pl.col("_before").is_in(BILLING)
    return billing.with_columns(_at=pl.when(~follows).then(pl.col("_at")))


def _joined(ours: pl.DataFrame, theirs: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Cases of the same subject, encounter and anchor time, the nth with the nth."""
    keys = [SUBJECT, "encounter_id"]
    decision = task.kind == "decision"
    if task.anchor.table not in BILLING:
        keys.append("_anchor")
    mine = ours.with_columns(_anchor=pl.col("prediction_time" if decision else "first"))
    mine = mine.sort(SUBJECT, "anchor_event").with_columns(_nth=pl.int_range(pl.len()).over(keys))
    other = theirs.with_columns(_anchor=pl.col("their_time" if decision else "their_first"))
    other = other.sort(SUBJECT, "context_end").with_columns(
        _nth=pl.int_range(pl.len()).over(keys), _theirs=pl.lit(value=True)
    )
    return mine.drop("flags").join(
        other, on=[*keys, "_nth"], how="full", nulls_equal=True, coalesce=True
    )


def _judged(joined: pl.DataFrame, odd: Odd) -> pl.DataFrame:
    """`joined` with side, same_answer, same_bounds, touched, why."""
    ours, theirs = pl.col("case_id").is_not_null(), pl.col("_theirs").is_not_null()
    both = ours & theirs
    # The released code may not say a time for DRG codes that stand last.
    untold = pl.col("their_last").is_null() & (pl.col("last_table") == "drgcodes")
    cases = joined.with_row_index("_case").with_columns(
        side=pl.when(both).then(pl.lit("both")).when(ours).then(pl.lit("ours")).otherwise(
            pl.lit("theirs")
        ),
        same_answer=pl.when(both).then(_sorted("answer") == _sorted("target")),
        same_bounds=pl.when(both).then(
            pl.col("first").eq_missing(pl.col("their_first"))
            & (pl.col("last").eq_missing(pl.col("their_last")) | untold)
        ),
    )  # fmt: skip
    untimed = _near(cases, odd.untimed, "context_begin", "context_end")
    reach = pl.max_horizontal("context_last", "anchor_event")
    billed = _near(cases.with_columns(_reach=reach), odd.ours, "context_first", "_reach")
    moved = cases.join(odd.moved, on=[SUBJECT, "encounter_id"], how="semi")["_case"]
    own = pl.col("_case").is_in(moved.implode()) & (pl.col("side") != "both")
    by_untimed = pl.col("_case").is_in(untimed.implode())
    by_billed = pl.col("_case").is_in(billed.implode()) | own
    same = pl.col("same_answer") & pl.col("same_bounds")
    return cases.with_columns(
        touched=by_untimed | by_billed,
        why=pl.when(same).then(pl.lit(""))
        .when(by_untimed).then(pl.lit(UNTIMED))
        .when(by_billed).then(pl.lit(BILLED))
        .otherwise(pl.lit(UNEXPLAINED)),
    )  # fmt: skip


def _sorted(column: str) -> pl.Expr:
    return pl.col(column).list.sort()


def _near(cases: pl.DataFrame, events: pl.DataFrame, first: str, last: str) -> pl.Series:
    """_case of those with one of the events from one before `first` to one after `last`."""
    low, high = (pl.col(name).cast(pl.Int64) for name in (first, last))
    bounds = cases.select("_case", SUBJECT, _low=low - 1, _high=high + 1)
    pairs = bounds.join(events.with_columns(pl.col("idx").cast(pl.Int64)), on=SUBJECT)
    inside = pairs.filter(pl.col("idx").is_between("_low", "_high"))
    return inside["_case"].unique()


def summary(cases: pl.DataFrame) -> pl.DataFrame:
    """Per task: counts, shares of equal cases, and what differs by reason."""
    both = pl.col("side") == "both"
    clean = both & ~pl.col("touched")
    found = cases.group_by("task", maintain_order=True).agg(
        (pl.col("side") != "ours").sum().alias("released"),
        (pl.col("side") != "theirs").sum().alias("ours"),
        (both & pl.col("same_answer")).sum().alias("same"),
        (both & ~pl.col("touched") & pl.col("same_answer")).sum().alias("untouched_same"),
        (~pl.col("touched")).sum().alias("untouched_cases"),
        clean.sum().alias("untouched"),
        (clean & pl.col("same_bounds")).sum().alias("untouched_same_bounds"),
        (both & ~pl.col("same_bounds")).sum().alias("other_bounds"),
        *((pl.col("why") == why).sum().alias(why) for why in (UNTIMED, BILLED, UNEXPLAINED)),
    )
    return found.with_columns(
        same_share=pl.col("same") / pl.max_horizontal("released", "ours"),
        untouched_share=pl.col("untouched_same") / pl.col("untouched_cases"),
        bounds_share=pl.col("untouched_same_bounds") / pl.col("untouched"),
    )


def as_text(found: pl.DataFrame) -> str:
    """The summary as a table that a person reads."""
    head = (
        f"{'task':<20} {'released':>8} {'ours':>7} {'same answer':>16} {'untouched':>9} "
        f"{'same answer':>11} {'same bounds':>11} {'differ: untimed':>15} {'billing':>7} "
        f"{'other':>5}"
    )
    lines = [
        f"{row['task']:<20} {row['released']:>8,} {row['ours']:>7,} "
        f"{row['same']:>8,} {row['same_share']:>7.2%} {row['untouched_cases']:>9,} "
        f"{row['untouched_share']:>11.2%} {row['bounds_share']:>11.2%} "
        f"{row[UNTIMED]:>15,} {row[BILLED]:>7,} {row[UNEXPLAINED]:>5,}"
        for row in found.to_dicts()
    ]
    notes = [f"untimed: {UNTIMED}", f"billing: {BILLED}", "untouched: by neither"]
    return "\n".join([head, *lines, *notes])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where of the untouched cases less than 99 % agree in a task."""
    parser = argparse.ArgumentParser(prog="python -m ehrlich.cohorts.reference")
    parser.add_argument("--charts", type=Path, required=True)
    parser.add_argument("--golden", type=Path, required=True)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--tasks", type=Path)
    asked = parser.parse_args(arguments)
    if asked.source is not None:
        maps = written_maps(asked.golden / "index_mapping", asked.charts.with_name("maps"))
        config = ReadConfig(policy="compat", maps=maps, workers=1, resume=True, quiet=True)
        read_source(config, asked.source, asked.charts)
    found = summary(compare_reference(asked.charts, asked.golden, tasks_folder=asked.tasks))
    sys.stdout.write(as_text(found) + "\n")
    low = found.filter((pl.col("untouched_share") < 0.99) | (pl.col("bounds_share") < 0.99))
    return int(low.height > 0)


if __name__ == "__main__":
    raise SystemExit(main())
