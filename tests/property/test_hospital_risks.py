"""The stated risks of the hidden course against the frequencies of sampled courses."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ehrlich.charts.hospital import risks
from ehrlich.charts.hospital.arrays import Bools, Floats, Ints
from ehrlich.charts.hospital.course import (
    DEAD,
    ED_EARLY,
    HOME,
    HOUR_S,
    ICU,
    STATES,
    TRANSIENT,
    WARD,
    Path,
    Rates,
    build_chain,
    initial_severity,
    sample_paths,
)

COPIES = 4000
FAR = 4.8  # standard errors; about one in a million each


def chain_of(profile: tuple[float, ...], start: int) -> Rates:
    """COPIES of one encounter."""
    improve, worsen, death, admit, severity = profile

    def all_(value: float) -> Floats:
        return np.full(COPIES, value)

    return Rates(
        improve=all_(improve / 24),
        worsen=all_(worsen / 24),
        death=all_(death / 24),
        complication=np.full((COPIES, 6), 0.1 / 24),
        icu_odds=all_(1.3),
        admit=all_(admit),
        initial=initial_severity(all_(severity), all_(1.1)),
        start=np.full(COPIES, start),
    )


profiles = st.tuples(
    st.floats(0.3, 1.5),
    st.floats(0.1, 0.6),
    st.floats(0.3, 2.0),
    st.floats(0.1, 0.9),
    st.floats(1.5, 4),
)
few = settings(max_examples=6, deadline=None)


def agree(risk: Floats, happened: Bools) -> None:
    """The sum of the risks lies within FAR standard errors of the count."""
    assert np.all((risk > -1e-9) & (risk < 1 + 1e-9))
    error = np.sqrt(np.sum(risk * (1 - risk))) + 1e-9
    assert abs(happened.sum() - risk.sum()) <= FAR * error + 0.5, (happened.mean(), risk.mean())


def final_rows(path: Path) -> Ints:
    return np.flatnonzero(np.diff(path.encounter, append=-1))


def state_at(path: Path, hour: int) -> Ints:
    """State of each copy at a whole hour; -1 where it has ended."""
    found = np.full(COPIES, -1)
    rows = np.flatnonzero((path.first <= hour) & (path.last > hour))
    found[path.encounter[rows]] = path.state[rows]
    return found


def changes(path: Path, into: int) -> tuple[Ints, Ints]:
    """(encounter, second) of entering a place from another."""
    rows = np.flatnonzero(
        (path.after // 6 == into) & (path.state // 6 != into) & (path.after < TRANSIENT)
    )
    return path.encounter[rows], HOUR_S * (path.last[rows] - 1) + path.second[rows]


@given(profiles, st.integers(0, 2**32))
@few
def test_a_row_of_the_chain_is_a_distribution(profile: tuple[float, ...], seed: int) -> None:
    matrix = build_chain(chain_of(profile, ED_EARLY)).matrix[:2]
    assert matrix.shape == (2, STATES, STATES)
    assert np.all(matrix >= 0)
    assert np.allclose(matrix.sum(axis=2), 1)
    assert np.all(matrix[:, [HOME, DEAD], [HOME, DEAD]] == 1)


@given(profiles, st.integers(0, 2**32))
@few
def test_risks_of_the_emergency_department(profile: tuple[float, ...], seed: int) -> None:
    chain = build_chain(chain_of(profile, ED_EARLY))
    path = sample_paths(chain, np.random.default_rng(seed))
    final = final_rows(path)
    one = chain.matrix[:1]
    died = path.after[final] == DEAD
    admitted = path.state[final] // 6 >= WARD
    out = np.zeros(COPIES, np.int64)
    leaving = np.flatnonzero((path.state < 12) & (path.after >= 12))
    out[path.encounter[leaving]] = HOUR_S * (path.last[leaving] - 1) + path.second[leaving]
    to_icu, when = changes(path, ICU)
    direct = path.state[np.flatnonzero((path.after // 6 == ICU) & (path.state // 6 != ICU))] < 12
    soon = np.zeros(COPIES, bool)
    # The ED is left on a whole minute, the ICU is entered on a second.
    soon[to_icu[direct | (when <= out[to_icu] // 60 * 60 + 12 * HOUR_S)]] = True
    mortality = risks.death_in_hospital(one)
    for hour in (0, 3):
        state = state_at(path, hour)
        here = (state >= 0) & (state < 12)
        at = state[here]
        agree(risks.admission(one)[0, at], admitted[here])
        agree(mortality[0, at], died[here])
        agree(risks.icu_within_12h(one)[0, at], soon[here])
        agree(risks.ed_critical(one, mortality)[0, at], (soon | died)[here])


def test_the_admitted_share_is_the_one_asked_for() -> None:
    rates = chain_of((0.8, 0.2, 0.4, 0.37, 2.0), ED_EARLY)
    matrix = build_chain(rates).matrix[:1]
    expected = (rates.initial[:1] * risks.admission(matrix)[:, :6]).sum()
    assert abs(expected - 0.37) < 1e-6


@given(profiles, st.integers(0, 2**32), st.integers(0, 86_399))
@few
def test_risks_of_the_ward(profile: tuple[float, ...], seed: int, clock: int) -> None:
    chain = build_chain(chain_of(profile, WARD))
    path = sample_paths(chain, np.random.default_rng(seed))
    final = final_rows(path)
    died = path.after[final] == DEAD
    start = np.full(COPIES, 60_000 * 86_400 + clock)
    leave = np.where(died, path.last[final] - 1, risks.leaving_step(path.last[final] - 1, start))
    left = HOUR_S * leave + path.second[final]
    ahead = risks.horizons(chain.matrix[:1], 24 * 7 + 26)
    again, _ = changes(path, ICU)
    for hour in (0, 24):
        state = state_at(path, hour)
        here = np.flatnonzero(state >= 0)
        none = np.zeros(len(here), np.int64)
        rows = risks.Rows(none, np.full(len(here), hour), state[here], start[here])
        agree(risks.death_in_hospital(chain.matrix[:1])[0, state[here]], died[here])
        for days in (3, 7):
            deadline = np.full(len(here), days * risks.DAY_S + 1234)
            agree(risks.stays_longer(rows, ahead, deadline_s=deadline), left[here] > deadline)
    first = state_at(path, 0)
    on_ward = np.flatnonzero(first // 6 == WARD)
    entered = np.isin(np.arange(COPIES), again)
    agree(risks.icu_again(chain.matrix[:1])[0, first[on_ward] % 6], entered[on_ward])


@given(profiles, st.integers(0, 2**32), st.integers(0, 86_399))
@few
def test_risks_of_intensive_care(profile: tuple[float, ...], seed: int, clock: int) -> None:
    rng = np.random.default_rng(seed)
    chain = build_chain(chain_of(profile, ICU))
    path = sample_paths(chain, rng)
    final = final_rows(path)
    died = path.after[final] == DEAD
    start = np.full(COPIES, 60_000 * 86_400 + clock)
    leave = np.where(died, path.last[final] - 1, risks.leaving_step(path.last[final] - 1, start))
    death_s = start + HOUR_S * leave + path.second[final]
    at_home = ~died & (rng.random(COPIES) < 0.2)
    day = np.searchsorted(risks.home_death_by(np.arange(1, 61)), rng.random(COPIES)) + 1
    dod_end = ((start + HOUR_S * leave) // risks.DAY_S + day + 1) * risks.DAY_S - 1
    death_s = np.where(died, death_s, np.where(at_home, dod_end, np.int64(1) << 60))
    ahead = risks.horizons(chain.matrix[:1], 24 * 14)
    survival = risks.icu_survival(chain.matrix[:1], 24 * 14 + 2)
    leaving = np.flatnonzero((path.state // 6 == ICU) & (path.after // 6 != ICU))
    first_exit = np.full(COPIES, -1)
    first_exit[path.encounter[leaving][::-1]] = (
        HOUR_S * (path.last[leaving] - 1) + path.second[leaving]
    )[::-1]
    for hour in (0, 24):
        state = state_at(path, hour)
        stayed = (state // 6 == ICU) & (first_exit > HOUR_S * hour)
        here = np.flatnonzero(stayed)
        none = np.zeros(len(here), np.int64)
        rows = risks.Rows(none, np.full(len(here), hour), state[here], start[here])
        now = start[here] + HOUR_S * hour
        for days in (1, 3, 14):
            stated = risks.dies_within(rows, ahead, days=days, home_death=np.array([0.2]))
            agree(stated, death_s[here] <= now + days * risks.DAY_S)
        for days in (1, 7):
            deadline = np.full(len(here), days * risks.DAY_S + 777)
            longer = first_exit[here] >= deadline
            agree(risks.icu_stays(rows, survival, deadline_s=deadline), longer)


@given(st.integers(0, 86_399), st.integers(0, 200))
def test_who_leaves_before_a_step_was_ready_before_its_count(clock: int, leave: int) -> None:
    start = np.full(leave + 40, 60_000 * 86_400 + clock)
    leaves = risks.leaving_step(np.arange(leave + 40), start)
    hours = (start[0] // HOUR_S + leaves) % 24
    assert np.all((hours >= risks.FIRST_HOUR_OUT) & (hours <= risks.LAST_HOUR_OUT))
    assert np.all(leaves >= np.arange(leave + 40))
    assert risks.ready_before(np.array([leave]), start[:1])[0] == np.sum(leaves < leave)


def test_twelve_hours_after_the_department_are_twelve() -> None:
    # Everybody leaves for the ward and enters the ICU there with 0.2 an hour.
    matrix = build_chain(chain_of((0.8, 0.2, 0.4, 0.37, 2.0), ED_EARLY)).matrix[:1].copy()
    ward, icu = slice(WARD * 6, ICU * 6), slice(ICU * 6, TRANSIENT)
    late, level = slice(6, 12), np.arange(6)
    matrix[:, :TRANSIENT] = 0.0
    matrix[:, level, 6 + level] = 1.0
    matrix[:, late, ward] = np.eye(6)
    matrix[:, ward, icu] = 0.2 * np.eye(6)
    matrix[:, ward, ward] = 0.8 * np.eye(6)
    last = (sum(range(0, 3600, 60)) * 60 + 3600) / 3600**2  # mean of the minute below, in hours
    expected = 1 - 0.8**11 * (1 - last * 0.2)
    assert np.allclose(risks.icu_within_12h(matrix), expected)
    nobody_dies = np.zeros((1, TRANSIENT))
    assert np.allclose(risks.ed_critical(matrix, nobody_dies), expected)
