"""Locks as their tools write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovetail.errors import ConfigurationError
from dovetail.planning.images import target_markers
from dovetail.planning.locks import parse, read_lock, read_pyproject

LINUX = target_markers("3.11", "x86_64")

UV = """
version = 1
requires-python = ">=3.10"

[[package]]
name = "bakery"
version = "0.1.0"
source = { virtual = "." }
dependencies = [
    { name = "flour" },
    { name = "oven", marker = "sys_platform == 'win32'" },
    { name = "butter", version = "2.0", source = { registry = "https://pypi.org/simple" }, marker = "python_full_version >= '3.11'" },
    { name = "butter", version = "1.0", source = { registry = "https://pypi.org/simple" }, marker = "python_full_version < '3.11'" },
    { name = "cream", extra = ["whipped"] },
    { name = "kitchen" },
]

[package.dev-dependencies]
dev = [{ name = "pytest" }]

[[package]]
name = "flour"
version = "1.2"
source = { registry = "https://pypi.org/simple" }
dependencies = [{ name = "wheat" }]
sdist = { url = "https://x/flour.tar.gz", hash = "sha256:aa", size = 1 }
wheels = [{ url = "https://x/flour.whl", hash = "sha256:bb", size = 1 }]

[[package]]
name = "wheat"
version = "3"
source = { git = "https://example.com/wheat.git?rev=main#0123456789abcdef0123456789abcdef01234567" }

[[package]]
name = "butter"
version = "1.0"
source = { registry = "https://pypi.org/simple" }
[[package]]
name = "butter"
version = "2.0"
source = { registry = "https://pypi.org/simple" }
[[package]]
name = "oven"
version = "9"
source = { registry = "https://pypi.org/simple" }
[[package]]
name = "cream"
version = "4"
source = { registry = "https://pypi.org/simple" }
[package.optional-dependencies]
whipped = [{ name = "whisk" }]
[[package]]
name = "whisk"
version = "5"
source = { registry = "https://pypi.org/simple" }
[[package]]
name = "pytest"
version = "8"
source = { registry = "https://pypi.org/simple" }
[[package]]
name = "kitchen"
version = "0.1.0"
source = { editable = "packages/kitchen" }
dependencies = [{ name = "whisk" }]
"""

PYLOCK = """
lock-version = "1.0"
[[packages]]
name = "flour"
version = "1.2"
[[packages.wheels]]
name = "flour-1.2-py3-none-any.whl"
url = "https://x/flour.whl"
hashes = { sha256 = "bb" }
[[packages]]
name = "oven"
version = "9"
marker = "sys_platform == 'win32'"
[[packages]]
name = "wheat"
vcs = { type = "git", url = "https://example.com/wheat.git", commit-id = "0123" }
[[packages]]
name = "bakery"
directory = { path = "." }
[[packages]]
name = "extra"
version = "1"
marker = "'dev' in dependency_groups"
"""


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def lines(file: Path, markers: dict[str, str] = LINUX) -> list[str]:
    return sorted(str(line) for line in read_lock(file, markers))


def test_a_uv_lock_says_what_the_project_needs_here_and_nothing_else(tmp_path: Path) -> None:
    file = written(tmp_path, "uv.lock", UV)
    assert lines(file) == [
        "butter==2.0",
        "cream==4",
        "flour==1.2 --hash=sha256:aa --hash=sha256:bb",
        "wheat @ git+https://example.com/wheat.git@0123456789abcdef0123456789abcdef01234567",
        "whisk==5",
    ]
    assert all(line.complete for line in read_lock(file, LINUX))


def test_a_uv_lock_is_read_for_the_images_python_not_for_this_one(tmp_path: Path) -> None:
    assert "butter==1.0" in lines(written(tmp_path, "uv.lock", UV), target_markers("3.10", "x86_64"))


def test_a_pylock_says_what_holds_here(tmp_path: Path) -> None:
    found = read_lock(written(tmp_path, "pylock.toml", PYLOCK), LINUX)
    assert {(line.name, line.version, line.hashes) for line in found} == {("flour", "1.2", ("sha256:bb",)), ("wheat", None, ())}
    assert any("git+https://example.com/wheat.git@0123" in line.text for line in found)


def test_requirements_are_read_as_pip_reads_them(tmp_path: Path) -> None:
    written(tmp_path, "more.txt", "butter>=1  # soft\n")
    text = "# ours\nFlour_X==1.2 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n-r more.txt\n-e .\noven ; sys_platform == 'win32'\n\ncream[whipped]==4\n"
    found = {line.name: line for line in read_lock(written(tmp_path, "requirements.txt", text), LINUX)}
    assert {name: (line.version, line.hashes) for name, line in found.items()} == {
        "flour-x": ("1.2", ("sha256:aa", "sha256:bb")), "butter": (None, ()), "cream": ("4", ())
    }  # fmt: skip
    assert found["cream"].text == "cream[whipped]==4"
    assert [name for name, line in found.items() if line.complete] == ["flour-x"]


def test_a_pyproject_names_its_dependencies(tmp_path: Path) -> None:
    file = written(tmp_path, "pyproject.toml", '[project]\nname = "bakery"\ndependencies = ["flour>=1", "oven; sys_platform == \'win32\'"]\n')
    assert [str(line) for line in read_pyproject(file, LINUX)] == ["flour>=1"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("poetry.lock", "", "no lock that can be read. Give uv.lock, pylock.toml or a requirements.txt"),
        ("uv.lock", "this is not toml", "cannot be read"),
        ("uv.lock", "version = 1", "names no project of its own"),
        ("uv.lock", UV.replace('version = "1.2"\nsource = { registry = "https://pypi.org/simple" }', 'version = "1.2"\nsource = { path = "../x.whl" }'), "takes flour from path"),
        ("uv.lock", UV.replace('name = "wheat"\nversion = "3"', 'name = "rye"\nversion = "3"'), "needs wheat and does not lock it"),
        ("requirements.txt", "--index-url https://me:hunter22@example.com/simple\n", "the option '--index-url' is not for a lock"),
        ("requirements.txt", "-r requirements.txt\n", "includes itself"),
        ("requirements.txt", "flour === = 1\n", "is no requirement"),
        ("requirements.txt", "flour @ https://me:hunter22@example.com/flour.whl\n", "holds a credential"),
        ("requirements.txt", "flour @ https://hunter22@example.com/flour.whl\n", "holds a credential"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_the_cure_and_without_secrets(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_lock(written(tmp_path, name, text), LINUX)
    assert said in str(caught.value)
    assert "hunter22" not in str(caught.value)


def test_a_user_of_a_repository_is_no_credential() -> None:
    line = parse("wheat @ git+ssh://git@example.com/wheat.git", "here", LINUX)
    assert line is not None
    assert line.version is None


def test_a_lock_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="uv.lock.*No such file.*from the project's folder"):
        read_lock(tmp_path / "uv.lock", LINUX)


def test_a_pyproject_without_dependencies_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no `dependencies`"):
        read_pyproject(written(tmp_path, "pyproject.toml", "[tool.x]\n"), LINUX)
