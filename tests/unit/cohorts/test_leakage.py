"""The probes find what they look for, and nothing in the shipped strict tasks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.mini_charts import DAY, HOUR, Row, ed, fillers, icu, row, scene, stay, tasks

from ehrlich.base.errors import DataError
from ehrlich.charts.timeline import Charts
from ehrlich.cohorts import single_features
from ehrlich.cohorts.build import cases_of
from ehrlich.cohorts.context import context_rows
from ehrlich.cohorts.leakage import audit, audit_text, constant_f1, label_bearing, leaks
from ehrlich.cohorts.run import CasesConfig, run
from ehrlich.cohorts.single_features import aurocs, best_feature, length_auroc
from ehrlich.cohorts.task import Task


@pytest.fixture(scope="module")
def audited(hospital: dict[str, Path], hospital_cases: dict[str, Path]) -> pl.DataFrame:
    return audit(hospital_cases["strict"], Charts(hospital["strict"]), per_task=150)


def test_no_strict_task_leaks(audited: pl.DataFrame) -> None:
    assert leaks(audited).select("task", "reasons").rows() == []
    assert audited["shift_changed"].sum() == 0
    assert audited["unknown_rows"].sum() == 0
    assert set(audited["task"]) == set(tasks())


def test_the_table_has_a_line_a_task(audited: pl.DataFrame) -> None:
    lines = audit_text(audited).splitlines()
    assert len(lines) == 1 + audited.height
    assert all(name in line for name, line in zip(audited["task"], lines[1:], strict=True))


def test_the_same_seed_gives_the_same_table(hospital: dict[str, Path], tmp_path: Path) -> None:
    few = ("labevents", "inpatient_mortality", "procedures_ccs")
    run(CasesConfig(tasks=few, workers=1, quiet=True), hospital["strict"], tmp_path / "cases")
    charts = Charts(hospital["strict"])
    first, again, other = (
        audit(tmp_path / "cases", charts, seed=seed, per_task=80) for seed in (1, 1, 2)
    )
    assert again.equals(first)
    assert not other.equals(first)


def test_released_definitions_leak(
    hospital: dict[str, Path], hospital_cases: dict[str, Path]
) -> None:
    found = audit(hospital_cases["compat"], Charts(hospital["compat"]), per_task=300)
    reasons = dict(leaks(found).select("task", "reasons").iter_rows())
    assert "not yet known" in reasons["length_of_stay_3d"]


def test_cases_of_other_charts_are_refused(
    hospital: dict[str, Path], hospital_cases: dict[str, Path]
) -> None:
    with pytest.raises(DataError, match="other charts"):
        audit(hospital_cases["strict"], Charts(hospital["compat"]))


def telling(rows: list[Row], task: Task) -> int:
    """How many cases show the outcome, if what is known is not asked for."""
    chart = scene(rows)
    cases = cases_of(chart, task).cases
    return label_bearing(
        cases,
        context_rows(cases, chart.rows, task=task, source=chart.source),
        task=task,
        source=chart.source,
    ).len()


def test_an_outcome_in_the_context_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ehrlich.cohorts.context.visible", lambda rows, at, *, tables: rows)
    wide = {"prediction_time": pl.col("prediction_time") + pl.duration(days=30)}
    for name, rows in (
        ("inpatient_mortality", stay(7, 0, 5 * DAY, dies=True)),
        ("length_of_stay_3d", stay(7, 0, 5 * DAY)),
        ("icu_stay_7d", [*stay(7, 0, 9 * DAY), *icu(7, 70, 60, 8 * DAY)]),
        ("readmission_30d", [*stay(7, 0, 5 * DAY), *stay(8, 9 * DAY, 12 * DAY)]),
    ):
        task, chart = tasks()[name], scene(rows)
        if name == "readmission_30d":
            loose = task.context.model_copy(update={"since": "encounter", "hours": None,
                                                    "same_encounter": False})  # fmt: skip
            task = task.model_copy(update={"context": loose})
        cases = cases_of(chart, task).cases.head(1)
        sound = context_rows(cases, chart.rows, task=task, source=chart.source)
        assert label_bearing(cases, sound, task=task, source=chart.source).is_empty(), name
        later = cases.with_columns(**wide)
        shown = context_rows(later, chart.rows, task=task, source=chart.source)
        assert label_bearing(later, shown, task=task, source=chart.source).len() == 1, name


def test_the_anchor_s_own_rows_are_found() -> None:
    rows = [*fillers(7, 0, 10, 20), row("labevents", 30, "Sodium", encounter_id=7)]
    task, chart = tasks()["labevents"], scene(rows)
    cases = cases_of(chart, task).cases
    at_anchor = cases.with_columns(pl.col("prediction_time") + pl.duration(microseconds=1))
    shown = context_rows(at_anchor, chart.rows, task=task, source=chart.source)
    assert label_bearing(at_anchor, shown, task=task, source=chart.source).len() == 1
    assert telling(rows, task) == 0


def test_what_belongs_to_an_earlier_stay_tells_nothing() -> None:
    rows = [
        *ed(1, 0, 2 * HOUR),
        *ed(2, 3 * HOUR, 9 * HOUR, encounter=7),
        *stay(7, 8 * HOUR, 3 * DAY),
    ]
    assert telling(rows, tasks()["ed_hospitalization"]) == 0


def plain_auroc(values: np.ndarray, labels: np.ndarray) -> float:
    pairs = values[labels][:, None] - values[~labels][None, :]
    area = float((pairs > 0).mean() + (pairs == 0).mean() / 2)
    return max(area, 1 - area)


def test_aurocs_are_those_of_all_pairs() -> None:
    random = np.random.default_rng(0)
    count = 120
    names = [f"{place:03d}" for place in range(count)]
    truth = random.random(count) < 0.4
    labels = pl.DataFrame({"case_id": names, "boolean_value": truth})
    dense = random.integers(0, 4, count) + truth * random.integers(0, 2, count)
    frame = pl.DataFrame({"case_id": names, "feature": "f", "value": dense.astype(float)})
    sparse = aurocs(frame.filter(pl.col("value") > 0), labels, absent_is_zero=True)
    assert sparse["auroc"][0] == pytest.approx(plain_auroc(dense, truth))
    has = dense > 0
    partial = aurocs(frame.filter(pl.col("value") > 0), labels, absent_is_zero=False)
    assert partial["auroc"][0] == pytest.approx(plain_auroc(dense[has], truth[has]))


def test_a_feature_that_is_the_label_is_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [str(place) for place in range(50)]
    truth = [place % 2 == 0 for place in range(50)]
    labels = pl.DataFrame({"case_id": names, "boolean_value": truth})
    tells = [name for name, yes in zip(names, truth, strict=True) if yes]
    counts = pl.DataFrame({"case_id": [*tells, *names], "feature": ["tell"] * 25 + ["all"] * 50,
                           "value": [1.0] * 75})  # fmt: skip
    best = best_feature(counts, counts.clear(), labels=labels)
    assert best == ("tell (present)", 1.0) or best == ("tell (count)", 1.0)
    few = labels.head(30)
    assert best_feature(counts, counts.clear(), labels=few) == (None, None)
    lengths = labels.with_columns(context_events=pl.col("boolean_value").cast(pl.Int64) * 5)
    assert length_auroc(lengths) == 1.0
    assert length_auroc(lengths.head(30)) is None
    assert single_features.LEAST == 20


def test_the_best_constant_answer() -> None:
    cases = pl.DataFrame(
        {"case_id": ["1", "2"], "task": "t", "answer": [["a", "b"], ["A"]],
         "answer_seen": [[False, False], [False]]}
    )  # fmt: skip
    # `a` alone: F1 of 2/3 and 1; `a, b`: 1 and 2/3.
    assert constant_f1(cases) == pytest.approx(5 / 6)
