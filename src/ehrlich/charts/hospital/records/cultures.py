"""microbiologyevents: cultures sent, what grew, and to what it is resistant, days later."""

from __future__ import annotations

import numpy as np
import polars as pl

from ehrlich.charts.hospital.arrays import Bools, Floats, Ints
from ehrlich.charts.hospital.course import HOUR_S, ICU
from ehrlich.charts.hospital.records.frames import ids, picked, providers, table, times
from ehrlich.charts.hospital.risks import DAY_S
from ehrlich.charts.hospital.scene import BLOCK, COMORBID, Scene, scrambled

SENT, BACKGROUND_FEVER = 0.8, 0.02
Culture = tuple[Ints, Ints, Ints, Ints]  # encounter, specimen, second, organism or -1


def culture_records(scene: Scene, rng: np.random.Generator) -> pl.DataFrame:
    """The table."""
    parts = [*_for_infections(scene, rng), *_screens(scene, rng), _for_fever(scene, rng)]
    who, specimen, second, organism = (np.concatenate(c) for c in zip(*parts, strict=True))
    keep = second < scene.left_s[who]
    order = np.flatnonzero(keep)
    order = order[
        np.lexsort((specimen[order], second[order], scene.encounters.subject[who[order]]))
    ]
    return _table(scene, (who[order], specimen[order], second[order], organism[order]), rng)


def _for_infections(scene: Scene, rng: np.random.Generator) -> list[Culture]:
    """Cultures of the sites that a condition infects, before treatment and again the next day."""
    book, problems = scene.arrays.book, scene.problems
    organisms, specimens = list(book.organisms), list(book.specimens)
    parts: list[Culture] = []
    for row, condition in enumerate(book.conditions.values()):
        mine = np.flatnonzero((problems.condition == row) & (problems.role != COMORBID))
        if not condition.findings.organisms or not mine.size:
            continue
        who, onset = problems.encounter[mine], problems.onset_s[mine]
        for site in dict.fromkeys(o.specimen for o in condition.findings.organisms):
            sent = (rng.random(len(who)) < SENT) & (scene.admitted[who] | (site == "urine"))
            of, since = who[sent], onset[sent]
            draw, found, below = rng.random(len(of)), np.full(len(of), -1), np.zeros(len(of))
            for finding in condition.findings.organisms:
                if finding.specimen == site:
                    found[(draw >= below) & (draw < below + finding.p)] = organisms.index(
                        finding.organism
                    )
                    below = below + finding.p
            code = np.full(len(of), specimens.index(site))
            second = since + 60 * rng.integers(20, 240, len(of))
            parts.append((of, code, second, found))
            if site == "blood":
                parts.append(
                    (of, code, second + 900, np.where(rng.random(len(of)) < 0.75, found, -1))
                )
                later = np.flatnonzero(rng.random(len(of)) < 0.45)
                parts.append(
                    (
                        of[later],
                        code[later],
                        second[later] + DAY_S,
                        np.where(rng.random(len(later)) < 0.3, found[later], -1),
                    )
                )
    return parts


def _screens(scene: Scene, rng: np.random.Generator) -> list[Culture]:
    """What every ICU admission is swabbed for."""
    book, rows = scene.arrays.book, np.flatnonzero(scene.places.kind == ICU)
    parts = []
    for code, specimen in enumerate(book.specimens.values()):
        if specimen.routine:
            at = rows[rng.random(len(rows)) < specimen.routine]
            grown = np.where(
                rng.random(len(at)) < 0.08, list(book.organisms).index("staph_aureus"), -1
            )
            second = scene.places.start_s[at] + 60 * rng.integers(30, 300, len(at))
            parts.append((scene.places.encounter[at], np.full(len(at), code), second, grown))
    return parts


def _for_fever(scene: Scene, rng: np.random.Generator) -> Culture:
    """Blood and urine sent because someone looks unwell; most grow nothing."""
    per_hour = BACKGROUND_FEVER * scene.severity / 24
    hour = np.flatnonzero((rng.random(len(per_hour)) < 4 * per_hour) & (scene.place >= ICU - 1))
    who = np.searchsorted(scene.hours_from, hour, "right") - 1
    second = (
        scene.encounters.start_s[who]
        + (hour - scene.hours_from[who]) * HOUR_S
        + 60 * rng.integers(0, 60, len(hour))
    )
    specimens = list(scene.arrays.book.specimens)
    pick = np.array([specimens.index("blood"), specimens.index("urine")])[
        rng.integers(0, 2, len(hour))
    ]
    flora = list(scene.arrays.book.organisms).index("mixed_flora")
    found = np.where((rng.random(len(hour)) < 0.2) & (pick == specimens.index("urine")), flora, -1)
    return who, pick, second, found


def _table(scene: Scene, cultures: Culture, rng: np.random.Generator) -> pl.DataFrame:
    who, specimen, second, organism = cultures
    row, drug, resists = _isolates(scene, cultures, rng)
    specimens = list(scene.arrays.book.specimens.values())
    organisms = list(scene.arrays.book.organisms.values())
    lag_h = np.array([s.lag_h for s in specimens])[specimen] * np.exp(rng.normal(0, 0.2, len(who)))
    stored = (second + (lag_h * HOUR_S).astype(np.int64) // 60 * 60)[row]
    drawn, kind, grown = second[row], specimen[row], organism[row]
    undated = (rng.random(len(who)) < 0.06)[row]
    tube = scrambled(0, scene.number * BLOCK * 100 + np.arange(len(who)))[row]
    return table(
        "hosp/microbiologyevents",
        {
            "microevent_id": pl.Series(scene.number * BLOCK * 600 + np.arange(len(row)) + 1),
            "subject_id": pl.Series(scene.of_subject[who[row]]),
            "hadm_id": ids(scene.hadm_id[who[row]]),
            "micro_specimen_id": pl.Series(tube),
            "order_provider_id": providers(rng, len(who), missing=0.88).gather(pl.Series(row)),
            "chartdate": times(drawn // DAY_S * DAY_S),
            "charttime": times(drawn // 60 * 60, undated),
            "spec_itemid": pl.Series(np.array([s.spec_itemid for s in specimens])[kind]),
            "spec_type_desc": picked([s.spec_type_desc for s in specimens], kind),
            "test_seq": pl.Series(np.ones(len(row), np.int64)),
            "storedate": times(stored // DAY_S * DAY_S),
            "storetime": times(stored),
            "test_itemid": pl.Series(np.array([s.test_itemid for s in specimens])[kind]),
            "test_name": picked([s.test_name for s in specimens], kind),
            "org_itemid": ids(np.array([*(o.itemid for o in organisms), -1])[grown]),
            "org_name": picked([o.name for o in organisms], grown),
            "isolate_num": ids(np.where(grown >= 0, 1, -1)),
            **_susceptibility(scene, drug, resists, rng),
            "comments": picked([s.negative for s in specimens], np.where(grown >= 0, -1, kind)),
        },
    )


def _isolates(
    scene: Scene, cultures: Culture, rng: np.random.Generator
) -> tuple[Ints, Ints, Bools]:
    """(culture, antibiotic or -1, resists) of every row: one a drug tested, one where none is."""
    who, specimen, _, organism = cultures
    book = scene.arrays.book
    specimens = list(book.specimens.values())
    count = np.array([*(max(len(o.antibiotics), 1) for o in book.organisms.values()), 1])
    n = count[organism]
    row = np.repeat(np.arange(len(who)), n)
    step = np.arange(len(row)) - np.repeat(n.cumsum() - n, n)
    isolate = who * (len(book.organisms) + 1) + organism
    drug, resists = _panel(scene, organism[row], step, isolate[row], rng)
    screen = np.array(["SCREEN" in s.spec_type_desc.upper() for s in specimens])[specimen[row]]
    drug = np.where(screen, -1, drug)
    urinary = np.array([s.key == "urine" for s in specimens])[specimen[row]]
    only_urine = (drug == list(book.antibiotics).index("nitrofurantoin")) & ~urinary
    keep = ((drug >= 0) | (step == 0)) & ~(only_urine & (step > 0))
    return row[keep], drug[keep], resists[keep]


def _susceptibility(
    scene: Scene, drug: Ints, resists: Bools, rng: np.random.Generator
) -> dict[str, pl.Series]:
    """Columns of the antibiotic tested, its dilution and what that means."""
    listed = list(scene.arrays.book.antibiotics.values())
    untested, known = pl.Series(drug < 0), np.maximum(drug, 0)
    dilution = _dilution(np.array([a.breakpoint for a in listed])[known], resists, rng)
    sign = np.where(drug < 0, -1, np.where(resists, 0, 1))
    shown = pl.Series(dilution).cast(pl.String).str.replace(r"\.0$", "")
    return {
        "ab_itemid": ids(np.where(drug < 0, -1, np.array([a.itemid for a in listed])[known])),
        "ab_name": picked([a.name for a in listed], drug),
        "dilution_text": picked([">=", "<="], sign) + shown,
        "dilution_comparison": picked([">=        ", "<=        "], sign),
        "dilution_value": pl.Series(dilution).set(untested, None),
        "interpretation": picked(["R", "S"], sign),
    }


def _panel(
    scene: Scene, organism: Ints, step: Ints, isolate: Ints, rng: np.random.Generator
) -> tuple[Ints, Bools]:
    """Antibiotic of each row (-1 none) and whether the isolate resists it."""
    book = scene.arrays.book
    names = list(book.antibiotics)
    lists = [
        [(names.index(a), p) for a, p in o.antibiotics.items()] or [(-1, 0.0)]
        for o in book.organisms.values()
    ]
    lists.append([(-1, 0.0)])
    first = np.cumsum([0, *(len(x) for x in lists[:-1])])
    flat = [pair for x in lists for pair in x]
    at = first[organism] + step
    drug = np.array([d for d, _ in flat])[at]
    p = np.array([q for _, q in flat])[at]
    # One patient has one strain: the same result in every bottle. Who resists one resists more.
    _, strain = np.unique(isolate, return_inverse=True)
    strains = int(strain.max(initial=0)) + 1
    habit = rng.normal(0, 1, strains)[strain]
    draw = rng.random((strains, len(names)))[strain, np.maximum(drug, 0)]
    logit = np.log(np.maximum(p, 1e-9) / np.maximum(1 - p, 1e-9)) + 0.9 * habit
    return drug, draw < np.where(p > 0, 1 / (1 + np.exp(-logit)), 0)


def _dilution(limit: Floats, resists: Bools, rng: np.random.Generator) -> Floats:
    steps = rng.integers(0, 3, len(limit))
    return np.asarray(np.where(resists, limit * 2.0 ** (1 + steps), limit / 2.0**steps))
