"""Charts and cases → prompts by the verbs: run, resume, killed and resumed, show, refusals."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.mini_prompts import bytes_of

from ehrlich.base.store import MANIFEST
from ehrlich.charts.hospital import HospitalConfig
from ehrlich.charts.hospital import run as make_hospital
from ehrlich.charts.readers import ReadConfig, read_source
from ehrlich.cohorts.run import CasesConfig
from ehrlich.cohorts.run import run as make_cases
from ehrlich.prompts.blocks import read_mapped

from .conftest import Door, Ran

# Runs the door, and kills its own process just before the Nth rename.
KILLED_AT = """
import os, sys
n, real, calls = int(sys.argv[1]), os.replace, [0]
def counted(*args, **kwargs):
    calls[0] += 1
    if calls[0] == n:
        os.kill(os.getpid(), 9)
    return real(*args, **kwargs)
os.replace = counted
del sys.argv[1]
from ehrlich.__main__ import main
main()
"""
FEW = ("--limit", "3", "--workers", "1", "--quiet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Charts and cases of 40 synthetic patients."""
    made = tmp_path_factory.mktemp("prompts_flow")
    make_hospital(HospitalConfig(patients=40, seed=3, workers=1, quiet=True), made / "in")
    read_source(ReadConfig(workers=1, quiet=True, shard_rows=40_000), made / "in", made / "charts")
    asked = ("labevents", "diagnoses_icd", "readmission_30d", "inpatient_mortality")
    make_cases(CasesConfig(tasks=asked, workers=1, quiet=True), made / "charts", made / "cases")
    return made


@pytest.fixture
def call(door: Door, folder: Path) -> Any:
    """`ehrlich prompts CHARTS CASES --out OUT ...`."""

    def prompts(out: Path, *more: str | Path) -> Ran:
        return door("prompts", folder / "charts", folder / "cases", "--out", out, *more)

    return prompts


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    """A finished run without tokenizer."""
    command = [sys.executable, "-m", "ehrlich", *arguments(folder, folder / "whole")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    return folder / "whole"


def arguments(folder: Path, out: Path) -> list[str]:
    inputs = [str(folder / "charts"), str(folder / "cases")]
    return ["prompts", *inputs, "--out", str(out), "--tokenizer", "none", "--resume", *FEW]


def contents(out: Path) -> dict[str, Any]:
    """Every file and its bytes; the manifest without the time of its writing."""
    found: dict[str, Any] = {
        path.relative_to(out).as_posix(): bytes_of(path)
        for path in sorted(out.rglob("*")) if path.is_file()
    }  # fmt: skip
    manifest = json.loads(found.pop(MANIFEST))
    assert manifest.pop("written_at")
    return found | {MANIFEST: manifest}


def refused(ran: Ran, said: str) -> None:
    """Exit code 2, one sentence on stderr, nothing else."""
    assert ran.code == 2, ran
    assert ran.out == ""
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert len(ran.err.strip().split("\n")) <= 3, ran.err


# --- what is written --------------------------------------------------------------------------


def test_prompts_are_written_with_cards_and_shown(call: Any, door: Door, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = call(out, "--max-tokens", "2500", "--limit", "3", "--workers", "1")
    assert ran.code == 0, ran.err
    assert "prompts" in ran.out
    counts = json.loads((out / MANIFEST).read_text())["counts"]
    for sample in ("ehr_ins", "ehr_bench"):
        assert "--max-tokens 2500" in (out / sample / "README.md").read_text()
        assert sum(counts["files"][sample].values()) > 0
    first = json.loads(next(out.glob("ehr_ins/train/*.jsonl")).read_text().split("\n")[0])
    assert [m["role"] for m in first["messages"]] == ["system", "user", "assistant"]
    bench = (out / "ehr_bench" / "risk_prediction.jsonl").read_text().split("\n")[0]
    assert list(json.loads(bench)) == [
        "idx", "instruction", "input", "output", "candidates", "task_info",
    ]  # fmt: skip

    shown = door("prompts", "show", first["case_id"], "--prompts", out)
    assert shown.code == 0
    assert first["messages"][1]["content"] in shown.out
    assert "--- left out" in shown.out

    table = door("prompts", "statistics", out)
    assert table.code == 0
    assert re.search(
        r"^\| labevents \| \d+ \| [\d,]+ \| [\d,]+ \| [\d,]+ \| \d+% ", table.out, re.M
    )
    assert table.out.count("\n") == 2 + len(counts["by_task"])

    again = call(out, "--max-tokens", "2500", "--limit", "3", "--workers", "1")
    assert again.code == 0
    refused(call(out, "--max-tokens", "2600", "--limit", "3"), "other settings")


def test_json_says_the_counts(call: Any, tmp_path: Path) -> None:
    ran = call(tmp_path / "a", "--tokenizer", "none", "--limit", "1", "--json", "--workers", "1")
    assert ran.code == 0
    said = json.loads(ran.out)
    assert said["step"] == "prompts"
    assert said["data_use"] == "synthetic"
    assert said["counts"]["prompts"] == sum(
        read_mapped(path).height for path in (tmp_path / "a").glob("plans/*/*.arrow")
    )


def test_a_dry_run_counts_the_cases_and_writes_nothing(
    call: Any, folder: Path, tmp_path: Path
) -> None:
    ran = call(tmp_path / "out", "--dry-run", "--json")
    assert ran.code == 0
    counts = json.loads(ran.out)["counts"]
    for sample in ("ehr_ins", "ehr_bench"):
        path = folder / "cases" / "samples" / f"{sample}.parquet"
        assert counts[sample] == pl.read_parquet(path).height
    assert not (tmp_path / "out").exists()


def test_a_limit_is_of_each_task_and_shard(whole: Path) -> None:
    sizes = [read_mapped(path).height for path in whole.glob("plans/*/*.arrow")]
    assert max(sizes) == 3


def test_statistics_without_a_tokenizer_are_empty(door: Door, whole: Path) -> None:
    table = door("prompts", "statistics", whole)
    assert table.code == 0
    assert re.search(r"^\| labevents \| \d+ \|  \|  \|  \|", table.out, re.M)


# --- killed -----------------------------------------------------------------------------------


def killed(folder: Path, out: Path, moment: int) -> int:
    command = [sys.executable, "-c", KILLED_AT, str(moment), *arguments(folder, out)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode in (0, -signal.SIGKILL), ran.stderr
    return ran.returncode


def test_killed_and_resumed_it_is_the_same(door: Door, folder: Path, whole: Path, tmp_path: Path) -> None:  # noqa: E501 # fmt: skip
    out = tmp_path / "out"
    assert killed(folder, out, 6) == -signal.SIGKILL
    assert not (out / MANIFEST).exists()
    assert list(out.rglob(".*.tmp"))
    refused(door("prompts", "statistics", out), "no finished output")
    refused(door(*(a for a in arguments(folder, out) if a != "--resume")), "unfinished")
    assert door(*arguments(folder, out)).code == 0
    assert contents(out) == contents(whole)


@pytest.mark.slow
def test_killed_at_any_file_and_resumed_it_is_the_same(
    folder: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    # Each is counted from the start of the attempt that it ends.
    ends = [killed(folder, out, moment) for moment in (1, 4, 8, 12, 2, 20)]
    assert ends.count(-signal.SIGKILL) > 3
    if ends[-1] != 0:
        assert killed(folder, out, 100_000) == 0
    assert contents(out) == contents(whole)


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--style", "compat"], "the style does not fit the charts"),
        (["--style", "erhlich"], "unknown style"),
        (["--tokenizer", "no-such"], "no such tokenizer"),
        (["--chat", "no-such"], "no such chat policy"),
        (["--tokenizer", "none", "--max-tokens", "100"], "--max-tokens needs a tokenizer"),
        (["--instructions", "none.yaml"], "none.yaml"),
        (["--max-tokens", "20", "--workers", "1", "--quiet"],
         "--max-tokens is too small for the facts, the admission and the question"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_one_sentence(
    call: Any, tmp_path: Path, flags: list[str], said: str
) -> None:
    refused(call(tmp_path / "out", *flags), said)
    assert not (tmp_path / "out" / MANIFEST).exists()


@pytest.mark.parametrize("flags", [["--max-tokens", "0"], ["--limit", "0"], ["--candidates", "x"]])
def test_flags_out_of_range_are_refused(call: Any, tmp_path: Path, flags: list[str]) -> None:
    ran = call(tmp_path / "out", *flags)
    assert ran.code == 2
    assert "Traceback" not in ran.err


def test_folders_that_are_no_charts_or_cases_are_one_sentence(
    door: Door, folder: Path, tmp_path: Path
) -> None:
    charts, cases = folder / "charts", folder / "cases"
    refused(door("prompts", tmp_path, cases, "--out", tmp_path / "o"), "no finished output")
    refused(door("prompts", charts, charts, "--out", tmp_path / "o"), "holds no cases")
    refused(door("prompts", cases, charts, "--out", tmp_path / "o"), "")
    refused(door("prompts", "statistics", cases), "holds no prompts")
    refused(door("prompts", "show", "x", "--prompts", cases), "holds no prompts")


def test_a_tokenizer_without_chat_template_is_one_sentence(call: Any, tmp_path: Path) -> None:
    from importlib.resources import files

    shutil.copytree(
        str(files("ehrlich.prompts") / "tokenizer_files" / "chart_8k"), tmp_path / "bare"
    )
    (tmp_path / "bare" / "chat_template.jinja").unlink(missing_ok=True)
    path = tmp_path / "bare" / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    settings.pop("chat_template", None)
    path.write_text(json.dumps(settings))
    refused(call(tmp_path / "out", "--tokenizer", tmp_path / "bare"), "has no chat template")
    assert not (tmp_path / "out").exists()


def test_a_case_that_is_not_there_or_whose_blocks_are_missing_is_one_sentence(
    door: Door, whole: Path, tmp_path: Path
) -> None:
    refused(door("prompts", "show", "no-such", "--prompts", whole), "no prompt of that case")
    shutil.copytree(whole, tmp_path / "out")
    case_id = read_mapped(next(whole.glob("plans/*/*.arrow")))["case_id"][0]
    assert door("prompts", "show", case_id, "--prompts", tmp_path / "out").code == 0
    shutil.rmtree(tmp_path / "out" / "blocks")
    refused(
        door("prompts", "show", case_id, "--prompts", tmp_path / "out"),
        "the blocks of these cases are missing",
    )
