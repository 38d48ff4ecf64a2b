"""The one scorer: reward, benchmark and report all ask it, on what `answers` read.

Items are compared as `answers.normalise` writes them; blank ones are ignored. An answer that
could not be read is unscored (null), not wrong, and counted by its status; what it would cost if
it were wrong is an option of `task_mean`.

**New-item F1** asks for the answer's items that the context does not show. With N the new ones
and S the seen ones of the answer (an item is seen if any spelling of it is), hits on S leave the
prediction, for neither credit nor blame: precision = |P & N| / |P - S|, recall = |P & N| / |N|.
Whoever copies the context hits nothing in N and earns 0, and what is copied beyond the answer
lowers the precision. A case without new items has none (null).

**Released mode** scores the raw output as the paper's released code does, for comparison only:
`released` says what that code does otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl

from ehrlich.base.errors import DataError
from ehrlich.cohorts.answers import AnswerStatus, normalise
from ehrlich.cohorts.released import released_rouge_1
from ehrlich.cohorts.rouge import rouge_l

Duplicates = Literal["ignore", "count"]
Mode = Literal["strict", "released"]

OK: Final = AnswerStatus.OK.value
# The model's doing; `task_mean` may count these as wrong.
FAILED: Final = tuple(status.value for status in AnswerStatus if status != AnswerStatus.OK)
# Not the model's doing: the request failed, there is no prediction, there is no answer to meet.
UNSCORED: Final = (*FAILED, "error", "missing", "unlabelled")

# What `str.split` takes for white space; the `\s` of Polars knows four fewer.
_BLANKS: Final = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
_BLANK_RUN: Final = "[" + "".join(rf"\x{{{ord(blank):x}}}" for blank in _BLANKS) + "]+"


@dataclass(frozen=True, slots=True)
class SetScores:
    """Scores of one case, from 0 to 1; `n_predicted` is what the precision divides by."""

    precision: float
    recall: float
    f1: float
    new_f1: float | None
    n_answer: int
    n_predicted: int


@dataclass(frozen=True, slots=True)
class TaskMean:
    """A metric's mean over cases, then over tasks; None where no case is scored.

    - tasks: a row a task, sorted: task, n, n_scored, mean, n_not_applicable (answered, but the
      metric asks nothing of the case), n_STATUS for each of `UNSCORED`; and
      mean_unparsed_as_wrong where asked for.
    """

    mean: float | None
    mean_unparsed_as_wrong: float | None
    tasks: pl.DataFrame


def set_scores(
    predicted: Iterable[str],
    answer: Sequence[str],
    *,
    answer_seen: Sequence[bool] | None = None,
    duplicates: Duplicates = "ignore",
) -> SetScores | None:
    """Scores of one case, as `score_sets` gives them; None where the answer has no item.

    `duplicates="count"`: each repeat of a predicted item divides the precision once more.

    >>> set_scores(["sodium", "Heparin"], ["Heparin", "Sodium", "pH"]).f1
    0.8
    """
    listed = Counter(filter(None, map(normalise, predicted)))
    if duplicates == "ignore":
        listed = Counter(set(listed))
    wanted = {item for item in map(normalise, answer) if item}
    if not wanted:
        return None
    new_f1 = None
    if answer_seen is not None:
        pairs = zip(answer, answer_seen, strict=True)
        seen = {normalise(item) for item, is_seen in pairs if is_seen}
        new = wanted - seen
        rest = sum(times for item, times in listed.items() if item not in wanted & seen)
        new_f1 = 2 * len(new & listed.keys()) / (rest + len(new)) if new else None
    hits, total = len(wanted & listed.keys()), listed.total()
    return SetScores(
        precision=hits / total if total else 0.0,
        recall=hits / len(wanted),
        f1=2 * hits / (total + len(wanted)),
        new_f1=new_f1,
        n_answer=len(wanted),
        n_predicted=total,
    )


def set_f1(
    predicted: Iterable[str], answer: Sequence[str], *, duplicates: Duplicates = "ignore"
) -> float | None:
    """F1 of one case; None where the answer has no item."""
    scores = set_scores(predicted, answer, duplicates=duplicates)
    return scores.f1 if scores else None


def score_sets(
    cases: pl.DataFrame,
    predictions: pl.DataFrame,
    *,
    duplicates: Duplicates = "ignore",
    mode: Mode = "strict",
) -> pl.DataFrame:
    """Set scores, a row a case in the order of `cases`.

    In: cases with case_id, answer list[str], optional answer_seen list[bool] and task;
    predictions with case_id, status str, items list[str] (released mode: output str instead).
    Predictions of other cases are passed over. Out: case_id, task, status, precision, recall,
    f1, new_f1 f64, n_answer, n_new, n_predicted i64; scores and n_predicted are null where
    status is not `ok`, new_f1 and n_new where answer_seen is missing or the mode is released.
    """
    released = mode == "released"
    has_seen = "answer_seen" in cases.columns and not released
    paired = _pair(cases, predictions, "output" if released else "items")
    if not has_seen:
        paired = paired.with_columns(answer_seen=pl.col("answer").list.eval(pl.element() == ""))
    elif not paired["answer"].list.len().equals(paired["answer_seen"].list.len()):
        raise DataError("answer and answer_seen differ in length", where="cases")
    counted = _count(paired, _flat(paired, released=released), duplicates)
    if not released:
        counted = _unlabel(counted, pl.col("n_answer") == 0)
    scored = counted.with_columns(_set_metrics(released=released))
    if not has_seen:
        unknown = pl.lit(None)
        scored = scored.with_columns(new_f1=unknown.cast(pl.Float64), n_new=unknown.cast(pl.Int64))
    metrics = ("precision", "recall", "f1", "new_f1", "n_answer", "n_new", "n_predicted")
    return scored.select(*_keys(cases), "status", *metrics)


def score_exact(
    cases: pl.DataFrame, predictions: pl.DataFrame, *, mode: Mode = "strict"
) -> pl.DataFrame:
    """Accuracy of tasks with one item as answer: whether it, and nothing else, was predicted.

    Columns as in `score_sets`; out: case_id, task, status, accuracy f64.
    """
    if mode == "released":
        paired = _pair(cases, predictions, "output")
        return _score_prefix(paired, pl.col("answer").list.first(), _keys(cases))
    scores = score_sets(cases, predictions)
    return scores.select(*_keys(cases), "status", accuracy=(pl.col("f1") == 1).cast(pl.Float64))


def score_yes_no(
    cases: pl.DataFrame, predictions: pl.DataFrame, *, mode: Mode = "strict"
) -> pl.DataFrame:
    """Whether yes or no was right.

    In: cases with case_id, boolean_value bool, optional task; predictions with case_id, status
    str, answer bool (released mode: output str instead). Out: case_id, task, status, accuracy f64.
    """
    label = pl.col("boolean_value")
    if mode == "released":
        word = pl.when(label).then(pl.lit("yes")).when(~label).then(pl.lit("no"))
        return _score_prefix(_pair(cases, predictions, "output"), word, _keys(cases))
    paired = _unlabel(_pair(cases, predictions, "answer"), label.is_null())
    right = pl.when(pl.col("status") == OK).then(pl.col("given") == label)
    return paired.select(*_keys(cases), "status", accuracy=right.cast(pl.Float64))


def score_texts(
    cases: pl.DataFrame, predictions: pl.DataFrame, *, mode: Mode = "strict"
) -> pl.DataFrame:
    """Overlap of a written text with the recorded one, the only item of `answer`.

    Columns as in `score_sets`; out: case_id, task, status, rouge f64: ROUGE-L's F, in released
    mode that of ROUGE-1.
    """
    released = mode == "released"
    paired = _pair(cases, predictions, "output" if released else "items")
    given, reference = pl.col("given"), pl.col("answer").list.first().fill_null("")
    texts = given if released else given.list.first().fill_null("")
    paired = paired.with_columns(text=texts, reference=reference)
    if not released:
        paired = _unlabel(paired, pl.col("reference").str.strip_chars(_BLANKS) == "")
    # A loop: the common subsequence of two notes is no work for a frame.
    scores = [
        None if status != OK
        else released_rouge_1(text, wanted).f1 if released
        else rouge_l(text, wanted)
        for status, text, wanted in paired.select("status", "text", "reference").iter_rows()
    ]  # fmt: skip
    rouge = pl.Series("rouge", scores, dtype=pl.Float64)
    return paired.select(*_keys(cases), "status", rouge)


def task_mean(
    scores: pl.DataFrame, metric: str = "f1", *, unparsed_as_wrong: bool = False
) -> TaskMean:
    """The mean of a metric's column of any `score_*` frame with tasks.

    `unparsed_as_wrong`: also the pessimistic figure, in which outputs that are unparsed, overlong
    or refused score 0. Failed requests and missing predictions stay unscored in both.
    """
    value, status = pl.col(metric), pl.col("status")
    failed = status.is_in(FAILED)
    if metric == "new_f1":
        failed &= pl.col("n_new") > 0
    wrong = pl.when(failed).then(0.0).otherwise(value)
    tasks = (
        scores.group_by("task")
        .agg(
            pl.len().alias("n"),
            value.count().alias("n_scored"),
            value.mean().alias("mean"),
            wrong.mean().alias("mean_unparsed_as_wrong"),
            ((status == OK) & value.is_null()).sum().alias("n_not_applicable"),
            *((status == name).sum().alias(f"n_{name}") for name in UNSCORED),
        )
        .sort("task")
    )
    mean, pessimistic = tasks.select(pl.col("mean", "mean_unparsed_as_wrong").mean()).row(0)
    if unparsed_as_wrong:
        return TaskMean(mean, pessimistic, tasks)
    return TaskMean(mean, None, tasks.drop("mean_unparsed_as_wrong"))


def _keys(cases: pl.DataFrame) -> list[str]:
    return [name for name in ("case_id", "task") if name in cases.columns]


def _pair(cases: pl.DataFrame, predictions: pl.DataFrame, column: str) -> pl.DataFrame:
    """Cases, numbered by `row`, with the status and `column` (as `given`) of their prediction."""
    for name, frame in (("cases", cases), ("predictions", predictions)):
        if frame["case_id"].n_unique() != frame.height:
            raise DataError("a case stands twice", where=name, do="Score each sample apart.")
    if column == "output":  # the released code has an answer wherever it has an output
        predictions = predictions.with_columns(status=pl.lit(OK))
    no_answer = (pl.col("status") == OK) & pl.col(column).is_null()
    status = pl.when(no_answer).then(pl.lit("unparsed")).otherwise("status")
    made = predictions.select("case_id", pl.col(column).alias("given"), status.alias("status"))
    asked = [*_keys(cases), "answer", "answer_seen", "boolean_value"]
    paired = cases.select(name for name in asked if name in cases.columns).join(
        made, on="case_id", how="left", maintain_order="left"
    )
    return paired.with_columns(pl.col("status").fill_null("missing")).with_row_index("row")


def _unlabel(paired: pl.DataFrame, absent: pl.Expr) -> pl.DataFrame:
    """The status `unlabelled` where a case has no answer to be compared with."""
    status = pl.when(absent).then(pl.lit("unlabelled")).otherwise("status")
    return paired.with_columns(status.alias("status"))


def _score_prefix(paired: pl.DataFrame, label: pl.Expr, keys: list[str]) -> pl.DataFrame:
    """The released accuracy."""
    right = pl.when(pl.col("status") == OK).then(pl.col("given").str.starts_with(label))
    return paired.select(*keys, "status", accuracy=right.cast(pl.Float64))


def _flat(paired: pl.DataFrame, *, released: bool) -> list[pl.DataFrame]:
    """A row an item, of the answers (row, seen, id) and of the predictions (row, id).

    Equal items have equal ids. Names repeat from case to case, so distinct ones are normalised.
    """
    item = pl.col("item")
    wanted = paired.select("row", item="answer", seen="answer_seen").explode("item", "seen")
    given = paired.filter(pl.col("status") == OK).select("row", item="given")
    name = item.str.to_lowercase()
    if released:
        escaped = item.str.contains(r"\n", literal=True)
        parts = pl.when(escaped).then(item.str.split(r"\n")).otherwise(item.str.split("\n"))
        predicted = given.with_columns(parts).explode("item")
        predicted = predicted.with_columns(item.str.strip_chars(_BLANKS))
    else:
        predicted = given.explode("item")
        name = name.str.replace_all(_BLANK_RUN, " ").str.strip_chars(" ")
    distinct = pl.concat([wanted.select("item"), predicted.select("item")]).unique().drop_nulls()
    names = distinct.with_columns(name=name).filter((pl.col("name") != "") | released)
    ids = names.select("item", id=pl.col("name").rank("dense").cast(pl.Int64))
    return [side.join(ids, on="item").drop("item") for side in (wanted, predicted)]


def _count(paired: pl.DataFrame, flat: list[pl.DataFrame], duplicates: Duplicates) -> pl.DataFrame:
    """`paired` with what the metrics divide: numbers of items, of hits, of each among new ones.

    One sort of all items: equal ones of a case come together, the predicted before the answer's,
    those before the seen ones, so that the last of a group tells what the group is.
    """
    row_bits = pl.col("row").cast(pl.Int64) * 2**33 + pl.col("id") * 4
    kind = pl.lit(2) + pl.col("seen").fill_null(False).cast(pl.Int64)
    codes = pl.concat([flat[0].select(row_bits + kind), flat[1].select(row_bits)]).to_series()
    code = codes.sort().to_numpy()
    last = np.append(code[1:] >> 2 != code[:-1] >> 2, True)[: len(code)]
    first = np.flatnonzero(np.append(True, last[:-1])[: len(code)])
    times = np.add.reduceat(code & 2 == 0, first, dtype=np.int64)
    if duplicates == "ignore":
        times = np.minimum(times, 1)
    row, asked, seen = code[last] >> 33, code[last] & 2 > 0, code[last] & 3 == 3
    hit = asked & (times > 0)
    sums = {
        "n_answer": asked, "n_new": asked & ~seen, "n_predicted": times, "n_hits": hit,
        "n_new_hits": hit & ~seen, "n_new_predicted": np.where(seen, 0, times),
    }  # fmt: skip
    return paired.with_columns(
        pl.Series(name, np.bincount(row, weights=each, minlength=paired.height).astype(np.int64))
        for name, each in sums.items()
    )


def _set_metrics(*, released: bool) -> list[pl.Expr]:
    """Expressions over the numbers of `_count`; null where the status is not `ok`."""
    hits, predicted, answer = pl.col("n_hits"), pl.col("n_predicted"), pl.col("n_answer")
    precision = pl.when(predicted > 0).then(hits / predicted).otherwise(0.0)
    recall = pl.when(answer > 0).then(hits / answer).otherwise(0.0)
    f1 = 2 * hits / (predicted + answer)
    if released:  # rounds otherwise
        f1 = pl.when(hits > 0).then(2 * precision * recall / (precision + recall)).otherwise(0.0)
    new = pl.col("n_new")
    new_f1 = pl.when(new > 0).then(2 * pl.col("n_new_hits") / (pl.col("n_new_predicted") + new))
    scored = {"precision": precision, "recall": recall, "f1": f1, "new_f1": new_f1}
    ok = pl.col("status") == OK
    return [
        pl.when(ok).then(value).alias(name)
        for name, value in {**scored, "n_predicted": predicted}.items()
    ]
