"""Scores by hand, and the released scorer's own vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ehrlich.base.errors import DataError
from ehrlich.cohorts.released import (
    released_accuracy,
    released_disease,
    released_rouge_1,
    released_score,
    released_sets,
    stem,
)
from ehrlich.cohorts.rouge import rouge_l
from ehrlich.cohorts.scoring import (
    UNSCORED,
    score_exact,
    score_sets,
    score_texts,
    score_yes_no,
    set_f1,
    set_scores,
    task_mean,
)

CASES = pl.DataFrame(
    {
        "case_id": ["a", "b", "c", "d", "e", "f"],
        "task": ["labs", "labs", "labs", "drugs", "drugs", "omr"],
        "answer": [["Sodium", "pH "], ["Iron"], ["Urea"], ["Gold", "gold "], [" "], ["BMI"]],
        "answer_seen": [[True, False], [True], [False], [False, True], [False], [False]],
        "subject_id": [1, 2, 3, 4, 5, 6],
    }
)
PREDICTIONS = pl.DataFrame(
    {
        "case_id": ["d", "a", "c", "b", "e", "elsewhere"],
        "status": ["ok", "ok", "refused", "ok", "ok", "ok"],
        "items": [["GOLD", "gold", "tin"], ["sodium", " PH", "Iron"], [], ["Iron"], ["x"], ["x"]],
    }
)


def column(frame: pl.DataFrame, name: str) -> list[Any]:
    return frame[name].to_list()


def test_set_scores_of_a_frame() -> None:
    scores = score_sets(CASES, PREDICTIONS)
    assert scores.columns == [
        "case_id", "task", "status", "precision", "recall", "f1", "new_f1",
        "n_answer", "n_new", "n_predicted",
    ]  # fmt: skip
    assert column(scores, "case_id") == list("abcdef")
    assert column(scores, "status") == ["ok", "ok", "refused", "ok", "unlabelled", "missing"]
    assert column(scores, "precision") == [2 / 3, 1, None, 1 / 2, None, None]
    assert column(scores, "recall") == [1, 1, None, 1, None, None]
    assert column(scores, "f1") == [0.8, 1, None, 2 / 3, None, None]
    # a: Sodium was seen, so it is neither right nor wrong; b and d: nothing new to find.
    assert column(scores, "new_f1") == [2 / 3, None, None, None, None, None]
    assert column(scores, "n_answer") == [2, 1, 1, 1, 0, 1]
    assert column(scores, "n_new") == [1, 0, 1, 0, 0, 1]
    assert column(scores, "n_predicted") == [3, 1, None, 2, None, None]


def test_repeats_may_count_against_the_precision() -> None:
    scores = score_sets(CASES, PREDICTIONS, duplicates="count")
    assert scores.row(3, named=True)["precision"] == 1 / 3
    assert scores.row(3, named=True)["recall"] == 1
    assert set_f1(["a", "a", "b"], ["a", "b"]) == 1
    assert set_f1(["a", "A ", "b"], ["a", "b"], duplicates="count") == 0.8
    scored = set_scores(["b", "a", "a"], ["a", "b"], answer_seen=[True, False], duplicates="count")
    assert scored is not None
    assert scored.new_f1 == 1  # repeats of a seen item leave with it


def test_copying_the_context_earns_nothing_new() -> None:
    context = ["Sodium", "Potassium", "Urea"]
    scored = set_scores(context, ["Sodium", "pH"], answer_seen=[True, False])
    assert scored is not None
    assert scored.f1 > 0
    assert scored.new_f1 == 0


def test_empty_sides() -> None:
    assert set_scores(["a"], ["", " "]) is None
    assert set_f1([], ["a"]) == 0
    assert set_f1(["", " "], ["a"]) == 0
    none = PREDICTIONS.with_columns(items=pl.lit(None, pl.List(pl.String)))
    assert column(score_sets(CASES, none), "status")[0] == "unparsed"
    empty = score_sets(CASES.clear(), PREDICTIONS.clear())
    assert empty.schema == score_sets(CASES, PREDICTIONS).schema
    assert task_mean(empty).mean is None


def test_without_answer_seen_or_task() -> None:
    scores = score_sets(CASES.drop("answer_seen", "task"), PREDICTIONS)
    assert column(scores, "new_f1") == [None] * 6
    assert "task" not in scores.columns


def test_a_case_twice_and_uneven_columns_are_errors() -> None:
    with pytest.raises(DataError, match="predictions: a case stands twice"):
        score_sets(CASES, pl.concat([PREDICTIONS, PREDICTIONS]))
    with pytest.raises(DataError, match="cases: a case stands twice"):
        score_yes_no(pl.concat([CASES, CASES]), PREDICTIONS)
    with pytest.raises(DataError, match="differ in length"):
        score_sets(CASES.with_columns(answer_seen=pl.lit([True])), PREDICTIONS)


def test_accuracy_wants_the_one_item_and_no_other() -> None:
    scores = score_exact(CASES, PREDICTIONS)
    assert column(scores, "accuracy") == [0, 1, None, 0, None, None]
    assert column(scores, "status")[2:] == ["refused", "ok", "unlabelled", "missing"]


def test_yes_no() -> None:
    cases = pl.DataFrame({"case_id": range(5), "boolean_value": [True, False, True, None, True]})
    predictions = pl.DataFrame(
        {
            "case_id": range(4),
            "status": ["ok", "ok", "unparsed", "ok"],
            "answer": [True, True, None, False],
            "output": ["Yes", "not sure", "yes.", "no"],
        }
    )
    scores = score_yes_no(cases, predictions)
    assert column(scores, "accuracy") == [1, 0, None, None, None]
    assert column(scores, "status") == ["ok", "ok", "unparsed", "unlabelled", "missing"]
    released = score_yes_no(cases, predictions, mode="released")
    assert column(released, "accuracy") == [0, 1, 1, None, None]


def test_texts() -> None:
    cases = CASES.select("case_id", "task", answer=pl.lit(["the patient went home", "ignored"]))
    items = [["Patient went HOME."], ["x"], None, [""], ["the patient went home"], ["x"]]
    predictions = PREDICTIONS.with_columns(items=pl.Series(items), output=pl.lit("homes"))
    scores = score_texts(cases, predictions)
    assert scores.sort("case_id").select("case_id", "rouge").rows() == [
        ("a", 0), ("b", 0), ("c", None), ("d", 6 / 7), ("e", 1), ("f", None),
    ]  # fmt: skip
    assert column(scores, "status") == ["ok", "ok", "refused", "ok", "ok", "missing"]
    released = score_texts(cases, predictions, mode="released")
    assert column(released, "rouge")[0] == 2 * 1 * 0.25 / 1.25
    blank = score_texts(cases.with_columns(answer=pl.lit([" \u2003"])), predictions)
    assert set(column(blank, "status")) == {"unlabelled"}


@pytest.mark.parametrize(
    ("text", "reference", "f1"),
    [
        ("a b c d", "a c b d", 0.75),
        ("a b", "b a", 0.5),
        ("The patient's well", "the patient s well!", 1.0),
        ("\u00dcbel", "\u00fcbel", 1.0),
        ("", "a", 0.0),
        ("a", "...", 0.0),
    ],
)
def test_rouge_l(text: str, reference: str, f1: float) -> None:
    assert rouge_l(text, reference) == f1


@pytest.mark.parametrize(
    ("word", "stemmed"),
    [
        ("caresses", "caress"), ("ponies", "poni"), ("ties", "tie"), ("agreed", "agre"),
        ("feed", "feed"), ("plastered", "plaster"), ("motoring", "motor"), ("hopping", "hop"),
        ("falling", "fall"), ("filing", "file"), ("conflated", "conflat"), ("happy", "happi"),
        ("enjoy", "enjoy"), ("relational", "relat"), ("radically", "radic"), ("died", "die"),
        ("electricity", "electr"), ("goodness", "good"), ("adjustable", "adjust"), ("sky", "sky"),
        ("adoption", "adopt"), ("effective", "effect"), ("rate", "rate"), ("cease", "ceas"),
        ("controlling", "control"), ("rolls", "roll"), ("geology", "geolog"), ("no", "no"),
    ],
)  # fmt: skip
def test_stems(word: str, stemmed: str) -> None:
    assert stem(word) == stemmed


def test_means_over_cases_then_tasks() -> None:
    scores = score_sets(CASES, PREDICTIONS)
    found = task_mean(scores)
    assert found.mean == pytest.approx((0.9 + 2 / 3) / 2)
    assert found.mean_unparsed_as_wrong is None
    assert "mean_unparsed_as_wrong" not in found.tasks.columns
    assert column(found.tasks, "task") == ["drugs", "labs", "omr"]
    assert column(found.tasks, "n") == [2, 3, 1]
    assert column(found.tasks, "n_scored") == [1, 2, 0]
    assert column(found.tasks, "n_refused") == [0, 1, 0]
    assert column(found.tasks, "n_unlabelled") == [1, 0, 0]
    assert column(found.tasks, "n_missing") == [0, 0, 1]
    parts = pl.sum_horizontal("n_scored", "n_not_applicable", *(f"n_{name}" for name in UNSCORED))
    assert found.tasks.filter(parts != pl.col("n")).is_empty()


def test_the_pessimistic_mean_counts_what_the_model_failed_at() -> None:
    scores = score_sets(CASES, PREDICTIONS)
    found = task_mean(scores, unparsed_as_wrong=True)
    assert column(found.tasks, "mean_unparsed_as_wrong") == [2 / 3, pytest.approx(0.6), None]
    assert found.mean_unparsed_as_wrong == pytest.approx((0.6 + 2 / 3) / 2)
    new = task_mean(scores, "new_f1", unparsed_as_wrong=True)
    assert column(new.tasks, "n_not_applicable") == [1, 1, 0]
    assert column(new.tasks, "mean_unparsed_as_wrong") == [None, pytest.approx(1 / 3), None]


def vectors(shared: Path, function: str) -> list[dict[str, Any]]:
    path = shared / "data" / "ehr-r1-golden" / "metric_vectors.json"
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return [vector for vector in found if vector["fn"] == function]


def three(result: dict[str, float]) -> tuple[float, float, float]:
    return result["precision"], result["recall"], result["f1"]


def test_released_vectors_of_sets(shared: Path) -> None:
    found = vectors(shared, "calculate_em")
    assert len(found) == 69
    for vector in found:
        assert released_sets(vector["pred"], vector["true"]) == three(vector["result"]), vector


def test_released_vectors_of_accuracy(shared: Path) -> None:
    found = vectors(shared, "calculate_acc")
    assert len(found) == 31
    for vector in found:
        # One label is a JSON `true`, which that code turns into lower-case text; ours are text.
        label = vector["true"] if isinstance(vector["true"], str) else str(vector["true"]).lower()
        assert released_accuracy(vector["pred"], label) == vector["result"]["acc"], vector


def test_released_vectors_of_texts_and_diseases(shared: Path) -> None:
    found = vectors(shared, "calculate_rouge")
    assert len(found) == 37
    for vector in found:
        assert released_rouge_1(vector["pred"], vector["true"]) == three(vector["result"]), vector
    for vector in vectors(shared, "calculate_cdm"):
        assert released_disease(vector["pred"], vector["true"]) == vector["result"]["acc"]


def test_released_vectors_of_whole_outputs(shared: Path) -> None:
    found = vectors(shared, "get_score")
    assert len(found) == 73
    for vector in found:
        output, label, metric = vector["trajectory"], vector["label"], vector["metric"]
        if "error" in vector["result"]:  # there a NotImplementedError, here one of the house's
            with pytest.raises(DataError, match="no such metric"):
                released_score(output, label, metric=metric)
            continue
        score = released_score(output, label, metric=metric)
        if "acc" in vector["result"]:
            assert score.f1 == vector["result"]["acc"], vector
        else:
            assert score == three(vector["result"]), vector


def test_released_vectors_as_a_frame(shared: Path) -> None:
    found = [
        vector for vector in vectors(shared, "get_score")
        if vector["metric"] in ("em", "recall", "f1")
    ]  # fmt: skip
    cases = pl.DataFrame({"case_id": range(len(found)), "answer": [v["label"] for v in found]})
    outputs = cases.select("case_id", output=pl.Series(v["trajectory"] for v in found))
    scores = score_sets(cases, outputs, mode="released")
    expected = [three(vector["result"]) for vector in found]
    assert scores.select("precision", "recall", "f1").rows() == expected
