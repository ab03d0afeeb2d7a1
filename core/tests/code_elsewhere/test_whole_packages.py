"""The package of a whole project: the same for the same files, laid out whole or not at all, and told with the commit it comes from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dovetail import Client, digest
from dovetail.errors import ConfigurationError, Corrupt
from dovetail.ledger.code_packages import RECORD, Contents, digest_of, project_digest, read_code, read_diff, store_project
from dovetail.ledger.laid_out_code import lay_out
from dovetail.planning.workspace import open_workspace

FLOW = """
    from dovetail import pipeline, step

    @step
    def work() -> int:
        return 1

    @pipeline
    def working():
        work()

    if __name__ == "__main__":
        working()
"""
_NAMES = st.lists(st.text("abcä_ .", min_size=1, max_size=5).filter(lambda part: part.strip(".")), min_size=1, max_size=3).map("/".join)
_FILES = st.dictionaries(_NAMES, st.binary(max_size=50), max_size=6).filter(
    lambda files: not any(one != other and (one.startswith(other + "/")) for one in files for other in files)
)


def stored(files, roots=("",), executable=()):
    records = open_workspace("default").ledger.records
    contents = Contents(roots, {name: len(data) for name, data in files.items()}, executable)
    return records, store_project(records, {name: digest.of_bytes(data) for name, data in files.items()}, contents, files.__getitem__)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=_FILES, order=st.randoms(use_true_random=False))
def test_a_package_depends_on_its_files_alone_and_gives_each_back(isolated, files, order) -> None:
    shuffled = list(files.items())
    order.shuffle(shuffled)
    records, package = stored(files)
    assert stored(dict(shuffled))[1] == package
    back, origins = read_code(records, package)
    assert Contents.of(back[RECORD]).sizes == {name: len(data) for name, data in files.items()}
    assert digest_of(back) == package
    assert origins == {}
    back.pop(RECORD)
    assert back == files
    laid_out = lay_out(records, package)
    assert {name: (laid_out.folder / name).read_bytes() for name in files} == files


@settings(max_examples=60, deadline=None)
@given(files=_FILES, change=st.data())
def test_any_change_of_a_name_a_content_a_mode_or_an_import_root_is_another_package(files, change) -> None:
    def of(files, **said):
        contents = Contents(sizes={name: len(data) for name, data in files.items()}, **said)
        return project_digest({name: digest.of_bytes(data) for name, data in files.items()}, contents.to_bytes())

    before = of(files)
    others = [{**files, "another": b""}, {**files, **{name: data + b"." for name, data in list(files.items())[:1]}, "x": b"1"}]
    assert all(of(other) != before for other in others)
    assert of(files, roots=("src",)) != before
    if files:
        name = change.draw(st.sampled_from(sorted(files)))
        assert of(files, executable=[name]) != before
        assert of({other: data for other, data in files.items() if other != name}) != before


def test_equal_packages_are_equal_archives(store_root) -> None:
    _, package = stored({"b.py": b"2", "a.py": b"1"})
    archive = store_root / "code" / package / "package.zip"
    first = archive.read_bytes()
    shutil.rmtree(store_root / "code")
    stored({"a.py": b"1", "b.py": b"2"})
    assert archive.read_bytes() == first


def test_a_file_that_changes_while_it_is_packaged_is_no_package(store_root) -> None:
    records = open_workspace("default").ledger.records
    with pytest.raises(ConfigurationError, match=r"a\.py was changed"):
        store_project(records, {"a.py": digest.of_bytes(b"1")}, Contents(), lambda name: b"2")
    assert not list(store_root.glob("code/*/package.zip"))


def test_what_a_step_did_to_its_folder_reaches_no_other_run() -> None:
    records, package = stored({"a.py": b"1", "d/b.txt": b"2"})
    first = lay_out(records, package)
    assert lay_out(records, package).folder == first.folder
    (first.folder / "new.txt").write_text("")  # a step's own files do no harm
    assert lay_out(records, package).folder == first.folder
    (first.folder / "d/b.txt").write_text("3")
    second = lay_out(records, package)
    assert second.folder != first.folder
    assert (second.folder / "d/b.txt").read_text() == "2"
    (second.folder / "a.py").unlink()
    assert (lay_out(records, package).folder / "a.py").read_text() == "1"


def test_a_folder_that_its_maker_left_behind_unfinished_is_not_used() -> None:
    records, package = stored({"a.py": b"1"})
    folder = lay_out(records, package).folder
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "a.py").write_text("half")
    made = lay_out(records, package).folder
    assert made != folder
    assert (made / "a.py").read_text() == "1"


def test_many_workers_at_once_lay_it_out_once(programs) -> None:
    _, package = stored({f"d{number}/m.py": b"x" * 100 for number in range(200)})
    text = f"from dovetail.planning.workspace import open_workspace; from dovetail.ledger.laid_out_code import lay_out; print(lay_out(open_workspace('default').ledger.records, {package!r}).folder)"
    processes = [programs.start("-c", text) for _ in range(6)]
    said = [process.communicate(timeout=60) for process in processes]
    assert {errors for _, errors in said} == {""}
    assert {folder.strip()[-2:] for folder, _ in said} == {"/0"}
    place = os.path.dirname(said[0][0].strip())
    assert os.listdir(place) == ["0"]


def test_a_package_that_is_not_what_was_written_is_not_laid_out(store_root) -> None:
    import zipfile

    records, package = stored({"a.py": b"1"})
    _, other = stored({"a.py": b"2"})
    archive = store_root / "code" / package / "package.zip"
    archive.chmod(0o644)
    shutil.copy(store_root / "code" / other / "package.zip", archive)
    with pytest.raises(Corrupt, match="not what was written"):
        lay_out(records, package)


@pytest.mark.parametrize("name", ["../out.py", "/tmp/out.py", "a/../../out.py"])
def test_a_package_whose_files_lie_outside_of_it_is_not_laid_out(name) -> None:
    records, package = stored({name: b"1"})
    with pytest.raises(Corrupt, match="lies outside"):
        lay_out(records, package)


def test_verify_and_the_checker_read_whole_packages(programs, far, write_all, check_store, store_root) -> None:
    write_all({"flow.py": FLOW, "data.bin": "x"})
    programs.run("flow.py")
    assert check_store(store_root) == []
    assert Client().workspace.ledger is not None
    said = programs.run("-c", "import sys; sys.argv = ['dovetail', 'store', 'verify']; from dovetail.cli import main; main()")
    assert "damaged" not in said


# -- the commit --------------------------------------------------------------------------------------------------------


def said_of_code(programs):
    programs.run("flow.py")
    run = Client().list_runs()[0]
    return (run.query.ledger.run(run.id).header() or {})["code"], run


def test_the_header_says_commit_branch_and_how_packaged_files_differ(programs, far, write_all, repository) -> None:
    write_all({"flow.py": FLOW, "left_out.txt": "secret-before\n", ".dovetailignore": "left_out.txt\n"})
    repository("add", ".")
    repository("commit", "--quiet", "-m", "one")
    commit = repository("rev-parse", "HEAD").strip()
    code, _ = said_of_code(programs)
    assert (code["commit"], code["branch"], code["dirty"], code.get("diff")) == (commit, "main", False, None)
    write_all({"flow.py": FLOW.replace("return 1", "return 2"), "left_out.txt": "secret-after\n"})
    code, run = said_of_code(programs)
    assert code["dirty"] is True
    diff = read_diff(run.query.ledger.records, run.header["package"], code["diff"])
    assert b"+    return 2" in diff
    assert b"secret" not in diff
    assert len(diff) == code["diff_bytes"]
    shown = programs.run("-c", f"import sys; sys.argv = ['dovetail', 'runs', 'show', {run.id!r}]; from dovetail.cli import main; main()")
    assert f"commit {commit[:12]} on main, changed since (diff of" in shown


def test_a_new_file_makes_a_run_dirty_without_a_diff(programs, far, write_all, repository) -> None:
    write_all({"flow.py": FLOW})
    repository("add", ".")
    repository("commit", "--quiet", "-m", "one")
    programs.write("new.py", "")
    code, _ = said_of_code(programs)
    assert code["dirty"] is True
    assert "diff" not in code


def test_before_the_first_commit_and_on_no_branch(programs, far, write_all, repository) -> None:
    write_all({"flow.py": FLOW})
    code, _ = said_of_code(programs)
    assert (code["commit"], code["branch"], code["dirty"]) == (None, "main", True)
    repository("add", ".")
    repository("commit", "--quiet", "-m", "one")
    repository("checkout", "--quiet", "--detach")
    code, _ = said_of_code(programs)
    assert "branch" not in code and code["dirty"] is False


def test_what_a_users_git_shows_in_its_own_way_is_kept_plain(programs, far, write_all, repository) -> None:
    write_all({"flow.py": FLOW, "--odd name*.txt": "1\n"})
    repository("add", ".")
    repository("commit", "--quiet", "-m", "one")
    repository("config", "color.ui", "always")
    repository("config", "diff.external", "false")
    repository("config", "core.quotePath", "true")
    write_all({"--odd name*.txt": "2\n"})
    code, run = said_of_code(programs)
    assert b"\n-1\n+2\n" in read_diff(run.query.ledger.records, run.header["package"], code["diff"])


def test_a_run_started_by_a_hook_of_git_sees_its_own_repository(programs, far, write_all, repository, isolated) -> None:
    write_all({"flow.py": FLOW})
    repository("add", ".")
    repository("commit", "--quiet", "-m", "one")
    other = isolated / "other"
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    programs.run("flow.py", env={"GIT_DIR": str(other / ".git"), "GIT_INDEX_FILE": str(other / ".git" / "index")})
    run = Client().list_runs()[0]
    assert (run.query.ledger.run(run.id).header() or {})["code"]["commit"] == repository("rev-parse", "HEAD").strip()


@pytest.mark.slow
def test_files_that_did_not_change_are_not_read_again(programs, repository, monkeypatch) -> None:
    from dovetail.planning import file_digests
    from dovetail.planning.whole_package import keep_project

    for number in range(200):
        programs.write(f"d{number % 4}/m{number}.py", f"X = {number}\n")
    repository("add", ".")
    repository("commit", "--quiet", "-m", "one")
    workspace = open_workspace("default")
    time.sleep(2.1)
    first = keep_project(workspace, (), (), keep=True)
    read = []
    looked_at = file_digests._looked_at
    monkeypatch.setattr(file_digests, "_looked_at", lambda path, size: read.append(path) or looked_at(path, size))
    for _ in range(2):
        file_digests._remembered.clear()
        assert keep_project(workspace, (), (), keep=True).package == first.package
    assert read == []
