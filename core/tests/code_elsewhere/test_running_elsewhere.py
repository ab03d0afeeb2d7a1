"""Steps that run where the project is not find its code, and the files beside it."""

from __future__ import annotations

import os
import shutil
import time

import pytest

from dovetail import Client

_FLOW = """
    from pathlib import Path
    from dovetail import pipeline, step

    @step
    def read() -> list[str]:
        return [Path("data/words.txt").read_text(), str(Path.cwd()), str(Path(__file__).parent)]

    @pipeline
    def reading():
        read()

    if __name__ == "__main__":
        reading()
"""


def loaded(step: str = "read"):
    return Client().list_runs()[0].steps[step].output.load()


def dovetail(programs, *arguments: str) -> str:
    return programs.run("-c", f"import sys; sys.argv = {['dovetail', *arguments]!r}; from dovetail.cli import main; main()")


def test_a_script_finds_its_data_by_relative_paths_and_beside_itself(programs, far, write_all) -> None:
    write_all({"flow.py": _FLOW, "data/words.txt": "words"})
    programs.run("flow.py")
    words, folder, beside = loaded()
    assert words == "words"
    assert folder == beside
    assert folder.startswith(str(far))


def test_a_script_in_a_folder_finds_the_modules_beside_it_and_the_project_from_its_root(programs, far, write_all, repository) -> None:
    write_all({"scripts/flow.py": _FLOW.replace("import pipeline, step", "import pipeline, step\n    import beside"), "scripts/beside.py": "", "data/words.txt": "w"})
    programs.run("scripts/flow.py")
    words, folder, beside = loaded()
    assert (words, beside) == ("w", folder + "/scripts")


def test_packages_in_a_src_layout_with_namespaces_and_resources(programs, far, write_all, repository) -> None:
    write_all({
        "src/shop/flow.py": """
            from importlib import resources
            from dovetail import pipeline, step
            from shop import texts
            from space.part import value

            @step
            def read() -> list[str]:
                from shop.late import LATE
                return [resources.files(texts).joinpath("hello.txt").read_text(), value.VALUE, LATE, __name__]

            @pipeline
            def reading():
                read()

            if __name__ == "__main__":
                reading()
        """,
        "src/shop/__init__.py": "", "src/shop/texts/__init__.py": "", "src/shop/texts/hello.txt": "hello", "src/shop/late.py": "LATE = 'late'",
        "src/space/part/value.py": "VALUE = 'from a namespace'",
    })
    programs.run("-m", "shop.flow", env={"PYTHONPATH": os.pathsep.join([str(programs.folder / "src"), os.environ["PYTHONPATH"]])})
    assert loaded() == ["hello", "from a namespace", "late", "shop.flow"]


def test_a_package_that_is_run_as_a_program(programs, far, write_all, request) -> None:
    write_all({"shop/__init__.py": "", "shop/__main__.py": _FLOW, "data/words.txt": "words"})
    with pytest.raises(AssertionError, match=f"dovetail init {programs.folder}"):
        programs.run("-m", "shop")
    request.getfixturevalue("repository")
    programs.run("-m", "shop")
    words, folder, beside = loaded()
    assert (words, beside) == ("words", f"{folder}/shop")


def test_modules_that_an_import_hook_found_are_imported_from_where_they_are(programs, far, write_all) -> None:
    """As what `pip install -e` of some tools leaves behind does."""
    write_all({
        "flow.py": """
            import importlib.util, sys

            class Hook:
                @staticmethod
                def find_spec(name, path=None, target=None):
                    if name == "hooked":
                        return importlib.util.spec_from_file_location(name, "lib/hooked/__init__.py", submodule_search_locations=["lib/hooked"])

            sys.meta_path.append(Hook)
            from hooked.steps import reading
            reading()
        """,
        "lib/hooked/__init__.py": "", "lib/hooked/steps.py": _FLOW, "lib/hooked/data/words.txt": "",
        "data/words.txt": "words",
    })
    programs.run("flow.py")
    assert loaded()[0] == "words"
    assert loaded()[2].endswith("lib/hooked")


def test_a_file_outside_the_root_that_a_step_reaches_is_in_the_package(programs, far, write_all, isolated) -> None:
    outside = isolated / "outside"
    outside.mkdir()
    (outside / "pipelines.py").write_text(
        "from dovetail import pipeline, step\nimport beside\n"
        "@step\ndef read() -> str:\n    return beside.WORD\n@pipeline\ndef reading():\n    read()\n"
    )
    (outside / "beside.py").write_text("WORD = 'outside'\n")
    write_all({"flow.py": "import pipelines\npipelines.reading()\n"})
    path = os.pathsep.join([str(outside), os.environ["PYTHONPATH"]])
    programs.run("flow.py", env={"PYTHONPATH": path})
    assert loaded() == "outside"


def test_one_step_elsewhere_is_enough_for_the_whole_project_to_be_packaged(programs, install_plugin, far, apply_stack, write_all) -> None:
    apply_stack("near", step_operator=("far", "far_step", {"folder": str(far)}))
    write_all({"flow.py": _FLOW.replace("@step\n", "@step(step_operator=True)\n"), "data/words.txt": "words"})
    programs.run("flow.py", env={"DOVETAIL_STACK": "near"})
    run = Client("near").list_runs()[0]
    assert run.steps["read"].output.load()[1].startswith(str(far))


def test_a_run_whose_steps_stay_here_keeps_what_they_reach_alone(programs, far, write_all) -> None:
    from dovetail.ledger.code_packages import read_code

    write_all({"flow.py": _FLOW, "data/words.txt": "words"})
    programs.run("flow.py", env={"DOVETAIL_STACK": "default"})
    run = Client("default").list_runs()[0]
    files, _ = read_code(Client("default").workspace.ledger.records, run.header["package"])
    assert set(files) == {"flow.py"}
    assert (run.query.ledger.run(run.id).header() or {}).get("code") is None


def test_an_executable_file_can_be_run(programs, far, write_all) -> None:
    write_all({
        "flow.py": """
            import subprocess
            from dovetail import pipeline, step

            @step
            def read() -> str:
                return subprocess.run(["./tool.sh"], check=True, capture_output=True, text=True).stdout

            @pipeline
            def reading():
                read()

            if __name__ == "__main__":
                reading()
        """,
        "tool.sh": "#!/bin/sh\necho ran\n",
    })
    (programs.folder / "tool.sh").chmod(0o755)
    programs.run("flow.py")
    assert loaded() == "ran\n"


_FAILING = """
    from pathlib import Path
    from dovetail import pipeline, step
    from deep import divide

    @step
    def broken() -> int:
        return divide.by(int(Path("data/zero.txt").read_text()))

    @pipeline
    def failing():
        broken()

    if __name__ == "__main__":
        failing()
"""


def test_a_replay_of_a_step_that_ran_elsewhere_fails_at_the_same_line_whatever_was_edited_since(programs, far, write_all) -> None:
    write_all({"flow.py": _FAILING, "deep/__init__.py": "", "deep/divide.py": "def by(number):\n    return 1 // number\n", "data/zero.txt": "0"})
    programs.run("flow.py", code=1)
    recorded = Client().list_runs()[0].steps["broken"].error["traceback"]
    assert 'File "deep/divide.py", line 2, in by' in recorded
    assert 'File "flow.py", line 8, in broken' in recorded
    write_all({"data/zero.txt": "1", "deep/divide.py": "\n\n\ndef by(number):\n    return 1 // number\n", "flow.py": "raise SystemExit('edited')\n"})
    programs.write("again.py", """
        from dovetail import Client
        from dovetail.execution.attempt import describe_error
        from dovetail.execution.replaying import prepare, replay
        client = Client()
        try:
            replay(prepare(client.workspace, client.list_runs()[0].id, "broken"))
        except ZeroDivisionError as error:
            print(describe_error(error)["traceback"])
    """)
    lines = [line.strip() for line in programs.run("again.py").splitlines() if "File" in line and "again.py" not in line]
    assert lines == [line.strip() for line in recorded.splitlines() if "File" in line]


def test_a_project_that_is_gone_is_replayed_from_its_package(programs, far, write_all) -> None:
    write_all({"flow.py": _FLOW, "data/words.txt": "words"})
    programs.run("flow.py")
    run = Client().list_runs()[0].id
    for path in programs.folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "words" in dovetail(programs, "replay", run, "read")


def test_a_run_that_is_resumed_elsewhere_takes_the_package_of_the_run(programs, far, write_all) -> None:
    flow = _FLOW.replace("def read() -> list[str]:", "def read() -> list[str]:\n        Path(MARK).read_text()").replace("from dovetail", "MARK = {!r}\n    from dovetail", 1)
    mark = far / "mark"
    write_all({"flow.py": flow.replace("{!r}", repr(str(mark))), "data/words.txt": "words"})
    programs.run("flow.py", code=1)
    old = Client().list_runs()[0]
    mark.write_text("")
    write_all({"data/words.txt": "edited", "flow.py": "raise SystemExit('edited')\n"})
    dovetail(programs, "runs", "resume", old.id)
    new = Client().list_runs()[0]
    assert new.id != old.id
    assert loaded()[0] == "words"
    assert new.header["package"] == old.header["package"]


def test_a_detached_run_goes_on_with_the_code_that_was_packaged(programs, far, write_all) -> None:
    write_all({"flow.py": _FLOW.replace("        reading()", "        reading.with_options(wait=False)()"), "data/words.txt": "words"})
    programs.run("flow.py")
    write_all({"flow.py": "raise SystemExit('edited')", "data/words.txt": "edited"})
    run = Client().list_runs()[0]
    until = time.monotonic() + 60
    while not run.status.is_final and time.monotonic() < until:
        time.sleep(0.1)
    assert run.status.value == "completed"
    assert loaded()[0] == "words"


def test_a_change_of_any_file_is_another_package_and_the_same_files_are_the_same(programs, far, write_all) -> None:
    write_all({"flow.py": _FLOW, "data/words.txt": "one"})
    packages = []
    for words in ("one", "two", "one"):
        (programs.folder / "data/words.txt").write_text(words)
        programs.run("flow.py")
        packages.append(Client().list_runs()[0].header["package"])
    assert packages[0] == packages[2] != packages[1]


def test_what_is_refused_stops_the_run_before_anything_is_stored(programs, far, write_all, store_root) -> None:
    write_all({"flow.py": _FLOW, ".env": "TOKEN=planted", "id_rsa": "x"})
    with pytest.raises(AssertionError, match=r"(?s)cannot start.*'\.env'.*'id_rsa'"):
        programs.run("flow.py")
    assert not (store_root / "code").exists()
    assert not (store_root / "runs").exists()


def test_ignored_secrets_are_in_no_package_no_plan_and_no_cache(programs, far, write_all, store_root, isolated) -> None:
    import zipfile

    write_all({"flow.py": _FLOW, "data/words.txt": "words", ".env": "TOKEN=planted-4711", ".dovetailignore": ".env\n"})
    programs.run("flow.py")
    for place in (store_root, isolated / "cache", far):
        for path in place.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                if path.suffix == ".zip":
                    with zipfile.ZipFile(path) as archive:
                        data = b"".join(archive.read(name) for name in archive.namelist())
                assert b"planted-4711" not in data, path
