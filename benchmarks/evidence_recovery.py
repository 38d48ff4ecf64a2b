"""What co-occurrence finds of what the synthetic hospital's textbook planted, and where nothing is.

`python -m benchmarks.evidence recovery CHARTS CASES HOSPITAL` fits the task diagnoses_icd on the
train cases and compares with the textbook: see `recovery`. `... null` makes a hospital whose
textbook has no links and counts what is kept there: see `null_hospital`.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import polars as pl
from benchmarks.evidence_lift import all_units

from ehrlich.charts.hospital.textbook import TEXTBOOK, load_textbook
from ehrlich.charts.timeline import Charts
from ehrlich.cohorts.scene import Source
from ehrlich.cohorts.task import load_tasks
from ehrlich.evidence.concepts import case_concepts, concepts_of
from ehrlich.evidence.cooccurrence import Units, counts_of, fit
from ehrlich.evidence.naming import Naming
from ehrlich.evidence.planted import planted_links
from ehrlich.evidence.policy import Policy, load_policy
from ehrlich.evidence.significance import PairMargins, hypergeometric_tail

TASK = "diagnoses_icd"
AT_ONCE = 1000


def told_and_shown(charts: Charts, cases: Path) -> tuple[pl.DataFrame, ...]:
    """cases, answers, histories of the train split: answers are the codes of the anchor event."""
    source = Source.of(charts)
    naming = Naming.of(source)
    task = load_tasks()[TASK]
    parts: list[list[pl.DataFrame]] = [[], [], []]
    for shard in charts.shards():
        if not shard.startswith("train/"):
            continue
        rows = charts.read(shard, fields=True)
        concepts = concepts_of(rows, naming)
        own = pl.read_parquet(cases / TASK / f"{shard.replace('/', '-')}.parquet")
        at = own.select("case_id", "subject_id", event="anchor_event")
        coded = concepts.filter(pl.col("concept").str.starts_with("diagnosis//"))
        answers = at.join(coded, on=["subject_id", "event"]).rename({"concept": "target"})
        parts[0].append(own.select("case_id", "subject_id", "split"))
        parts[1].append(answers.select("case_id", "subject_id", "target").unique())
        for some in own.iter_slices(AT_ONCE):
            shown = case_concepts(some, concepts, rows=rows, task=task, source=source)
            parts[2].append(shown.select("case_id", "subject_id", "concept").unique())
    return tuple(pl.concat(part) for part in parts)


SIGNED = r"^(lab|vital|charted)//.*//(high|low)$|^organism//"
DONE = r"^(drug|procedure|bedside)//"
GROUPS = {"finding → condition": SIGNED, "condition → treatment": DONE}
IN_ICU = "charted//heart rate"
BROUGHT = {
    "finding → condition": ["finding", "organism"],
    "condition → treatment": ["treatment", "home_drug", "procedure"],
}
PAIR = ["target", "history"]


def recovery(charts: Path, cases: Path, hospital: Path, *, nulls: int) -> int:
    """Print what each policy finds of what was planted, and what it finds where nothing is.

    Pairs of a diagnosis code and a sign (lab, vital or charted out of range, organism) or a thing
    done (drug, procedure). A pair is planted where the textbook gives it to a condition of that
    code; near where it gives it to one beside that condition (comorbid, risk factor,
    complication). Base is the share of planted (near) pairs among all that could pass by their
    margins: what drawing at random would find. Recall is of planted pairs that support allows: if
    the joint count were n_target * p, it would be min_both or more and its hypergeometric tail at
    or below the largest p that fdr keeps; where several conditions share the code, p is that of
    the condition that brings it least, and drugs that everybody takes home do not count, which are
    prescribed when the question has been asked. The second recall is of those of them that support
    allows if only patients count in whom the sign was looked for (`looked_for`): a pulse is charted
    in intensive care only, and nobody's C-reactive protein is high who had none taken.
    """
    check_textbook(hospital)
    start = time.perf_counter()
    parts = told_and_shown(Charts(charts), cases)
    print(f"{parts[0].height:,} cases, concepts in {time.perf_counter() - start:.0f} s")
    links = planted_links(load_textbook())
    fits: dict[str, tuple[Policy, Units, pl.DataFrame]] = {}
    for name in ("fdr", "paper"):
        policy = load_policy(name)
        units = all_units(parts[0], parts[1], parts[2], policy)
        start = time.perf_counter()
        fits[name] = (policy, units, fit(counts_of(units), policy))
        seconds = time.perf_counter() - start
        kept = fits[name][2].filter("kept").height
        print(f"{name}: {units.subjects.size:,} units, {kept:,} pairs kept in {seconds:.1f} s")
    for group, pattern in GROUPS.items():
        print(f"\n{group}")
        compare(fits, links, group=group, pattern=pattern)
    print()
    for name, (policy, units, _) in fits.items():
        null(name, policy, units, nulls=nulls)
    return 0


def check_textbook(hospital: Path) -> None:
    """The hospital must have been made from the textbook that is compared with."""
    manifest = json.loads((hospital / "manifest.json").read_text(encoding="utf-8"))
    print(
        f"hospital of {manifest.get('config', {}).get('patients', '?')} patients; {TEXTBOOK.name}"
    )


def compare(
    fits: dict[str, tuple[Policy, Units, pl.DataFrame]],
    links: pl.DataFrame,
    *,
    group: str,
    pattern: str,
) -> None:
    """Lines of precision and recall, each policy whole and cut to the same number of pairs."""
    scope = pl.col("history").str.contains(pattern)
    planted = links.filter(pl.col("kind").is_in(BROUGHT[group]))
    direct = planted.filter(pl.col("via").is_null()).group_by(PAIR).agg(pl.col("p").max())
    near = planted.select(PAIR).unique()
    policy, units, lift = fits["fdr"]
    could = testable(units, policy).filter(scope)
    # What everybody gets to take home is prescribed when the question has been asked.
    later = (pl.col("kind") == "home_drug") & (pl.col("p") == 1)
    before = planted.filter(~later.fill_null(False))
    sure = could.join(certain(before, links), on=PAIR)
    allowed = supported(sure.with_columns(n_able=pl.col("n_target")), fits["fdr"])
    seen = supported(looked_for(allowed, units), fits["fdr"])
    base = [could.join(part, on=PAIR, how="semi").height / could.height for part in (direct, near)]
    print(f"  base of {could.height:,}: planted {base[0]:.3f}, near {base[1]:.3f}; ", end="")
    print(f"support allows {allowed.height:,}, where looked for {seen.height:,}")
    kept = {name: found.filter(pl.col("kept") & scope) for name, (_, _, found) in fits.items()}
    every = lift.filter((pl.col("q") <= (policy.max_q or 1)) & scope)
    least = min(kept["fdr"].height, kept["paper"].height)
    best = {name: found.sort("lift", descending=True).head(least) for name, found in kept.items()}
    lines = {
        "fdr": kept["fdr"],
        "fdr, no top k": every,
        "paper": kept["paper"],
        f"fdr, best {least}": best["fdr"],
        f"fdr, least p {least}": every.sort("p").head(least),
        f"paper, best {least}": best["paper"],
    }
    for top in (5, 10, 20, 100):
        place = pl.int_range(pl.len()).over("target")
        ranked = every.sort("lift", descending=True).filter(place < top)
        lines[f"fdr, top {top}"] = ranked
    for name, found in lines.items():
        hits = [found.join(part, on=PAIR, how="semi").height for part in (direct, near)]
        recalls = [
            asked.join(found, on=PAIR, how="semi").height / max(asked.height, 1)
            for asked in (allowed, seen)
        ]
        precise = [hit / max(found.height, 1) for hit in hits]
        print(
            f"  {name:<20} {found.height:7,} pairs  precision planted {precise[0]:.3f} "
            f"near {precise[1]:.3f}  recall {recalls[0]:.3f}, where looked for {recalls[1]:.3f}"
        )


def certain(planted: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """target, history, p of pairs that every condition of the code brings."""
    owners = links.group_by("target").agg(_owners=pl.col("condition").n_unique())
    own = planted.filter(pl.col("via").is_null())
    most = own.group_by("condition", *PAIR).agg(pl.col("p").max())
    shared = most.group_by(PAIR).agg(pl.col("p").min(), _n=pl.len())
    return shared.join(owners, on="target").filter(pl.col("_n") == pl.col("_owners"))


def looked_for(pairs: pl.DataFrame, units: Units) -> pl.DataFrame:
    """`pairs` with n_able: patients with the target in whom the sign could have been seen.

    Of a result those who have the test, whatever came of it; of what is done at the bedside those
    in intensive care; of anything else all.
    """
    plain = pl.col("history").str.replace(r"//(high|low)$", "")
    bedside = pl.col("history").str.starts_with("bedside//")
    asked = pairs.with_columns(test=pl.when(bedside).then(pl.lit(IN_ICU)).otherwise(plain))
    joint = (units.targets.T @ units.histories).tocoo()
    held = pl.DataFrame(
        {
            "target": pl.Series(units.axes.targets).gather(joint.coords[0]),
            "test": pl.Series(units.axes.histories).gather(joint.coords[1]),
            "n_both": joint.data.astype(np.int64),
        }
    )
    known = asked.join(held, on=["target", "test"], how="left", maintain_order="left")
    tested = pl.col("test") != pl.col("history")
    able = pl.when(tested).then(pl.col("n_both").fill_null(0)).otherwise("n_target")
    return pairs.with_columns(known.select(able.cast(pl.Int64).alias("n_able"))["n_able"])


def supported(pairs: pl.DataFrame, fdr: tuple[Policy, Units, pl.DataFrame]) -> pl.DataFrame:
    """Those that would be kept if, of `n_able`, as many had the sign as the textbook says."""
    policy, units, lift = fdr
    cut = float(lift.filter(pl.col("q") <= (policy.max_q or 1))["p"].to_numpy().max(initial=0))
    both = np.floor((pairs["n_able"] * pairs["p"]).to_numpy()).astype(np.int64)
    n_target, n_history = (
        pairs[name].to_numpy().astype(np.int64) for name in ("n_target", "n_history")
    )
    of_pairs = PairMargins(n_target, n_history, np.full(both.size, units.subjects.size))
    able = (both >= policy.min_both) & (hypergeometric_tail(both, of_pairs) <= cut)
    return pairs.filter(pl.Series(able))


def testable(units: Units, policy: Policy) -> pl.DataFrame:
    """The pairs that could pass by their margins: target, history, n_target, n_history."""
    sides = []
    for names, held, column in (
        (units.axes.targets, units.targets, "target"),
        (units.axes.histories, units.histories, "history"),
    ):
        n = np.asarray(held.sum(axis=0)).reshape(-1)
        side = pl.DataFrame({column: names, f"n_{column}": n})
        sides.append(side.filter(pl.col(f"n_{column}") >= policy.min_both))
    return sides[0].join(sides[1], how="cross")


def null(name: str, policy: Policy, units: Units, *, nulls: int) -> None:
    """A line of what is kept after the answers were dealt out again between the units."""
    kept = []
    for seed in range(nulls):
        order = np.random.default_rng(seed).permutation(units.subjects.size)
        dealt = units._replace(targets=units.targets[order])
        kept.append(fit(counts_of(dealt), policy).filter("kept").height)
    some = sum(count > 0 for count in kept) / max(nulls, 1)
    print(
        f"null {name:<6} answers dealt out again, {nulls} times: pairs kept mean "
        f"{np.mean(kept):.2f}, most {max(kept)}; runs that keep any {some:.2f}"
    )
