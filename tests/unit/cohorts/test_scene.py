"""Events, episodes, deaths and predicates of a shard."""

from __future__ import annotations

import polars as pl
from tests.mini_charts import DAY, HOUR, at, ed, fillers, icu, row, scene, source, stay

from ehrlich.cohorts.scene import Scene, Source, values_of


def test_an_event_is_seen_when_its_first_row_is() -> None:
    rows = [row("labevents", 0, "Sodium", known=50), row("labevents", 10, "Lactate", known=12)]
    event = scene(rows).events.row(0, named=True)
    assert (event["start"], event["visible_from"], event["n_rows"]) == (at(0), at(12), 2)


def test_rows_of_one_time_keep_the_order_of_tables_and_of_the_source() -> None:
    rows = [row("labevents", 0, "b"), row("transfers", 0, "Ward"), row("labevents", 0, "a")]
    chart = scene(rows)
    assert chart.events["table"].to_list() == ["transfers", "labevents"]
    assert chart.rows["item"].to_list() == ["Ward", "b", "a"]


def test_an_episode_ends_where_its_row_or_its_leaving_says() -> None:
    rows = [row("icustays", 0, "MICU", stay_id=1), row("icu_discharges", DAY, "MICU", stay_id=1)]
    rows += [row("icustays", 2 * DAY, "MICU", stay_id=2, end=3 * DAY)]
    rows += [row("icustays", 5 * DAY, "MICU", stay_id=3)]
    assert scene(rows).episodes("icu")["end"].to_list() == [at(DAY), at(3 * DAY), None]


def test_who_died_where() -> None:
    rows = [
        *ed(1, 0, HOUR, encounter=7),
        *stay(7, HOUR, 5 * DAY, dies=True),
        *icu(7, 70, DAY, 2 * DAY),
    ]
    rows += [row("deaths", 5 * DAY)]
    chart = scene(rows)
    said = {
        kind: chart.episodes(kind).select("died", "died_here").row(0)
        for kind in ("ed", "hospital", "icu")
    }
    assert said == {"ed": (True, False), "hospital": (True, True), "icu": (True, False)}
    assert chart.episodes("icu")["death"].to_list() == [at(5 * DAY)]


def test_a_source_that_does_not_say_who_died_in_hospital_is_asked_for_the_times() -> None:
    rules = {name: rule for name, rule in source().predicates.items() if name != "hospital_death"}
    bare = Source(rules, source().tables, "strict")
    rows = [*stay(7, 0, 5 * DAY), *icu(7, 70, DAY, 2 * DAY)]
    died = Scene(scene([*rows, row("deaths", 5 * DAY)]).rows, bare)
    later = Scene(scene([*rows, row("deaths", 5 * DAY + 1)]).rows, bare)
    for kind in ("hospital", "icu"):
        assert died.episodes(kind)["died"].to_list() == [True]
        assert later.episodes(kind)["died"].to_list() == [False]


def test_a_predicate_that_the_source_does_not_bind_means_nothing() -> None:
    chart = Scene(scene(stay(7, 0, DAY)).rows, Source({}, source().tables, "strict"))
    assert chart.matching("admission").is_empty()
    assert chart.episodes("hospital").is_empty()
    assert chart.deaths.is_empty()


def test_deaths_as_released_come_from_the_static_row() -> None:
    rows = [row("patients", None, end=3 * DAY), *fillers(7, 0)]
    assert scene(rows, "compat").deaths.rows() == [(1, at(3 * DAY))]
    assert scene(rows).deaths.is_empty()


def test_values_are_split_by_line_stripped_and_never_empty() -> None:
    rows = scene([row("radiology", 0, " CT HEAD\n\nCT NECK "), row("radiology", 90, None)]).rows
    found = values_of(rows, source(), column="item")
    assert found["value"].to_list() == ["CT HEAD", "CT NECK"]
    assert values_of(rows, source(), column="table")["value"].to_list() == ["radiology"] * 2


def test_a_field_that_no_table_has_gives_no_value() -> None:
    rows = scene([row("radiology", 0, "CT HEAD")]).rows
    assert values_of(rows, source(), column="no such field").is_empty()


def test_a_subject_without_encounters_is_no_problem() -> None:
    chart = scene([row("patients", None), *fillers(None, 0, 10, 20)])
    assert chart.episodes("hospital").is_empty()
    assert chart.events.filter(pl.col("table") != "patients").height == 3
