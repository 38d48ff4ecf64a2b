"""A block's hidden truth laid out for the records: who, when, where, how ill, with which problems.

Fifth in the flow: everything in `records/` reads a Scene and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ehrlich.charts.hospital.arrays import LEVELS, Arrays, Bools, Floats, Ints
from ehrlich.charts.hospital.course import (
    DEAD,
    HOUR_S,
    ICU,
    TRANSIENT,
    WARD,
    WORSEN_BY_LEVEL,
    Chain,
    Path,
)
from ehrlich.charts.hospital.population import Encounters, Ends, Subjects, draw_block

BLOCK = 500
SUBJECT_BASE, HADM_BASE, STAY_BASE = 10_000_000, 20_000_000, 30_000_000
SPAN, STEP, SHIFT = 9_999_991, 4_242_437, 618_033
PRINCIPAL, COMORBID, COMPLICATION = range(3)
PartT = TypeVar("PartT")
ROLES = ("principal", "comorbid", "complication")


@dataclass(frozen=True, slots=True)
class Problems:
    """What each encounter has, sorted by encounter and role; onset in epoch seconds."""

    encounter: Ints
    condition: Ints
    role: Ints
    onset_s: Ints


@dataclass(frozen=True, slots=True)
class Spells:
    """Intervals inside encounters (place stays, ventilation, ...), sorted by encounter and time."""

    encounter: Ints
    start_s: Ints
    end_s: Ints
    kind: Ints


@dataclass(frozen=True, slots=True)
class Scene:
    """One block. Ids are -1 where there is none; times are epoch seconds."""

    arrays: Arrays
    number: int
    subjects: Subjects
    encounters: Encounters
    chain: Chain
    path: Path
    ends: Ends
    subject_id: Ints  # per subject
    hadm_id: Ints  # per encounter, -1 when not admitted
    ed_id: Ints  # per encounter, -1 without ED visit
    admit_s: Ints
    ed_out_s: Ints
    hours_from: Ints  # first row of each encounter in the hourly columns, and one past the end
    severity: Ints  # hourly
    place: Ints
    ready: Bools
    appearance: Floats
    old_severity: Floats  # subjects x conditions: how far each disease has gone, if it is had
    problems: Problems
    places: Spells  # kind: place, one row a change of place
    supports: tuple[Spells, Spells, Spells]  # ventilation, vasopressor, renal replacement

    @property
    def n(self) -> int:
        """Number of encounters."""
        return len(self.hadm_id)

    @property
    def left_s(self) -> Ints:
        """When each encounter ended."""
        return self.ends.left_s

    @property
    def admitted(self) -> Bools:
        """Which encounters are hospital stays."""
        return self.ends.admitted

    @property
    def of_subject(self) -> Ints:
        """subject_id of each encounter."""
        return np.asarray(self.subject_id[self.encounters.subject])

    def hour_row(self, encounter: Ints, time_s: Ints) -> Ints:
        """Row of the hourly columns at a time (clipped to the encounter)."""
        hour = (time_s - self.encounters.start_s[encounter]) // HOUR_S
        last = self.hours_from[encounter + 1] - 1
        return np.asarray(
            np.clip(self.hours_from[encounter] + hour, self.hours_from[encounter], last)
        )


def scrambled(base: int, position: Ints) -> Ints:
    """Ids of eight digits, unique by position, not in order; wider after ten million."""
    lap, within = position // SPAN, position % SPAN
    return np.asarray(
        base + lap * 100_000_000 + (within * STEP + SHIFT * (base // 1_000_000)) % SPAN
    )


def build_scene(arrays: Arrays, number: int, *, n: int, rng: np.random.Generator) -> Scene:
    """Draw a block of n subjects and lay it out."""
    subjects, encounters, chain, path, ends = draw_block(arrays, n, rng=rng)
    order = np.lexsort((encounters.start_s, encounters.subject))
    encounters, chain, ends = _take(encounters, order), _take(chain, order), _take(ends, order)
    path = _reordered(path, order)
    m = len(order)
    position = number * BLOCK * 12 + np.arange(m)
    from_ed = encounters.start < WARD
    severity, place, ready, hours_from = _hourly(path, ends, m)
    left_ed = _ed_out(path, encounters, m)
    boarding = 60 * rng.integers(10, 130, m)
    admit_s = np.where(
        from_ed, np.maximum(left_ed - boarding, encounters.start_s + 600), encounters.start_s
    )
    scene = Scene(
        arrays=arrays,
        number=number,
        subjects=subjects,
        encounters=encounters,
        chain=chain,
        path=path,
        ends=ends,
        subject_id=scrambled(SUBJECT_BASE, number * BLOCK + np.arange(n)),
        hadm_id=np.where(ends.admitted, scrambled(HADM_BASE, position), -1),
        ed_id=np.where(from_ed, scrambled(STAY_BASE, number * BLOCK * 60 + np.arange(m)), -1),
        admit_s=np.where(
            ends.admitted, np.minimum(admit_s, np.where(from_ed, left_ed, admit_s)), -1
        ),
        ed_out_s=np.where(from_ed, left_ed, -1),
        hours_from=hours_from,
        severity=severity,
        place=place,
        ready=ready,
        appearance=_appearance(severity, hours_from, rng),
        old_severity=_old_severity(arrays, n, rng),
        problems=_problems(arrays, encounters, path, rng),
        places=_places(path, encounters, ends),
        supports=(_NO_SPELLS, _NO_SPELLS, _NO_SPELLS),
    )
    return _with_supports(scene, rng)


_NO_SPELLS = Spells(*(np.zeros(0, np.int64) for _ in range(4)))


def _take(part: PartT, order: Ints) -> PartT:

    names = [f.name for f in fields(part)]  # type: ignore[arg-type]
    return type(part)(**{name: getattr(part, name)[order] for name in names})


def _reordered(path: Path, order: Ints) -> Path:
    new = np.empty_like(order)
    new[order] = np.arange(len(order))
    moved = Path(new[path.encounter], path.state, path.first, path.last, path.second, path.after)
    return _take(moved, np.lexsort((moved.first, moved.encounter)))


def _hourly(path: Path, ends: Ends, m: int) -> tuple[Ints, Ints, Bools, Ints]:
    """Severity, place and readiness of every hour, and the first row of each encounter."""
    final = np.append(np.diff(path.encounter) > 0, True)
    waits = np.where(final, ends.leave_step[path.encounter] - (path.last - 1), 0)
    length = path.last - path.first
    rows = np.repeat(np.arange(len(length)), length + waits)
    within = np.arange(len(rows)) - np.repeat(
        np.cumsum(length + waits) - length - waits, length + waits
    )
    hours = np.bincount(path.encounter, weights=length + waits, minlength=m).astype(np.int64)
    place = np.maximum(path.state[rows] // LEVELS - 1, 0) + 1
    return (
        path.state[rows] % LEVELS,
        place,
        within >= length[rows],
        np.concatenate([[0], hours.cumsum()]),
    )


def _ed_out(path: Path, encounters: Encounters, m: int) -> Ints:
    """Second at which the ED is left (whole minute); the start where there was no ED."""
    in_ed = (path.state < WARD * LEVELS) & (
        (path.after >= WARD * LEVELS) | (path.after >= TRANSIENT)
    )
    out = encounters.start_s.copy()
    rows = np.flatnonzero(in_ed)
    who = path.encounter[rows]
    exact = encounters.start_s[who] + HOUR_S * (path.last[rows] - 1) + path.second[rows]
    out[who] = exact // 60 * 60
    return out


def _appearance(severity: Ints, hours_from: Ints, rng: np.random.Generator) -> Floats:
    """Severity as it shows: the true level, blurred by the person and by the day."""
    hours = np.diff(hours_from)
    encounter = np.repeat(np.arange(len(hours)), hours)
    offset = rng.normal(0, 0.4, len(hours))
    hour = np.arange(len(severity)) - hours_from[:-1][encounter]
    knot = rng.normal(0, 0.45, len(severity) // 8 + 2 * len(hours) + 2)
    first = hours_from[:-1][encounter] // 8 + 2 * encounter
    left, share = first + hour // 8, (hour % 8) / 8
    wave = knot[left] * (1 - share) + knot[left + 1] * share
    return np.asarray(np.clip(severity + offset[encounter] + wave, 0.0, 5.5))


def _old_severity(arrays: Arrays, n: int, rng: np.random.Generator) -> Floats:
    """Severity of every disease in every subject, for those it does not bring to hospital."""
    z = rng.normal(size=(n, len(arrays.keys)))
    return np.asarray(np.clip(arrays.severity_mean + arrays.severity_sd * z, 0.5, LEVELS - 1))


def _problems(
    arrays: Arrays, encounters: Encounters, path: Path, rng: np.random.Generator
) -> Problems:
    n = len(encounters.subject)
    who, disease = np.nonzero(encounters.chronic)
    started, started_with, onset = _complications(arrays, encounters, path, rng)
    had = encounters.chronic[started]
    known = had[np.arange(len(started)), started_with] | (
        encounters.condition[started] == started_with
    )
    known |= (had & arrays.replaces[:, started_with].T).any(axis=1)
    fresh = ~known
    started, started_with, onset = started[fresh], started_with[fresh], onset[fresh]
    _, first = np.unique(started * len(arrays.keys) + started_with, return_index=True)
    started, started_with, onset = started[first], started_with[first], onset[first]
    encounter = np.concatenate([np.arange(n), who, started])
    role = np.repeat([PRINCIPAL, COMORBID, COMPLICATION], [n, len(who), len(started)])
    condition = np.concatenate([encounters.condition, disease, started_with])
    onset_s = np.concatenate([encounters.start_s, encounters.start_s[who], onset])
    order = np.lexsort((onset_s, role, encounter))
    return Problems(encounter[order], condition[order], role[order], onset_s[order])


def _complications(
    arrays: Arrays, encounters: Encounters, path: Path, rng: np.random.Generator
) -> tuple[Ints, Ints, Ints]:
    """Which turns for the worse were a complication, and which one."""
    worse = np.flatnonzero(
        (path.state >= WARD * LEVELS) & (path.after == path.state + 1) & (path.after < TRANSIENT)
    )
    who, level = path.encounter[worse], path.state[worse] % LEVELS
    condition = encounters.condition[who]
    rate = arrays.complication_rate[condition, level]
    share = rate / np.maximum(rate + arrays.worsen[condition] * WORSEN_BY_LEVEL[level], 1e-9)
    chosen = np.full(len(worse), -1)
    draw = rng.random(len(worse))
    for row in np.unique(condition):
        listed = list(arrays.book.conditions[arrays.keys[row]].complications)
        for at_level in range(LEVELS):
            here = [c for c in listed if at_level >= c.from_severity]
            mine = np.flatnonzero((condition == row) & (level == at_level) & (draw < share))
            if here and mine.size:
                weight = np.array([c.per_day for c in here])
                picks = rng.choice(len(here), size=mine.size, p=weight / weight.sum())
                chosen[mine] = np.array([arrays.index(c.condition) for c in here])[picks]
    found = chosen >= 0
    onset = encounters.start_s[who] + HOUR_S * (path.last[worse] - 1) + path.second[worse]
    return who[found], chosen[found], onset[found] // 60 * 60


def _places(path: Path, encounters: Encounters, ends: Ends) -> Spells:
    """Runs of the same place (1 ED, 2 ward, 3 ICU), from entering to leaving it."""
    place = np.maximum(path.state // LEVELS - 1, 0) + 1
    new = np.ones(len(place), bool)
    new[1:] = (np.diff(path.encounter) > 0) | (np.diff(place) != 0)
    first = np.flatnonzero(new)
    last = np.append(first[1:] - 1, len(place) - 1)
    who = path.encounter[first]
    end_s = encounters.start_s[who] + HOUR_S * (path.last[last] - 1) + path.second[last]
    end_s = np.where((place[first] == 1) | (path.after[last] == DEAD), end_s // 60 * 60, end_s)
    end_s = np.where(path.after[last] >= TRANSIENT, ends.left_s[who], end_s)
    start_s = np.where(
        np.append(True, np.diff(who) > 0), encounters.start_s[who], np.append(0, end_s[:-1])
    )
    return Spells(who, start_s, end_s, place[first])


def _with_supports(scene: Scene, rng: np.random.Generator) -> Scene:
    vent, pressor, crrt = (_support(scene, kind, rng) for kind in range(3))
    return replace(scene, supports=(vent, pressor, crrt))


def _support(scene: Scene, kind: int, rng: np.random.Generator) -> Spells:
    """Hours of an organ support: begun at its severity, kept until a level below."""
    hours = np.diff(scene.hours_from)
    encounter = np.repeat(np.arange(scene.n), hours)
    rule = scene.arrays.supports[scene.encounters.condition, kind]
    willing = rng.random(scene.n) < rule[:, 1]
    in_icu = scene.place == ICU
    level = scene.severity
    on = in_icu & (level >= rule[encounter, 0]) & willing[encounter]
    off = ~in_icu | (level < rule[encounter, 0] - 1)
    first = (
        np.concatenate([[True], np.diff(encounter) > 0]) if len(encounter) else np.zeros(0, bool)
    )
    row = np.arange(len(encounter))
    last_on = np.maximum.accumulate(np.where(on, row, -1))
    last_off = np.maximum.accumulate(np.where((off | first) & ~on, row, -1))
    given = np.concatenate([[0], (last_on > last_off).astype(np.int64), [0]])
    edge = np.diff(given)
    begin, end = np.flatnonzero(edge == 1), np.flatnonzero(edge == -1)
    split = _cut_at_encounters(begin, end, encounter)
    begin, end = split
    who = encounter[begin]
    origin = scene.encounters.start_s[who] - HOUR_S * scene.hours_from[who]
    start_s = origin + HOUR_S * begin + 60 * rng.integers(5, 55, len(who))
    left = _stay_end(scene, encounter=who, second=origin + HOUR_S * begin)
    end_s = np.minimum(origin + HOUR_S * end, left)
    keep = end_s - start_s > HOUR_S // 2
    return Spells(who[keep], start_s[keep], end_s[keep], np.full(int(keep.sum()), kind))


def _stay_end(scene: Scene, *, encounter: Ints, second: Ints) -> Ints:
    """When the place that holds each (encounter, whole hour) is left."""
    places, big = scene.places, 1 << 40
    key = places.encounter * big + places.start_s
    return np.asarray(places.end_s[np.searchsorted(key, encounter * big + second, "right") - 1])


def _cut_at_encounters(begin: Ints, end: Ints, encounter: Ints) -> tuple[Ints, Ints]:
    """Runs that end where the encounter does."""
    if not begin.size:
        return begin, end
    boundary = np.flatnonzero(np.diff(encounter) > 0) + 1
    inside = boundary[
        (np.searchsorted(begin, boundary, "left") - np.searchsorted(end, boundary, "right")) > 0
    ]
    return np.sort(np.concatenate([begin, inside])), np.sort(np.concatenate([end, inside]))


def every(start_s: Ints, end_s: Ints, *, period_s: Ints | int) -> tuple[Ints, Ints]:
    """(row, time) at start, start + period, ... before end, for every row."""
    period = np.broadcast_to(np.asarray(period_s), start_s.shape)
    count = np.maximum((end_s - start_s + period - 1) // period, 0)
    row = np.repeat(np.arange(len(start_s)), count)
    step = np.arange(len(row)) - np.repeat(count.cumsum() - count, count)
    return row, np.asarray(start_s[row] + step * period[row])


def texts(values: list[str] | tuple[str, ...]) -> NDArray[np.object_]:
    """Strings as an array to index."""
    return np.array(values, dtype=object)
