"""`dovetail plugin new`: what it writes installs, passes its contract, and is short and clean."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from dovetail.cli.application import run
from dovetail.hookspecs import COMPONENT_TYPES

KINDS = [*(kind.name for kind in COMPONENT_TYPES if kind.interface), "materializer"]
MOST_LINES = 30


def source_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("src/*/*.py"))


def code_lines(file: Path) -> int:
    """Without blank lines, comments and docstrings."""
    text = file.read_text()
    prose: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            prose |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return sum(number not in prose and not line.lstrip().startswith("#") for number, line in enumerate(text.splitlines(), 1) if line.strip())


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A plugin of each kind, in its folder, each under a name of its own."""
    root = tmp_path_factory.mktemp("written")
    folders = {kind: root / kind for kind in KINDS}
    for kind, folder in folders.items():
        assert run(["-q", "plugin", "new", f"fresh-{kind.replace('_', '-')}", "--type", kind, "--folder", str(folder)]) == 0
    return folders


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_installs_passes_its_contract_and_is_listed(kind: str, written: dict[str, Path], shared_place) -> None:
    pytest.importorskip("hatchling")
    installed = shared_place.dovetail("plugin", "install", written[kind], "-y")
    assert installed.code == 0, installed
    tried = shared_place.run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=written[kind])
    assert tried.code == 0, tried.out
    assert " passed" in tried.out
    rows = {row["name"]: row for row in json.loads(shared_place.dovetail("plugin", "list", "--output", "json").out)}
    name = f"fresh-{kind.replace('_', '-')}"
    assert rows[name]["status"] == "installed"
    assert rows[name]["flavors"] == ({} if kind == "materializer" else {kind: [name]})


@pytest.mark.parametrize("kind", KINDS)
def test_its_module_is_at_most_thirty_lines_of_code(kind: str, written: dict[str, Path]) -> None:
    declaration, module = sorted(source_files(written[kind]), key=lambda file: file.name != "__init__.py")
    assert code_lines(module) <= MOST_LINES
    assert code_lines(declaration) <= 6


def test_a_tracker_is_at_most_thirty_lines_with_its_declaration(written: dict[str, Path]) -> None:
    assert sum(map(code_lines, source_files(written["experiment_tracker"]))) <= MOST_LINES


def test_what_is_written_passes_mypy_strict_and_ruff(written: dict[str, Path], tmp_path: Path) -> None:
    for tool in ("mypy", "ruff"):
        if importlib.util.find_spec(tool) is None:
            pytest.skip(f"{tool} is not installed")
    files = [str(file) for folder in written.values() for file in source_files(folder)]
    checks = [["mypy", "--strict", "--cache-dir", str(tmp_path), *files]]
    checks += [["ruff", "check", "--no-cache", str(folder)] for folder in written.values()]
    for check in checks:
        done = subprocess.run([sys.executable, "-m", *check], capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_formatted_as_ruff_would(tmp_path: Path) -> None:
    pytest.importorskip("ruff")
    for kind in KINDS:
        assert run(["-q", "plugin", "new", "acme", "--type", kind, "--folder", str(tmp_path / kind)]) == 0
        done = subprocess.run(
            [sys.executable, "-m", "ruff", "format", "--no-cache", "--diff", str(tmp_path / kind)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_a_new_tracker_really_writes_what_a_run_logs(written: dict[str, Path], monkeypatch: pytest.MonkeyPatch, programs, lay_out) -> None:
    (package,) = written["experiment_tracker"].glob("src/*")
    lay_out("dovetail-fresh-experiment-tracker", {}, point=package.name)
    monkeypatch.setenv("PYTHONPATH", f"{package.parent}:{sys.path[0]}")
    programs.write("stack.yaml", """
        name: tracked
        components:
          orchestrator: {flavor: local, name: here}
          artifact_store: {flavor: local, name: there, configuration: {path: store}}
          experiment_tracker: {flavor: fresh-experiment-tracker, name: lines, configuration: {path: lines}}
    """)
    programs.write("flow.py", """
        from dovetail import log_metrics, pipeline, step

        @step
        def train() -> int:
            log_metrics({"loss": 0.5}, step=3)
            return 1

        @pipeline
        def training():
            train()

        if __name__ == "__main__":
            training()
    """)
    command = ("-c", "from dovetail.cli import main; main()")
    programs.run(*command, "stack", "apply", "stack.yaml", "--set")
    programs.run("flow.py")
    (file,) = (programs.folder / "lines").rglob("train.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {"metrics": {"loss": 0.5}, "step": 3} in lines
    assert lines[-1] == {"status": "completed"}


def test_names_are_spelled_as_packages_and_classes_are(tmp_path: Path) -> None:
    assert run(["plugin", "new", "dovetail_My.Tool", "--type", "experiment-tracker", "--folder", str(tmp_path / "made")]) == 0
    declared = (tmp_path / "made" / "src" / "dovetail_my_tool" / "__init__.py").read_text()
    assert 'FlavorSpec("my-tool", "dovetail_my_tool.tracker:MyToolTracker"' in declared
    assert "class MyToolTracker(" in (tmp_path / "made" / "src" / "dovetail_my_tool" / "tracker.py").read_text()
    project = (tmp_path / "made" / "pyproject.toml").read_text()
    assert 'name = "dovetail-my-tool"' in project
    assert 'my-tool = "dovetail_my_tool"' in project


def test_no_word_of_a_template_is_left_unfilled(written: dict[str, Path]) -> None:
    words = ("acme", "Acme", "SUPPLY_HOOK", "COMPONENT_TYPE", "TYPE-OPTION", "DESCRIPTION", "CORE_RANGE", "MODULE", "CLASS", "HELP")
    for folder in written.values():
        for file in folder.rglob("*"):
            if file.is_file() and file.suffix in (".py", ".toml", ".md"):
                assert [word for word in words if word in file.read_text()] == [], file


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("9lives", "alerter", "'9lives' cannot name a package"),
        ("../up", "alerter", "cannot name a package"),
        ("größe", "alerter", "cannot name a package"),
        ("", "alerter", "cannot name a package"),
        ("dovetail-", "alerter", "cannot name a package"),
        ("local", "alerter", "'local' is built in"),
        ("fine", "experiment_traker", "There is no plugin type 'experiment_traker'. Did you mean 'experiment_tracker'?"),
        ("fine", "feature_store", "has no published interface yet"),
    ],
)
def test_bad_input_is_a_sentence_and_leaves_nothing(
    name: str, kind: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["plugin", "new", name, "--type", kind]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("mine")
    (tmp_path / "text").write_text("mine")
    for name in ("kept", "text"):
        assert run(["plugin", "new", "fine", "--type", "alerter", "--folder", str(tmp_path / name)]) == 2
        assert f"There is something at {tmp_path / name} already" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "kept", "text"]


def test_an_official_name_is_not_taken(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from dovetail.cli import plugin_writing
    from dovetail.registry.official import OfficialPlugin

    known = {"known": OfficialPlugin("known", "dovetail-known", "dovetail-known>=1")}
    monkeypatch.setattr(plugin_writing, "official_plugins", lambda: known)
    assert run(["plugin", "new", "Known", "--type", "alerter", "--folder", str(tmp_path / "x")]) == 2
    assert "'known' is the name of an official plugin, dovetail-known" in capsys.readouterr().err


def test_where_it_cannot_be_written_whole_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dovetail.cli.plugin_writing import NewPlugin

    def files(self: NewPlugin) -> dict[str, str]:
        return {"good": "", "bad": "\ud800"}

    monkeypatch.setattr(NewPlugin, "files", files)
    assert run(["plugin", "new", "fine", "--type", "alerter", "--folder", str(tmp_path / "x")]) == 1
    assert list(tmp_path.iterdir()) == []
