"""Which files belong to a project's package, and which are refused."""

from __future__ import annotations

import os
import time

import pytest

from dovetail.planning.project_files import find_project_files

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA\n-----END OPENSSH PRIVATE KEY-----\n"


def names(programs) -> set[str]:
    found = find_project_files(programs.folder)
    assert found.problems == []
    return set(found.files)


def problems(programs) -> list[str]:
    return find_project_files(programs.folder).problems


def test_without_git_every_file_below_the_root_belongs(programs, write_all) -> None:
    write_all({"flow.py": "", "src/p/m.py": "", "data/ü .txt": "x", ".gitignore": "data\n", ".hidden": ""})
    assert names(programs) == {"flow.py", "src/p/m.py", "data/ü .txt", ".gitignore", ".hidden"}


def test_with_git_tracked_files_and_new_ones_that_are_not_ignored_belong(programs, write_all, repository) -> None:
    write_all({"flow.py": "", "new.py": "", "gone.py": "", "forced.log": "", "other.log": "", ".gitignore": "*.log\n"})
    repository("add", "flow.py", "gone.py", ".gitignore")
    repository("add", "--force", "forced.log")
    (programs.folder / "gone.py").unlink()
    found = find_project_files(programs.folder)
    assert set(found.files) == {"flow.py", "new.py", "forced.log", ".gitignore"}
    assert {name for name, file in found.files.items() if file.tracked} == {"flow.py", "forced.log", ".gitignore"}


def test_before_anything_was_added_git_still_says_what_is_ignored(programs, write_all, repository) -> None:
    write_all({"flow.py": "", "big.log": "", ".gitignore": "*.log\n"})
    assert names(programs) == {"flow.py", ".gitignore"}


def test_a_project_that_a_repository_around_it_ignores_has_all_its_files(programs, write_all, repository, monkeypatch) -> None:
    write_all({".gitignore": "/work\n", "work/flow.py": "", "work/.dovetail/project.yaml": ""})
    assert set(find_project_files(programs.folder / "work").files) == {"flow.py", ".dovetail/project.yaml"}


def test_a_project_in_a_part_of_a_repository_is_that_part(programs, write_all, repository) -> None:
    write_all({"other/x.py": "", "part/flow.py": "", "part/deep/m.py": ""})
    repository("add", ".")
    assert set(find_project_files(programs.folder / "part").files) == {"flow.py", "deep/m.py"}


@pytest.mark.parametrize("git", [True, False])
def test_dovetailignore_leaves_out_more_and_lists_what_git_ignores(programs, write_all, request, git) -> None:
    if git:
        request.getfixturevalue("repository")("status")
    write_all({
        "flow.py": "", "data/a.csv": "", "data/keep.csv": "", "docs/x.md": "", "docs/deep/y.md": "", "models/big.bin": "b", "a.pyc": "",
        ".gitignore": "/models/\n", ".dovetailignore": "# comment\n/docs/\ndata/*.csv\n!data/keep.csv\n*.pyc\n!/models/big.bin\n",
    })
    assert names(programs) == {"flow.py", "data/keep.csv", "models/big.bin", ".gitignore", ".dovetailignore"}


@pytest.mark.parametrize("git", [True, False])
def test_environments_caches_stores_and_what_is_of_one_machine_never_belong(programs, write_all, request, git) -> None:
    if git:
        request.getfixturevalue("repository")("status")
    write_all({
        "flow.py": "", "__pycache__/flow.pyc": "", "env/pyvenv.cfg": "", "env/lib/m.py": "", ".cache/CACHEDIR.TAG": "", ".cache/x": "",
        "my-store/format.json": '{"store": "ab", "layout": 1, "hash": "blake3"}', "my-store/artifacts/x/data/v": "v",
        ".dovetail/store/format.json": "{}", ".dovetail/active": "s", ".dovetail/project.yaml": "", ".dovetail/stacks/s.yaml": "",
        "not-a-store/format.json": '{"format": 1}',
    })
    assert names(programs) == {"flow.py", ".dovetail/project.yaml", ".dovetail/stacks/s.yaml", "not-a-store/format.json"}


def test_a_link_inside_the_project_is_its_target_and_one_that_leads_out_is_left_out_with_a_note(programs, write_all, isolated) -> None:
    (isolated / "secret.txt").write_text("of another place")
    write_all({"data/words.txt": "words", "flow.py": ""})
    folder = programs.folder
    os.symlink("data/words.txt", folder / "alias.txt")
    os.symlink(isolated / "secret.txt", folder / "out.txt")
    os.symlink(isolated, folder / "up")
    os.symlink("data", folder / "same")
    os.symlink("nowhere", folder / "dangling")
    found = find_project_files(folder)
    assert set(found.files) == {"data/words.txt", "flow.py", "alias.txt", "same/words.txt"}
    assert found.files["alias.txt"].digest == found.files["data/words.txt"].digest == found.files["same/words.txt"].digest
    assert sorted(note.partition(" ")[0] for note in found.notes) == ["dangling", "out.txt", "up"]


def test_a_folder_that_links_to_itself_ends(programs, write_all) -> None:
    write_all({"a/m.py": ""})
    os.symlink(".", programs.folder / "a" / "again")
    assert names(programs) == {"a/m.py", "a/again/m.py"}


@pytest.mark.parametrize("name", [".env", "deploy/.env.production", "prod.env", "id_rsa", "cert.p12", ".netrc", ".aws/credentials"])
def test_a_file_whose_name_means_a_secret_is_refused_with_the_cure_until_it_is_listed(programs, write_all, name) -> None:
    write_all({"flow.py": "", name: "A=1"})
    [problem] = problems(programs)
    assert repr(name) in problem
    assert f"`!{name}`" in problem
    programs.write(".dovetailignore", f"!{name}\n")
    assert name in names(programs)
    programs.write(".dovetailignore", f"{name}\n")
    assert name not in names(programs)


@pytest.mark.parametrize("text", [KEY, KEY.replace("OPENSSH ", ""), KEY.replace("OPENSSH", "RSA"), '{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\\n"}',
                                  "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n" + KEY, "PuTTY-User-Key-File-3: ssh-rsa\n"])
def test_a_private_key_is_refused_by_its_content(programs, write_all, text) -> None:
    write_all({"flow.py": ""})
    (programs.folder / "innocent.txt").write_text(text)
    [problem] = problems(programs)
    assert "'innocent.txt'" in problem and "private key" in problem
    assert problems(programs) == [problem]  # remembered digests say it too


@pytest.mark.parametrize(("name", "text"), [
    ("check.py", 'KEY = "-----BEGIN PRIVATE KEY-----"\n'), (".env.example", "A="), ("cert.pem", "-----BEGIN CERTIFICATE-----\nx\n"), ("environment.yml", ""),
])
def test_what_only_looks_like_a_secret_is_not_refused(programs, write_all, name, text) -> None:
    write_all({name: text})
    assert name in names(programs)


def test_a_link_to_a_secret_is_refused_as_the_secret_is(programs, write_all) -> None:
    write_all({".env": "A=1", ".dovetailignore": "/.env\n"})
    os.symlink(".env", programs.folder / "settings")
    [problem] = problems(programs)
    assert "'settings'" in problem


def test_everything_that_is_refused_is_said_at_once(programs, write_all) -> None:
    write_all({".env": "", "id_rsa": "", "flow.py": ""})
    with open(programs.folder / "big.bin", "wb") as file:
        file.truncate(50_000_001)
    said = problems(programs)
    assert len(said) == 3
    assert any("50 MB" in problem and "`!big.bin`" in problem for problem in said)
    programs.write(".dovetailignore", ".env\nid_rsa\n!big.bin\n")
    assert "big.bin" in names(programs)


def test_many_refusals_are_counted_rather_than_listed(programs, write_all) -> None:
    write_all({f"{number}.env": "" for number in range(30)})
    said = problems(programs)
    assert len(said) == 21
    assert said[-1].startswith("10 more files")


def test_a_project_of_too_many_bytes_or_files_is_refused(programs, write_all, monkeypatch) -> None:
    from dovetail.planning import project_files

    write_all({f"data/{number}.csv": "0123456789" for number in range(5)})
    monkeypatch.setattr(project_files, "_MOST_BYTES", 49)
    assert "GB together" in problems(programs)[0]
    monkeypatch.setattr(project_files, "_MOST_FILES", 4)
    [problem] = problems(programs)
    assert "more than 4 files, most of them below data" in problem


def test_a_name_that_is_no_text_is_refused(programs) -> None:
    with open(os.fsencode(programs.folder) + b"/\xff.py", "wb"):
        pass
    [problem] = problems(programs)
    assert "no text" in problem


def test_what_is_neither_file_nor_link_is_passed_over(programs, write_all) -> None:
    write_all({"flow.py": ""})
    os.mkfifo(programs.folder / "pipe")
    assert names(programs) == {"flow.py"}


def test_a_home_folder_is_no_project(isolated) -> None:
    found = find_project_files(isolated / "user")
    assert found.files == {}
    assert "dovetail init" in found.problems[0]


def test_files_of_submodules_belong_and_one_that_is_not_checked_out_is_noted(programs, write_all, repository, isolated) -> None:
    import subprocess

    lib = isolated / "lib"
    lib.mkdir()
    (lib / "m.py").write_text("")
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=lib, check=True)
    write_all({"flow.py": ""})
    for name in ("one", "two"):
        repository("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(lib), name)
    repository("submodule", "--quiet", "deinit", "--force", "two")
    found = find_project_files(programs.folder)
    assert set(found.files) == {"flow.py", ".gitmodules", "one/m.py"}
    assert ["'two'" in note for note in found.notes] == [True]


def test_a_git_that_does_not_answer_is_told_and_nothing_is_guessed(programs, write_all, repository) -> None:
    write_all({"flow.py": "", ".git/config": "[core\n"})
    [problem] = problems(programs)
    assert "git cannot list" in problem


def test_a_file_is_read_again_only_when_it_changed(programs, write_all, monkeypatch) -> None:
    from dovetail.planning import file_digests

    write_all({"a.py": "1", "b.py": "2"})
    for name in ("a.py", "b.py"):
        os.utime(programs.folder / name, (1, 1))
    time.sleep(2.1)  # the time of change, which nobody can set
    before = find_project_files(programs.folder).files
    read = []
    looked_at = file_digests._looked_at
    monkeypatch.setattr(file_digests, "_looked_at", lambda path, size: read.append(path) or looked_at(path, size))
    monkeypatch.setattr(file_digests, "_remembered", {})  # as another process
    assert find_project_files(programs.folder).files == before
    assert read == []
    (programs.folder / "b.py").write_text("3")
    os.utime(programs.folder / "b.py", (1, 1))  # size and time of content are as they were
    after = find_project_files(programs.folder).files
    assert [path.rpartition("/")[2] for path in read] == ["b.py"]
    assert after["b.py"].digest != before["b.py"].digest
