"""The comparison with the released code's cases: pairs, bounds, and the defects that are known."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.mini_charts import START, Row, at, fillers, row, scene, tasks

from ehrlich.base.errors import DataError
from ehrlich.cohorts import reference
from ehrlich.cohorts.build import cases_of
from ehrlich.cohorts.reference import (
    BILLED,
    UNEXPLAINED,
    UNTIMED,
    Odd,
    as_text,
    released_events,
    summary,
    without_filters,
)

DRAW = 40


def chart() -> list[Row]:
    rows = [row("patients", None), *fillers(7, 0, 10, 20)]
    rows += [row("labevents", DRAW, item, encounter_id=7) for item in ("Sodium", "Glucose")]
    return [*rows, *fillers(7, 50), row("labevents", 60, "Lactate", encounter_id=7)]


def written(folder: Path, events: pl.DataFrame, *, untimed: bool = False) -> Path:
    """The event list as the released code writes it; with a row of no time at its start."""
    rows = [
        {"subject_id": 1, "idx": line["event"] + (untimed and line["event"] > 0),
         "file_name": line["table"], "hadm_id": "7",
         "starttime": None if line["start"] is None else f"{line['start']:%Y-%m-%d %H:%M:%S}"}
        for line in events.to_dicts()
    ]  # fmt: skip
    if untimed:
        rows.append({"subject_id": 1, "idx": 1, "file_name": "hcpcsevents", "hadm_id": "7",
                     "starttime": "2150-01-01 00:00:00"})  # fmt: skip
    path = folder / "events.parquet"
    pl.DataFrame(rows).write_parquet(path)
    return path


def theirs(*cases: tuple[int, int, int, list[str]]) -> pl.DataFrame:
    """(begin, end, minute of the first, target) of the released cases of both draws."""
    times = {0: at(0), 1: at(0)}
    rows = [
        {"subject_id": 1, "encounter_id": 7, "target": target, "context_begin": begin,
         "context_end": end, "their_first": times[0], "their_last": last, "their_time": time}
        for (begin, end, place, target), last, time in zip(
            cases, (at(20), at(50)), (at(DRAW), at(60)), strict=False
        )
    ]  # fmt: skip
    return pl.DataFrame(rows)


def judged(folder: Path, released: pl.DataFrame, *, untimed: bool = False) -> pl.DataFrame:
    compat = scene(chart(), "compat")
    task = without_filters(tasks()["labevents"])
    starts = compat.events.select("subject_id", "event", "start", "table")
    ours = cases_of(compat, task).cases
    for end in ("first", "last"):
        names = {"event": f"context_{end}", "start": end, "table": f"{end}_table"}
        ours = ours.join(starts.rename(names), on=["subject_id", f"context_{end}"], how="left")
    odd = Odd.of(compat.events, released_events(written(folder, compat.events, untimed=untimed)))
    return reference._judged(reference._joined(ours, released, task), odd).sort("prediction_time")


BOTH = [(1, 4, 0, ["Glucose", "Sodium"]), (1, 6, 1, ["Lactate"])]


def test_equal_cases_are_equal(tmp_path: Path) -> None:
    found = judged(tmp_path, theirs(*BOTH))
    assert found["side"].to_list() == ["both", "both"]
    assert found["same_answer"].to_list() == found["same_bounds"].to_list() == [True, True]
    assert found["touched"].to_list() == [False, False]
    assert found["why"].to_list() == ["", ""]


def test_what_differs_without_a_known_defect_is_unexplained(tmp_path: Path) -> None:
    released = theirs((1, 4, 0, ["Glucose"]), BOTH[1])
    assert judged(tmp_path, released)["why"].to_list() == [UNEXPLAINED, ""]


def test_a_row_without_time_next_to_the_context_explains(tmp_path: Path) -> None:
    late = theirs((1, 5, 0, ["Glucose", "Sodium"]), (2, 7, 1, ["Lactate"]))
    late = late.with_columns(their_first=pl.lit(START.replace(year=2140)))
    found = judged(tmp_path, late, untimed=True)
    assert found["why"].to_list() == [UNTIMED, UNTIMED]
    assert found["touched"].all()


def test_moved_billing_codes_are_found() -> None:
    rows = [*fillers(7, 0, 10), row("diagnoses_icd", 15, "Sepsis", encounter_id=7), *fillers(8, 20)]
    events = scene(rows, "compat").events
    released = events.select("subject_id", "event", "table", "start", "encounter_id").rename(
        {"event": "idx"}
    )
    assert Odd.of(events, released).moved.is_empty()
    last = released.filter(pl.col("table") == "diagnoses_icd").with_columns(
        idx=pl.lit(9, dtype=pl.UInt32), start=pl.lit(None, dtype=pl.Datetime("us"))
    )
    moved = pl.concat([released.filter(pl.col("table") != "diagnoses_icd"), last])
    odd = Odd.of(events, moved)
    assert odd.moved["encounter_id"].to_list() == [7]
    assert odd.ours["idx"].to_list() == [2]


def test_a_case_of_one_side_alone_is_counted(tmp_path: Path) -> None:
    lines = judged(tmp_path, theirs(BOTH[0])).with_columns(task=pl.lit("labevents"))
    line = summary(lines).row(0, named=True)
    assert (line["released"], line["ours"], line["same"]) == (1, 2, 1)
    assert (line["same_share"], line[UNEXPLAINED], line[BILLED]) == (0.5, 1, 0)
    assert "labevents" in as_text(summary(lines))


def test_strict_charts_are_refused(hospital: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs compat charts"):
        reference.compare_reference(hospital["strict"], tmp_path)


@pytest.mark.slow
def test_the_released_cases_of_the_demo(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = shared / "data" / "ehr-r1-golden"
    source = shared / "data" / "mimic-iv-demo-2.2"
    if not (golden.is_dir() and source.is_dir()):
        pytest.skip("the released cases or the demo are not at hand")
    asked = ["--source", str(source), "--golden", str(golden), "--charts", str(tmp_path / "charts")]
    assert reference.main(asked) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 13
