"""Settings of evidence: what is refused before anything is written, and what makes two runs one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.small_evidence import Small, small_hospital

from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import ConfigError, DataError, EhrlichError, StoreError
from ehrlich.base.store import MANIFEST, Manifest
from ehrlich.charts.timeline import Charts
from ehrlich.evidence.config import EvidenceConfig, Setup, open_setup
from ehrlich.evidence.knowledge.graph import KnowledgeGraph, graph_of, write_graph


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return small_hospital(tmp_path_factory)


def setup_of(small: Small, cases: Path | None = None, **settings: Any) -> Setup:
    return Setup(
        EvidenceConfig(**({"knowledge": "none"} | settings)), small.charts, cases or small.cases
    )


def changed(small: Small, out: Path, **changes: Any) -> Path:
    """The cases with another manifest, and nothing else."""
    body = json.loads((small.cases / MANIFEST).read_text())
    for path, value in changes.items():
        where = body
        *parents, last = path.split("__")
        for name in parents:
            where = where[name]
        where[last] = value
    out.mkdir()
    (out / MANIFEST).write_text(json.dumps(body))
    return out


def knowledge() -> KnowledgeGraph:
    nodes = [(name, name, "disease", "me", "CC0-1.0", False) for name in ("a", "b")]
    return graph_of({"nodes": nodes, "edges": [("a", "due_to", "b", "me", "CC0-1.0")]})


def refused(setup: Setup, kind: type[EhrlichError]) -> str:
    with pytest.raises(kind) as caught:
        setup.manifest(Path("out"))
        assert setup.tasks
        assert setup.graph is None
    return str(caught.value)


def test_cases_of_other_charts_are_refused(small: Small, tmp_path: Path) -> None:
    cases = changed(small, tmp_path / "cases", config__charts="0123456789abcdef")
    assert "built from other charts" in refused(setup_of(small, cases), DataError)


def test_a_folder_of_another_step_holds_no_cases(small: Small) -> None:
    assert "holds no cases" in refused(setup_of(small, small.charts), DataError)


def test_unfinished_folders_are_refused(small: Small, tmp_path: Path) -> None:
    assert "no finished output" in refused(setup_of(small, tmp_path), StoreError)
    none = Small(tmp_path, small.cases)
    assert "no finished output" in refused(setup_of(none), StoreError)


def test_cases_without_a_train_case_are_refused(small: Small, tmp_path: Path) -> None:
    tasks = {"diagnoses_ccs": {"splits": {"held_out": {"cases": 7}, "train": {}}}}
    cases = changed(small, tmp_path / "cases", counts__tasks=tasks)
    assert "needs train cases" in refused(setup_of(small, cases), DataError)


def test_a_task_is_taken_as_its_cases_were_built(small: Small, tmp_path: Path) -> None:
    body = json.loads((small.cases / MANIFEST).read_text())
    stated = body["config"]["tasks"]
    stated[0]["title"] = "As the user has it"
    setup = setup_of(small, changed(small, tmp_path / "cases", config__tasks=stated))
    assert setup.tasks[stated[0]["task"]].title == "As the user has it"


def test_an_unknown_policy_is_told_the_nearest_one(small: Small) -> None:
    assert "Did you mean 'paper'?" in refused(setup_of(small, policy="papr"), ConfigError)


def test_knowledge_must_be_a_knowledge_folder(small: Small, tmp_path: Path) -> None:
    setup = setup_of(small, knowledge=str(small.charts))
    assert "is no knowledge graph" in refused(setup, DataError)
    nowhere = setup_of(small, knowledge=str(tmp_path / "nowhere"))
    assert "no finished output" in refused(nowhere, StoreError)


@pytest.mark.parametrize("hops", [-1, 4])
def test_hops_are_from_0_to_3(small: Small, hops: int) -> None:
    with pytest.raises((ConfigError, ValueError), match="path_hops"):
        assert setup_of(small, max_hops=hops).graph_policy.path_hops == hops


@pytest.mark.parametrize(
    "other",
    [
        {"policy": "paper"}, {"max_hops": 1}, {"candidates": 7}, {"notes": False}, {"limit": 5},
        {"seed": 1}, {"paths_per_pair": 1}, {"knowledge": "textbook"},
    ],
    ids=str,
)  # fmt: skip
def test_what_changes_results_changes_the_fingerprint(small: Small, other: dict[str, Any]) -> None:
    usual = setup_of(small).manifest(Path("out")).config_fingerprint
    assert setup_of(small, **other).manifest(Path("out")).config_fingerprint != usual


@pytest.mark.parametrize(
    "other", [{"workers": 7}, {"resume": True}, {"fresh": True}, {"quiet": True}], ids=str
)
def test_what_does_not_change_results_does_not(small: Small, other: dict[str, Any]) -> None:
    usual = setup_of(small).manifest(Path("out")).config_fingerprint
    assert setup_of(small, **other).manifest(Path("elsewhere")).config_fingerprint == usual


def test_knowledge_counts_by_what_it_is_and_not_by_where_it_lies(
    small: Small, tmp_path: Path
) -> None:
    manifest = Manifest("knowledge", DataUse.OPEN, {"builder": "edges"})
    write_graph(knowledge(), tmp_path / "one", manifest=manifest)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    one, two = (
        setup_of(small, knowledge=str(tmp_path / name)).manifest(Path("out"))
        for name in ("one", "two")
    )
    assert one.config_fingerprint == two.config_fingerprint
    assert one.inputs["knowledge"] != two.inputs["knowledge"]


def test_evidence_is_as_restricted_as_its_knowledge(small: Small, tmp_path: Path) -> None:
    manifest = Manifest("knowledge", DataUse.CREDENTIALED, {"builder": "umls"})
    write_graph(knowledge(), tmp_path / "umls", manifest=manifest)
    given = setup_of(small, knowledge=str(tmp_path / "umls")).manifest(Path("out"))
    assert given.data_use == DataUse.CREDENTIALED
    assert setup_of(small).manifest(Path("out")).data_use == DataUse.SYNTHETIC


def test_notes_are_read_by_names_of_the_knowledge_or_not_at_all(small: Small) -> None:
    assert setup_of(small).matcher is None
    assert setup_of(small, knowledge="textbook", notes=False).matcher is None
    assert setup_of(small, knowledge="textbook").matcher is not None


def test_a_limit_is_of_the_shards_first_subjects(small: Small) -> None:
    setup = setup_of(small, limit=4)
    shard = next(shard for shard in Charts(small.charts).shards() if shard.startswith("train"))
    first = set(setup.read(shard)["subject_id"])
    assert len(first) == 4
    name = shard.replace("/", "-")
    for task in ("diagnoses_ccs", "procedures_icd"):
        mine = set(setup.cases_of(task, name)["subject_id"])
        every = set(setup_of(small).cases_of(task, name)["subject_id"])
        assert mine == every & first


def test_samples_are_of_the_task_and_the_split(small: Small) -> None:
    setup = setup_of(small)
    train, tuning = (setup.sampled("diagnoses_ccs", name) for name in ("train-0", "tuning-0"))
    assert set(train["task"]) == {"diagnoses_ccs"}
    assert set(train["case_id"]) <= set(setup.cases_of("diagnoses_ccs", "train-0")["case_id"])
    assert tuning.is_empty()


def test_one_setup_a_process(small: Small) -> None:
    folders = (small.charts, small.cases)
    assert open_setup(EvidenceConfig(), folders) is open_setup(EvidenceConfig(), folders)
