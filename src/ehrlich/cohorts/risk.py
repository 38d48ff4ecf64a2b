"""Risk tasks: episodes still at risk at their prediction_time, and whether the outcome comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import polars as pl

from ehrlich.cohorts.decision import JUST_BEFORE, Anchored, without
from ehrlich.cohorts.scene import SUBJECT, Scene
from ehrlich.cohorts.task import AtRisk, Following, Label, Task


def risk_anchors(scene: Scene, task: Task) -> Anchored:
    """Episodes with their prediction_time; those not at risk then are dropped by reason."""
    dropped: Counter[str] = Counter()
    episodes = _anchored_episodes(scene, task)
    counts = scene.events.group_by(SUBJECT).agg(pl.len().alias("subject_events"))
    cases = episodes.join(counts, on=SUBJECT, how="left", maintain_order="left")
    cases = without(
        cases, pl.col("end").is_null(), reason="the episode has no end", dropped=dropped
    )
    cases = without(
        cases,
        pl.col("end") < pl.col("start"),
        reason="the episode ends before it starts",
        dropped=dropped,
    )
    cases = cases.with_columns(
        prediction_time=_prediction_time(task), context_start=pl.col("start")
    )
    if not task.context.forward:
        cases = still_at_risk(cases, scene, task=task, dropped=dropped)
    return Anchored(cases.rename({"event": "anchor_event"}), dropped)


def still_at_risk(
    cases: pl.DataFrame, scene: Scene, *, task: Task, dropped: Counter[str]
) -> pl.DataFrame:
    """`cases` without those not at risk at prediction_time, which are added to `dropped`."""
    for condition in task.at_risk:
        bad, reason = _not_at_risk(condition)
        if condition == "not_in_icu":
            cases = _with_icu(cases, scene)
        cases = without(cases, bad, reason=reason, dropped=dropped)
    return cases.drop("_icu_in", strict=False)


def _anchored_episodes(scene: Scene, task: Task) -> pl.DataFrame:
    if task.anchor.episode is not None:
        episodes = scene.episodes(task.anchor.episode)
        compat_ed = scene.source.policy == "compat" and task.anchor.episode == "ed"
        return _with_last_event(episodes, scene) if compat_ed else episodes
    # Compat: an event (a discharge summary) as an episode of no length.
    events = scene.events.filter(pl.col("table") == task.anchor.table)
    point = events.select(
        SUBJECT, "encounter_id", "stay_id", "event", "row_id", item=pl.lit(None, dtype=pl.String),
        start="start", end="start", died=pl.lit(False), died_here=pl.lit(False),
    )  # fmt: skip
    return point.join(scene.deaths, on=SUBJECT, how="left", maintain_order="left")


def _with_last_event(episodes: pl.DataFrame, scene: Scene) -> pl.DataFrame:
    """Compat: last_event, when the last event of the ED visit's hospital stay begins."""
    events = scene.events.drop_nulls(["encounter_id", "start"])
    last = events.group_by(SUBJECT, "encounter_id").agg(pl.col("start").max().alias("last_event"))
    return episodes.join(last, on=[SUBJECT, "encounter_id"], how="left", maintain_order="left")


def _prediction_time(task: Task) -> pl.Expr:
    rule = task.predict
    assert rule is not None
    at = pl.col(rule.at) + pl.duration(microseconds=int(rule.plus_h * 3_600_000_000))
    return pl.min_horizontal(at, pl.col("end") - JUST_BEFORE) if rule.before_end else at


def _not_at_risk(condition: AtRisk) -> tuple[pl.Expr, str]:
    """When a case is not at risk, and why; a death without a time is no death before anything."""
    at, death = pl.col("prediction_time"), pl.col("death")
    match condition:
        case "in_episode":
            return pl.col("end") <= at, "left before prediction_time"
        case "alive":
            return death <= at, "dead at prediction_time"
        case "not_in_icu":
            return pl.col("_icu_in") <= at, "in intensive care at prediction_time"
        case "left_alive":
            return pl.col("died_here") | (death <= pl.col("end")), "did not leave alive"
        case "not_admitted":
            return pl.col("encounter_id").is_not_null(), "admitted"


def _with_icu(cases: pl.DataFrame, scene: Scene) -> pl.DataFrame:
    """_icu_in: the first ICU stay that begins within the episode or after it starts."""
    icu = (
        scene.episodes("icu").select(SUBJECT, _icu_in="start").drop_nulls().sort(SUBJECT, "_icu_in")
    )
    placed = cases.with_row_index("_place").sort(SUBJECT, "start")
    return placed.join_asof(
        icu, left_on="start", right_on="_icu_in", by=SUBJECT, strategy="forward",
        check_sortedness=False, coalesce=False,
    ).sort("_place").drop("_place")  # fmt: skip


def labelled(cases: pl.DataFrame, scene: Scene, *, task: Task) -> pl.DataFrame:
    """`cases` with boolean_value, answer (`yes` or `no`), answer_seen and flags."""
    assert task.label is not None
    numbered = cases.with_row_index("_case")
    value, flagged = _label(numbered, scene, task.label)
    marked = numbered.with_columns(value.alias("boolean_value"), flagged.alias("_planned"))
    planned = (
        pl.when(pl.col("_planned"))
        .then(pl.lit(["planned"]))
        .otherwise(pl.lit([], dtype=pl.List(pl.String)))
    )
    return marked.with_columns(
        pl.when("boolean_value").then(pl.lit(["yes"])).otherwise(pl.lit(["no"])).alias("answer"),
        pl.lit([False]).alias("answer_seen"),
        planned.alias("flags"),
    ).drop("_case", "_planned")


def _label(cases: pl.DataFrame, scene: Scene, rule: Label) -> tuple[pl.Series, pl.Series]:
    """The rule's outcome for each case, and whether it is a planned one."""
    no_flag = pl.Series([False]).new_from_index(0, cases.height)
    if rule.any_of:
        values = [_label(cases, scene, part)[0] for part in rule.any_of]
        return _any(values), no_flag
    if rule.follows is not None:
        return _follows(cases, scene, rule.follows)
    if rule.icu_within_h is not None:
        following = Following(episode="icu", within_h=rule.icu_within_h)
        return _icu_after(cases, scene, following), no_flag
    value = cases.select(_simple(rule, cases.columns).fill_null(value=False)).to_series()
    return value, no_flag


def _any(values: list[pl.Series]) -> pl.Series:
    total = values[0]
    for value in values[1:]:
        total = total | value
    return total


def _simple(rule: Label, columns: Sequence[str]) -> pl.Expr:
    """Rules that the case's own episode decides."""
    death, at, end = pl.col("death"), pl.col("prediction_time"), pl.col("end")
    lasts_h = (end - pl.col("start")).dt.total_microseconds() / 3.6e9
    if rule.leads_to_admission:
        return pl.col("encounter_id").is_not_null()
    if rule.dies_in_stay:
        return pl.col("died")
    if rule.dies_within_h is not None:
        return (death > at) & (
            death <= at + pl.duration(microseconds=int(rule.dies_within_h * 3.6e9))
        )
    if rule.longer_than_h is not None:
        return lasts_h > rule.longer_than_h
    if rule.at_least_h is not None:
        return lasts_h >= rule.at_least_h
    midnight = death.dt.truncate("1d")
    if rule.dead_by_midnight_of_end:
        return (pl.col("last_event") if "last_event" in columns else end) >= midnight
    hours = (midnight - at).dt.total_microseconds() / 3.6e9
    return hours < (rule.dies_within_h_of_context or 0)


def _follows(cases: pl.DataFrame, scene: Scene, rule: Following) -> tuple[pl.Series, pl.Series]:
    """Whether an episode of the kind begins after the case's end; whether it is planned.

    One that begins at that very moment was seen then, and is the same stay in another unit
    (compat counts it).
    """
    by = [SUBJECT, "encounter_id"] if rule.same_encounter else [SUBJECT]
    others = scene.episodes(rule.episode).select(
        *by, _next="start", _next_row="row_id", _item="item"
    )
    others = others.drop_nulls([*by, "_next"])
    pairs = cases.select("_case", *by, "end", "row_id").join(
        others, on=by, how="inner", nulls_equal=False
    )
    after = pl.col("_next") > pl.col("end")
    if scene.source.policy == "compat":
        after |= pl.col("_next") == pl.col("end")
    later = pairs.filter(after & (pl.col("_next_row") != pl.col("row_id")))
    if rule.within_h is not None:
        width = pl.duration(microseconds=int(rule.within_h * 3_600_000_000))
        later = later.filter(pl.col("_next") - pl.col("end") <= width)
    first = later.sort("_case", "_next", "_next_row").unique(
        "_case", keep="first", maintain_order=True
    )
    found = cases["_case"].is_in(first["_case"].implode())
    planned = first.filter(pl.col("_item").is_in(list(rule.planned_items)))["_case"]
    return found, cases["_case"].is_in(planned.implode())


def _icu_after(cases: pl.DataFrame, scene: Scene, rule: Following) -> pl.Series:
    """Whether an ICU stay begins after prediction_time and within so many hours of the end."""
    icu = scene.episodes("icu").select(SUBJECT, _next="start").drop_nulls()
    pairs = cases.select("_case", SUBJECT, "prediction_time", "end").join(icu, on=SUBJECT)
    width = pl.duration(microseconds=int((rule.within_h or 0) * 3_600_000_000))
    hits = pairs.filter(
        (pl.col("_next") > pl.col("prediction_time")) & (pl.col("_next") <= pl.col("end") + width)
    )
    return cases["_case"].is_in(hits["_case"].unique().implode())
