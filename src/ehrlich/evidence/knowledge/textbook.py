"""The synthetic hospital's own textbook as a knowledge graph: what its charts were drawn from.

On its charts this graph is the truth: a path search that fails here fails anywhere.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from ehrlich.charts.hospital.textbook import Condition, Phrase, Textbook, load_textbook
from ehrlich.evidence.drug_names import ingredients
from ehrlich.evidence.knowledge.graph import KnowledgeGraph, graph_of

SOURCE, LICENCE = "textbook", "Apache-2.0"
# What is said where nothing was found; a drug given for so many conditions is for comfort.
NEGATIVE = ("no ", "normal", "denies", "without ")
WIDELY_GIVEN = 0.1
NO_DISEASE = ("no_acute_disease",)
NO_ORGANISM = ("positive", "mixed_flora")
VITAL_NAMES = {
    "heartrate": "heart rate",
    "sbp": "systolic blood pressure",
    "dbp": "diastolic blood pressure",
    "resprate": "respiratory rate",
    "o2sat": "oxygen saturation",
}


@dataclass
class _Notes:
    """Rows of the four parts as they are met; a node that is met again keeps its first row."""

    nodes: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    names: list[tuple[Any, ...]] = field(default_factory=list)
    edges: list[tuple[Any, ...]] = field(default_factory=list)
    xrefs: list[tuple[Any, ...]] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def node(self, node: str, kind: str, *names: str, generic: bool = False) -> str:
        """The node's id; its first name is the one it is shown by."""
        self.nodes.setdefault(node, (node, names[0], kind, SOURCE, LICENCE, generic))
        self.names += [(node, name, SOURCE) for name in names]
        return node

    def edge(self, head: str, relation: str, *, tail: str) -> None:
        self.edges.append((head, relation, tail, SOURCE, LICENCE))


def textbook_graph(book: Textbook | None = None) -> KnowledgeGraph:
    """Conditions, findings, tests, drugs, procedures, organisms and what ties them.

    Left out and counted: findings that say what was not found, and drugs that are given for so
    many conditions that they treat none in particular.

    >>> graph = textbook_graph()
    >>> potassium = graph.names.filter(name="potassium high")["node"]
    >>> {"hyperkalemia"} <= set(
    ...     graph.edges.filter(head=potassium.item(), relation="finding_of")["tail"]
    ...     .str.split(":").list.last()
    ... )
    True
    """
    book = book or load_textbook()
    notes = _Notes()
    _tests(book, notes)
    _organisms(book, notes)
    drugs = _drugs(book, notes)
    wide = _widely_given(book)
    for condition in book.conditions.values():
        _condition(condition, notes)
        _findings(condition, notes)
        _treated(condition, notes, drugs=drugs, wide=wide)
        _procedures(condition, notes, book=book)
        for test in condition.tests:
            for lab in book.labs_of(test):
                notes.edge(_is(condition.key), "monitored_with", tail=_id("lab", lab))
    parts = {part: getattr(notes, part) for part in ("names", "edges", "xrefs")}
    return graph_of(parts | {"nodes": [*notes.nodes.values()]}, dropped=notes.dropped)


def _id(kind: str, key: str) -> str:
    return f"textbook:{kind}:{key}"


def _is(condition: str) -> str:
    return _id("condition", condition)


def _tests(book: Textbook, notes: _Notes) -> None:
    """Each lab and vital sign, and each way of being out of range."""
    for lab in book.labs.values():
        label, fluid = lab.label.lower(), lab.fluid.lower()
        names = [label] if fluid == "blood" else [f"{fluid} {label}"]
        if fluid in label:
            names.append(label)
        _test(notes, _id("lab", lab.key), itemid=lab.itemid, names=names)
    for vital in book.vitals.values():
        column = vital.ed_column or ""
        names = [VITAL_NAMES.get(column, column), vital.label.lower()]
        _test(notes, _id("vital", vital.key), itemid=vital.itemid, names=[n for n in names if n])


def _test(notes: _Notes, node: str, *, itemid: int, names: list[str]) -> None:
    notes.node(node, "test", *names)
    notes.xrefs.append((node, "MIMIC", str(itemid)))
    for direction in ("high", "low"):
        finding = f"{node}:{direction}"
        notes.node(finding, "finding", *(f"{name} {direction}" for name in names))
        notes.xrefs.append((finding, "MIMIC", f"{itemid}//{direction}"))
        notes.edge(node, "measures", tail=finding)


def _organisms(book: Textbook, notes: _Notes) -> None:
    for organism in book.organisms.values():
        node = _id("organism", organism.key)
        is_none = organism.key in NO_ORGANISM
        notes.node(node, "organism", organism.name.lower(), generic=is_none)
        notes.xrefs.append((node, "MIMIC", str(organism.itemid)))


def _drugs(book: Textbook, notes: _Notes) -> dict[str, str]:
    """Key of a drug → node of its ingredient. What moves a lab is an adverse effect."""
    names = [drug.name.lower() for drug in book.drugs.values()]
    pures = ingredients(pl.Series(names, dtype=pl.String))
    nodes = {}
    for key, name, pure in zip(book.drugs, names, pures, strict=True):
        pure = pure or name
        nodes[key] = notes.node(_id("drug", pure), "drug", pure, name)
        group = book.drugs[key].drug_class
        group_node = notes.node(_id("class", group), "drug_class", group)
        notes.edge(nodes[key], "has_class", tail=group_node)
        for lab, effect in book.drugs[key].labs.items():
            finding = f"{_id('lab', lab)}:{effect.direction}"
            notes.edge(finding, "adverse_effect_of", tail=nodes[key])
    return nodes


def _widely_given(book: Textbook) -> set[str]:
    """Keys of drugs; heparin under the skin is one of them, a heparin infusion is not."""
    given = Counter(
        drug
        for condition in book.conditions.values()
        for drug in {treatment.drug for treatment in condition.treatments}
    )
    return {drug for drug, n in given.items() if n > WIDELY_GIVEN * len(book.conditions)}


def _condition(condition: Condition, notes: _Notes) -> None:
    """Its names, its codes, and the other conditions it has to do with."""
    here = _is(condition.key)
    healthy = condition.key in NO_DISEASE
    notes.node(here, "disease", condition.title, *condition.also, generic=healthy)
    codes = [("ICD10CM", code) for code in condition.icd10]
    codes += [("ICD9CM", code) for code in condition.icd9]
    notes.xrefs += [(here, system, _dotted(system, code)) for system, code in codes]
    for other in condition.risk_factors:
        notes.edge(_is(other), "predisposes_to", tail=here)
    for complication in condition.complications:
        notes.edge(_is(complication.condition), "complication_of", tail=here)
    for comorbid in condition.comorbid:
        if comorbid not in condition.risk_factors:
            notes.edge(here, "associated_with", tail=_is(comorbid))


def _dotted(system: str, code: str) -> str:
    """`N179` as `N17.9`; external causes of ICD-9 have four characters before the dot."""
    before = 4 if system == "ICD9CM" and code.startswith("E") else 3
    return f"{code[:before]}.{code[before:]}" if len(code) > before else code


def _findings(condition: Condition, notes: _Notes) -> None:
    here, seen = _is(condition.key), condition.findings
    for kind, moved in (("lab", seen.labs), ("vital", seen.vitals)):
        for key, finding in moved.items():
            notes.edge(f"{_id(kind, key)}:{finding.direction}", "finding_of", tail=here)
    for grown in seen.organisms:
        if grown.organism not in NO_ORGANISM:
            notes.edge(here, "caused_by", tail=_id("organism", grown.organism))
    for image in seen.imaging:
        for node in _said(notes, "imaging", image.finding):
            notes.edge(node, "finding_of", tail=here)
    for phrase in (*seen.symptoms, *seen.some_symptoms):
        for node in _said(notes, "symptom", phrase):
            notes.edge(here, "has_symptom", tail=node)


def _said(notes: _Notes, kind: str, phrase: Phrase) -> list[str]:
    """Nodes of what was found, in the words of the textbook."""
    words = [phrase] if isinstance(phrase, str) else phrase
    texts = [text.strip().rstrip(".").lower() for text in words]
    told = [text for text in texts if not text.startswith(NEGATIVE)]
    notes.dropped["finding: says what was not found"] += len(texts) - len(told)
    return [notes.node(_id(kind, text), "finding", text) for text in told]


def _treated(condition: Condition, notes: _Notes, *, drugs: dict[str, str], wide: set[str]) -> None:
    here = _is(condition.key)
    given = [*(t.drug for t in condition.treatments), *condition.discharge_drugs]
    for drug in dict.fromkeys(given):
        if drug in wide:
            notes.dropped["treats: a drug that is given for many conditions"] += 1
        else:
            notes.edge(drugs[drug], "treats", tail=here)


def _procedures(condition: Condition, notes: _Notes, *, book: Textbook) -> None:
    for done in condition.procedures:
        node = notes.node(_id("procedure", done.icd10), "procedure", done.title.lower())
        notes.xrefs.append((node, "ICD10PCS", done.icd10))
        notes.xrefs.append((node, "ICD9PCS", done.icd9))
        if done.item is not None:
            item = book.icu_items[done.item]
            notes.names.append((node, item.label, SOURCE))
            notes.xrefs.append((node, "MIMIC", str(item.itemid)))
        notes.edge(node, "procedure_for", tail=_is(condition.key))
