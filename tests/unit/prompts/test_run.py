"""`ehrlich prompts` over shards: counts that close, resume, the same bytes for any workers."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.mini_prompts import bytes_of

from ehrlich.base.errors import ConfigError, DataError, StoreError
from ehrlich.base.store import MANIFEST, read_manifest
from ehrlich.charts.timeline import Charts
from ehrlich.cohorts.finished import Inputs
from ehrlich.prompts import run as run_module
from ehrlich.prompts.blocks import blocks_of, folder_of, read_mapped
from ehrlich.prompts.chat_policy import load_policy
from ehrlich.prompts.config import PromptsConfig, Setup
from ehrlich.prompts.run import ShardJob, plan, run


def config(**changes: Any) -> PromptsConfig:
    """Little, and without a tokenizer: nothing is counted."""
    stated: dict[str, Any] = {"tokenizer": "none", "limit": 5, "workers": 1, "quiet": True}
    return PromptsConfig(**(stated | changes))


def contents(out: Path) -> dict[str, Any]:
    """Every file and its bytes; the manifest without the time of its writing."""
    found: dict[str, Any] = {
        path.relative_to(out).as_posix(): bytes_of(path)
        for path in sorted(out.rglob("*")) if path.is_file()
    }  # fmt: skip
    manifest = json.loads(found.pop(MANIFEST))
    assert manifest.pop("written_at")
    return found | {MANIFEST: manifest}


@pytest.fixture(scope="module")
def whole(inputs: Inputs) -> Path:
    out = inputs.charts.with_name("whole")
    run(config(), inputs, out)
    return out


def plans(out: Path) -> pl.DataFrame:
    return pl.concat([read_mapped(path) for path in sorted(out.glob("plans/*/*.arrow"))])


def test_counts_are_those_of_the_files(finished: Path) -> None:
    counts = read_manifest(finished).counts
    made = plans(finished)
    assert counts["prompts"] == made.height
    by_task = dict(made.group_by("task").len().iter_rows())
    assert {name: line["cases"] for name, line in counts["by_task"].items()} == by_task
    assert counts["prompts_cut"] == sum(
        row["events_cut"] > 0 or bool(row["sections_cut"]) for row in made.to_dicts()
    )
    assert counts["prompts_cut"] > 0
    for name, rows in counts["files"]["ehr_ins"].items():
        path = finished / "ehr_ins" / name
        found = pl.read_parquet(path).height if path.suffix == ".parquet" else len(path.read_text().splitlines())  # noqa: E501 # fmt: skip
        assert found == rows
    for name, rows in counts["files"]["ehr_bench"].items():
        assert len((finished / "ehr_bench" / name).read_text().splitlines()) == rows


def test_every_case_of_a_sample_has_a_prompt_and_no_other(inputs: Inputs, tmp_path: Path) -> None:
    run(config(limit=None), inputs, tmp_path / "out")
    made = plans(tmp_path / "out")
    held = {
        name: pl.read_parquet(inputs.cases / "samples" / f"{name}.parquet")["case_id"].to_list()
        for name in ("ehr_ins", "ehr_bench")
    }
    assert sorted(made["case_id"]) == sorted({*held["ehr_ins"], *held["ehr_bench"]})
    for name, ids in held.items():
        chosen = made.filter(pl.col("samples").list.contains(name))
        assert sorted(chosen["case_id"]) == sorted(ids)
    ins = pl.concat([pl.read_parquet(path) for path in (tmp_path / "out").glob("ehr_ins/*/*.parquet")])  # noqa: E501 # fmt: skip
    assert sorted(ins["case_id"]) == sorted(held["ehr_ins"])


def test_a_limit_takes_the_first_cases_of_each_task_and_shard(
    whole: Path, inputs: Inputs, tmp_path: Path
) -> None:
    run(config(limit=2), inputs, tmp_path / "few")
    few, more = plans(tmp_path / "few"), plans(whole)
    assert few.join(more, on="case_id", how="anti").is_empty()
    for path in (tmp_path / "few").glob("plans/*/*.arrow"):
        name = path.relative_to(tmp_path / "few")
        assert read_mapped(path).equals(read_mapped(whole / name).head(2))


def test_two_workers_write_the_same_bytes(whole: Path, inputs: Inputs, tmp_path: Path) -> None:
    run(config(workers=2), inputs, tmp_path / "two")
    assert contents(tmp_path / "two") == contents(whole)


@pytest.mark.parametrize("failing", ["blocks_of", "instruction_rows", "bench_rows", "write_card"])
def test_an_interrupted_run_is_finished_by_resume(
    whole: Path, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    real, calls = getattr(run_module, failing), [0]

    def stopped(*given: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] > 1:
            raise KeyboardInterrupt
        return real(*given, **named)

    out = tmp_path / "cut"
    with monkeypatch.context() as patched:
        patched.setattr(run_module, failing, stopped)
        with pytest.raises(KeyboardInterrupt):
            run(config(), inputs, out)
    assert not (out / MANIFEST).exists()
    with pytest.raises(StoreError, match="unfinished"):
        run(config(), inputs, out)
    run(config(resume=True), inputs, out)
    assert contents(out) == contents(whole)


def test_a_finished_run_is_not_made_again(
    whole: Path, inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("made again")

    monkeypatch.setattr(run_module, "run_jobs", never)
    assert run(config(), inputs, whole).counts == read_manifest(whole).counts


def test_shards_that_are_done_are_not_done_again(
    whole: Path, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    manifest = read_manifest(out)
    (out / MANIFEST).unlink()
    (out / ".started.json").write_text(
        json.dumps({"config_fingerprint": manifest.config_fingerprint})
    )
    (out / "plans" / ".train-0.json").unlink()
    calls: list[int] = []

    def counted(*given: Any, **named: Any) -> Any:
        calls.append(1)
        return blocks_of(*given, **named)

    monkeypatch.setattr(run_module, "blocks_of", counted)
    run(config(resume=True), inputs, out)
    assert len(calls) == 1
    assert contents(out) == contents(whole)


def test_other_settings_do_not_write_over_a_finished_run(whole: Path, inputs: Inputs) -> None:
    with pytest.raises(StoreError, match="other settings"):
        run(config(limit=3), inputs, whole)


def test_a_dry_run_says_how_many_and_writes_nothing(inputs: Inputs, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    manifest = plan(config(), inputs)
    for name, cases in manifest.counts.items():
        path = inputs.cases / "samples" / f"{name}.parquet"
        assert cases == pl.read_parquet(path).height > 0
    assert sorted(tmp_path.rglob("*")) == before


def test_the_manifest_gives_back_the_settings(
    finished: Path, inputs: Inputs, tmp_path: Path
) -> None:
    stated = PromptsConfig(max_tokens=3000, limit=30)
    assert PromptsConfig.of(read_manifest(finished)) == stated
    style = tmp_path / "q.yaml"
    style.write_text("labevents: Which tests?\n")
    given = config(instructions=style, seed=7, keep_ids=True, thinking=True, chat="plain")
    back = PromptsConfig.of(Setup(given, *inputs).manifest())
    for each in fields(PromptsConfig):
        if each.name not in ("workers", "resume", "fresh", "quiet"):
            assert getattr(back, each.name) == getattr(given, each.name), each.name


def test_what_does_not_change_results_is_not_in_the_fingerprint(inputs: Inputs) -> None:
    prints = {
        Setup(config(**change), *inputs).manifest().config_fingerprint
        for change in ({}, {"workers": 7}, {"resume": True}, {"quiet": False}, {"fresh": True})
    }
    assert len(prints) == 1
    others = {
        Setup(config(**change), *inputs).manifest().config_fingerprint
        for change in ({"seed": 1}, {"limit": 1}, {"keep_ids": True}, {"chat": "plain"},
                       {"thinking": True}, {"candidates": "frequent"}, {"token_ids": True})
    }  # fmt: skip
    assert len(others | prints) == 8


def test_rows_name_no_subject_unless_asked(whole: Path, inputs: Inputs, tmp_path: Path) -> None:
    run(config(keep_ids=True, limit=1), inputs, tmp_path / "named")
    for folder, named in ((whole, False), (tmp_path / "named", True)):
        path = next(folder.glob("ehr_ins/train/*.parquet"))
        assert ("subject_id" in pl.read_parquet(path).columns) is named
        for file in folder.glob("ehr_bench/*.jsonl"):
            for line in file.read_text().splitlines()[:3]:
                assert ("subject_id" in json.loads(line)["task_info"]) is named


def test_candidates_stand_in_the_question_and_are_kept(inputs: Inputs, tmp_path: Path) -> None:
    run(config(candidates="oracle", limit=2), inputs, tmp_path / "oracle")
    made = plans(tmp_path / "oracle").filter(task="labevents")
    assert made.height > 0
    for row in made.to_dicts():
        assert set(row["answer"]) <= set(row["candidates"])
        assert all(name in row["question"] for name in row["answer"])


def test_where_thinking_is_asked_for_rows_end_with_the_user(inputs: Inputs, tmp_path: Path) -> None:
    run(config(thinking=True, limit=1), inputs, tmp_path / "out")
    path = next((tmp_path / "out").glob("ehr_ins/train/*.parquet"))
    assert pl.read_parquet(path)["messages"][0].to_list()[-1]["role"] == "user"


def test_token_ids_are_kept_where_asked(inputs: Inputs, tmp_path: Path) -> None:
    given = config(tokenizer="chart-8k", token_ids=True, limit=1)
    run(given, inputs, tmp_path / "out")
    setup = Setup(given, *inputs)
    blocks = read_mapped(
        folder_of(tmp_path / "out", "ehrlich", shard=next(iter(setup.charts.shards())))
        / "blocks.arrow"
    )
    kept = blocks.drop_nulls("ids")
    assert kept.height > 0
    assert kept["tokens"].to_list() == kept["ids"].list.len().to_list()


def test_cards_say_the_command_and_the_licence_of_synthetic_records(whole: Path) -> None:
    for sample in ("ehr_ins", "ehr_bench"):
        card = (whole / sample / "README.md").read_text()
        assert "ehrlich prompts CHARTS CASES --out OUT --tokenizer none --limit 5" in card
        assert "synthetic" in card


def test_jobs_and_setups_travel_to_a_worker_without_what_they_have_opened(
    whole: Path, inputs: Inputs
) -> None:
    setup = Setup(config(), *inputs)
    job = ShardJob(setup, next(iter(setup.charts.shards())), whole)
    assert job.blocks.blocks.height > 0
    sent = pickle.dumps(job)
    assert len(sent) < 5_000
    back = pickle.loads(sent)
    assert isinstance(back.setup, Setup)
    assert (back.shard, back.out, back.setup.config) == (job.shard, job.out, job.setup.config)
    # One a worker: what it has opened serves all its jobs.
    assert pickle.loads(sent).setup is back.setup


def test_a_policy_can_be_asked_for_other_than_that_of_the_run(whole: Path, inputs: Inputs) -> None:
    setup = Setup(config(), *inputs)
    job = next(
        job for shard in setup.charts.shards()
        if (job := ShardJob(setup, shard, whole)).plan_path("labevents").is_file()
    )  # fmt: skip
    plan_rows = read_mapped(job.plan_path("labevents"))
    (first, *_) = job.prompt_rows(plan_rows, policy=load_policy("plain"), thinking=True).to_dicts()
    assert first["messages"][-1]["role"] == "user"


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"style": "compat"}, "the style does not fit the charts"),
        ({"style": "no-such"}, "unknown style"),
        ({"chat": "no-such"}, "no such chat policy"),
        ({"tokenizer": "no-such"}, "no such tokenizer"),
        ({"max_tokens": 100}, "--max-tokens needs a tokenizer"),
        ({"instructions": Path("none.yaml")}, "none.yaml"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_written(
    inputs: Inputs, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        run(config(**change), inputs, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_budget_too_small_is_refused_in_one_sentence(inputs: Inputs, tmp_path: Path) -> None:
    given = config(tokenizer="chart-8k", max_tokens=20)
    with pytest.raises(DataError, match="too small for the facts, the admission and the question"):
        run(given, inputs, tmp_path / "out")


def test_cases_of_other_charts_are_refused(inputs: Inputs, tmp_path: Path) -> None:
    shutil.copytree(inputs.charts, tmp_path / "charts")
    body = json.loads((tmp_path / "charts" / MANIFEST).read_text())
    body["config"]["another"] = 1
    (tmp_path / "charts" / MANIFEST).write_text(json.dumps(body))
    with pytest.raises(DataError, match="the cases were built from other charts"):
        plan(config(), Inputs(tmp_path / "charts", inputs.cases))


def test_folders_that_hold_something_else_are_refused(inputs: Inputs, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no cases"):
        plan(config(), Inputs(inputs.charts, inputs.charts))
    with pytest.raises(StoreError, match="no finished output"):
        plan(config(), Inputs(tmp_path, inputs.cases))


def test_cases_that_lack_a_shard_are_refused(inputs: Inputs, tmp_path: Path) -> None:
    shutil.copytree(inputs.cases, tmp_path / "cases")
    shard = next(iter(Charts(inputs.charts).shards())).replace("/", "-")
    (tmp_path / "cases" / "labevents" / f"{shard}.parquet").unlink()
    with pytest.raises(DataError, match="cases of a shard are missing"):
        run(config(), Inputs(inputs.charts, tmp_path / "cases"), tmp_path / "out")


def test_cases_of_which_none_is_in_a_sample_are_refused(inputs: Inputs, tmp_path: Path) -> None:
    shutil.copytree(inputs.cases, tmp_path / "cases")
    for path in (tmp_path / "cases" / "samples").glob("*.parquet"):
        pl.read_parquet(path).clear().write_parquet(path)
    given = Inputs(inputs.charts, tmp_path / "cases")
    with pytest.raises(DataError, match="no case is in a sample"):
        plan(config(), given)
    with pytest.raises(DataError, match="no case is in a sample"):
        run(config(), given, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_task_is_asked_as_its_cases_were_built(inputs: Inputs, tmp_path: Path) -> None:
    shutil.copytree(inputs.cases, tmp_path / "cases")
    body = json.loads((tmp_path / "cases" / MANIFEST).read_text())
    changed = body["config"]["tasks"][0]
    changed["question"] = "What would a user ask?"
    (tmp_path / "cases" / MANIFEST).write_text(json.dumps(body))
    setup = Setup(config(), inputs.charts, tmp_path / "cases")
    assert setup.questions[changed["task"]].startswith("What would a user ask?")
