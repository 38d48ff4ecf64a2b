"""Files are whole or absent; an output folder is finished, resumable, or somebody else's."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehrlich.base.data_use import DataUse
from ehrlich.base.errors import StoreError
from ehrlich.base.store import (
    MANIFEST,
    STARTED,
    Manifest,
    edge_fingerprint,
    fingerprint,
    open_output,
    read_json,
    read_manifest,
    store_error,
    versions_of,
    write_aside,
    write_json,
    write_manifest,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def manifest(**changed: object) -> Manifest:
    settings: dict[str, object] = {"patients": 5} | changed
    return Manifest(step="hospital", data_use=DataUse.SYNTHETIC, config=settings, seed=1)


def finish(out: Path, made: Manifest) -> None:
    assert not open_output(out, made.config_fingerprint, resume=False, fresh=False)
    (out / "part.txt").write_text("whole", encoding="utf-8")
    write_manifest(out, made)


# --- one file ---------------------------------------------------------------------------------


def test_a_file_appears_under_its_name_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "a.txt"
    with write_aside(path) as aside:
        aside.write_text("new", encoding="utf-8")
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "new"
    assert os.listdir(path.parent) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(error), write_aside(path) as aside:
        aside.write_text("half", encoding="utf-8")
        raise error
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(StoreError, match="the disk is full"), write_aside(path) as aside:
        aside.write_text("half", encoding="utf-8")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot write"), write_aside(tmp_path / "file" / "a"):
        pytest.fail("must not be reached")


def test_store_error_takes_polars_own_words_for_a_full_disk() -> None:
    assert "disk is full" in str(store_error(OSError("No space left on device"), Path("a")))
    assert "denied" in str(store_error(PermissionError(errno.EACCES, "denied"), Path("a")))


@given(JSON)
def test_json_comes_back_as_it_went(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    write_json(path, value)
    assert read_json(path) == value


@pytest.mark.parametrize("text", ["", "{", "not json"])
def test_what_is_not_json_is_a_store_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(StoreError, match="cannot be read as JSON"):
        read_json(tmp_path / "a.json")


def test_an_absent_json_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read as JSON"):
        read_json(tmp_path / "a.json")


# --- fingerprints -----------------------------------------------------------------------------


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_a_fingerprint_does_not_depend_on_the_order_of_keys(value: dict[str, int]) -> None:
    backwards = dict(reversed(value.items()))
    assert fingerprint(value) == fingerprint(backwards)
    assert fingerprint(value) != fingerprint(value | {next(iter(value)): -(10**9) - 7})


def test_a_fingerprint_is_stable_across_versions() -> None:
    assert fingerprint({"b": [1, None], "a": Path("x")}) == fingerprint({"a": "x", "b": [1, None]})
    assert fingerprint({}) == "798e1fee104b349b"
    assert manifest().config_fingerprint == "d9caa279c1c8fda0"


def test_a_changed_file_has_another_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    before = edge_fingerprint(path)
    assert before["bytes"] == 1
    path.write_bytes(b"2")
    assert edge_fingerprint(path)["bytes"] == 1
    assert edge_fingerprint(path) != before


def test_a_change_at_either_end_of_a_large_file_shows_and_its_date_does_not(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 200_000)
    before = edge_fingerprint(path)
    os.utime(path, ns=(0, 0))
    assert edge_fingerprint(path) == before
    for changed in (b"y" + b"x" * 199_999, b"x" * 199_999 + b"y"):
        path.write_bytes(changed)
        assert edge_fingerprint(path) != before


def test_settings_step_and_seed_make_the_fingerprint_and_counts_do_not() -> None:
    one = manifest()
    assert one.config_fingerprint == manifest().config_fingerprint
    assert one.config_fingerprint != manifest(patients=6).config_fingerprint
    counted = Manifest(
        step="hospital", data_use=DataUse.PHI, config={"patients": 5}, seed=1, counts={"rows": 9}
    )
    assert counted.config_fingerprint == one.config_fingerprint


# --- output folders ---------------------------------------------------------------------------


def test_a_new_folder_is_started_then_finished_by_its_manifest(tmp_path: Path) -> None:
    out = tmp_path / "out"
    finish(out, manifest())
    assert not (out / STARTED).exists()
    body = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    assert body["data_use"] == "synthetic"
    assert body["config_fingerprint"] == manifest().config_fingerprint
    assert read_manifest(out) == manifest()


def test_finished_output_is_found_and_left_alone(tmp_path: Path) -> None:
    finish(tmp_path / "out", manifest())
    assert open_output(tmp_path / "out", manifest().config_fingerprint, resume=False, fresh=False)
    assert read_manifest(tmp_path / "out") == manifest()


def test_other_settings_are_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    finish(tmp_path / "out", manifest())
    for resume in (False, True):
        with pytest.raises(StoreError, match="other settings"):
            open_output(tmp_path / "out", "another", resume=resume, fresh=False)
    assert (tmp_path / "out" / "part.txt").read_text(encoding="utf-8") == "whole"
    assert read_manifest(tmp_path / "out") == manifest()


def test_an_unfinished_run_needs_resume_and_keeps_its_parts(tmp_path: Path) -> None:
    assert not open_output(tmp_path, "same", resume=False, fresh=False)
    (tmp_path / "part.txt").write_text("whole", encoding="utf-8")
    with pytest.raises(StoreError, match="--resume"):
        open_output(tmp_path, "same", resume=False, fresh=False)
    assert not open_output(tmp_path, "same", resume=True, fresh=False)
    assert (tmp_path / "part.txt").read_text(encoding="utf-8") == "whole"
    with pytest.raises(StoreError, match="other settings"):
        open_output(tmp_path, "another", resume=True, fresh=False)


@pytest.mark.parametrize("finished", [True, False])
def test_fresh_empties_what_is_ours(tmp_path: Path, finished: bool) -> None:
    out = tmp_path / "out"
    assert not open_output(out, manifest().config_fingerprint, resume=False, fresh=False)
    (out / "old.txt").write_text("old", encoding="utf-8")
    if finished:
        write_manifest(out, manifest())
    assert not open_output(out, "another", resume=False, fresh=True)
    assert os.listdir(out) == [STARTED]


@pytest.mark.parametrize("fresh", [True, False])
def test_a_folder_that_is_not_ours_is_never_touched(tmp_path: Path, fresh: bool) -> None:
    (tmp_path / "thesis.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(StoreError, match="not written by ehrlich"):
        open_output(tmp_path, "any", resume=True, fresh=fresh)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="is a file"):
        open_output(tmp_path / "out", "any", resume=False, fresh=True)


def test_an_unfinished_folder_has_no_manifest_to_read(tmp_path: Path) -> None:
    open_output(tmp_path, "same", resume=False, fresh=False)
    with pytest.raises(StoreError, match="no finished output"):
        read_manifest(tmp_path)


def test_a_rerun_between_manifest_and_start_mark_is_still_unfinished(tmp_path: Path) -> None:
    """Killed after the manifest was written, before the start mark went: --resume mends it."""
    finish(tmp_path, manifest())
    same = manifest().config_fingerprint
    write_json(tmp_path / STARTED, {"config_fingerprint": same})
    assert not open_output(tmp_path, same, resume=True, fresh=False)
    write_manifest(tmp_path, manifest())
    assert open_output(tmp_path, same, resume=False, fresh=False)


def test_versions_are_those_installed_and_ours_is_among_them() -> None:
    import polars

    import ehrlich

    found = versions_of(["polars"])
    assert found == {"ehrlich": ehrlich.__version__, "polars": polars.__version__}
