"""What a project's lock, requirements file or pyproject.toml says to install, on the machine that it is meant for."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dovetail.errors import ConfigurationError
from dovetail.registry.requirements import folded

_CREDENTIAL = re.compile(r"://[^/\s@]*:[^/\s@]*@|://(?!git@)[^/\s@:]+@")
_OPTION = re.compile(r"\s+--hash[= ](\S+)")
_OF_PROJECT = ("virtual", "editable", "directory", "workspace")


@dataclass(frozen=True, slots=True)
class Line:
    """One distribution. `version`: None where the line leaves it open. `hashes`: such as `sha256:…`.

    `complete`: all that it needs has a line too.
    """

    name: str
    text: str
    version: str | None = None
    hashes: tuple[str, ...] = ()
    complete: bool = False

    def __str__(self) -> str:
        return " ".join([self.text, *(f"--hash={each}" for each in self.hashes)])


def read_lock(file: Path, environment: Mapping[str, str]) -> list[Line]:
    """`environment`: what markers are asked of. Raises ConfigurationError for a file that is missing or of no known format."""
    name = file.name
    if name == "uv.lock":
        return list(_uv(_toml(file), file, environment))
    if re.fullmatch(r"pylock(\.[^.]+)?\.toml", name):
        return list(_pylock(_toml(file), file, environment))
    if file.suffix in (".txt", ".in"):
        return list(_requirements(file, environment, ()))
    raise ConfigurationError(
        f"Environment(lock={name!r}) is no lock that can be read. Give uv.lock, pylock.toml or a requirements.txt; other tools can export "
        "one of these."
    )


def read_pyproject(file: Path, environment: Mapping[str, str]) -> list[Line]:
    """The `dependencies` of its `[project]`."""
    project = _toml(file).get("project")
    if not isinstance(project, dict) or "dependencies" not in project:
        raise ConfigurationError(f"{file} has no `dependencies` in a table [project], so it does not say what to install. Add them, or give a lock.")
    return [line for text in project["dependencies"] if (line := parse(text, str(file), environment)) is not None]


def parse(text: str, where: str, environment: Mapping[str, str]) -> Line | None:
    """One requirement as pip takes it; None where its marker is not for this environment."""
    from packaging.requirements import InvalidRequirement, Requirement

    hashes = tuple(_OPTION.findall(text))
    bare = _OPTION.sub("", text).strip()
    if _CREDENTIAL.search(bare):
        raise ConfigurationError(
            f"{where}: a requirement holds a credential in its URL, and would carry it into plans and images. Give the image builder a netrc instead."
        )
    try:
        requirement = Requirement(bare)
    except InvalidRequirement as error:
        said = str(error).splitlines()[0]
        raise ConfigurationError(f"{where}: {bare!r} is no requirement: {said}. Write it as pip takes it, `name>=1.2`.") from None
    if requirement.marker is not None and not requirement.marker.evaluate({**environment, "extra": ""}):
        return None
    requirement.marker = None
    exact = re.fullmatch(r"={2,3}\s*([^*,\s]+)", str(requirement.specifier))
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    said = f"{requirement.name}{extras} @ {requirement.url}" if requirement.url else str(requirement)
    return Line(folded(requirement.name), said, exact[1] if exact else None, hashes, complete=bool(hashes))


def _requirements(file: Path, environment: Mapping[str, str], within: tuple[Path, ...]) -> Iterator[Line]:
    if file in within:
        raise ConfigurationError(f"{file} includes itself. Remove that line.")
    for text in re.sub(r"\\\r?\n", " ", _text(file)).splitlines():
        line = re.sub(r"(^|\s)#.*$", "", text).strip()
        included = re.fullmatch(r"(?:-r|--requirement)[ =]\s*(\S+)", line)
        if included:
            yield from _requirements(file.parent / included[1], environment, (*within, file))
        elif line.startswith("-") and not _is_project(line, file):
            raise ConfigurationError(f"{file}: the option {line.split()[0]!r} is not for a lock. Say it in the configuration of the image builder.")
        elif line and not _is_project(line, file):
            found = parse(line, str(file), environment)
            if found is not None:
                yield found


def _is_project(line: str, file: Path) -> bool:
    """Whether it stands for the project's own code, which travels with the run and not in images."""
    path = re.sub(r"^(?:-e|--editable)[ =]\s*", "", line)
    return path in (".", "./") or (path != line and (file.parent / path.partition("[")[0]).is_dir())


def _uv(lock: Mapping[str, Any], file: Path, environment: Mapping[str, str]) -> Iterator[Line]:
    packages = [package for package in lock.get("package", ()) if isinstance(package, dict)]
    roots = [package for package in packages if (package.get("source") or {}).keys() & {"virtual", "editable"}]
    own = [package for package in roots if "." in package["source"].values()] or roots
    if not own:
        raise ConfigurationError(f"{file} names no project of its own, so it does not say what to install. Make it by `uv lock`.")
    pending = [(package, "") for package in own]
    seen: set[tuple[int, str]] = set()
    taken: set[int] = set()
    while pending:
        package, extra = pending.pop()
        if (id(package), extra) in seen:
            continue
        seen.add((id(package), extra))
        if id(package) not in taken and not (package.get("source") or {}).keys() & set(_OF_PROJECT):
            taken.add(id(package))
            yield _uv_line(package, file)
        wanted = package.get("optional-dependencies", {}).get(extra, ()) if extra else package.get("dependencies", ())
        for dependency in wanted:
            if _holds(dependency.get("marker"), environment):
                found = _uv_package(packages, dependency, file, environment)
                pending += [(found, each) for each in ("", *dependency.get("extra", ()))]


def _uv_package(packages: list[dict[str, Any]], dependency: Mapping[str, Any], file: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    for package in packages:
        fits = package.get("name") == dependency["name"] and dependency.get("version") in (None, package.get("version"))
        markers = package.get("resolution-markers") or [None]
        if fits and any(_holds(marker, environment) for marker in markers):
            return package
    raise ConfigurationError(f"{file} needs {dependency['name']} and does not lock it for this platform. Make it anew by `uv lock`.")


def _uv_line(package: Mapping[str, Any], file: Path) -> Line:
    name, version, source = package["name"], package.get("version"), package.get("source") or {}
    files = [*([package["sdist"]] if "sdist" in package else ()), *package.get("wheels", ())]
    if "registry" in source:
        return Line(folded(name), f"{name}=={version}", version, tuple(each["hash"] for each in files if "hash" in each), complete=True)
    for kind, prefix in (("git", "git+"), ("url", "")):
        if kind in source:
            line = parse(f"{name} @ {prefix}{_pinned(source[kind])}", str(file), {})
            assert line is not None
            return Line(line.name, line.text, version, complete=True)
    raise ConfigurationError(
        f"{file} takes {name} from {', '.join(source)} on this machine, where no image build finds it. Publish it, or make it part of the project."
    )


def _pinned(url: str) -> str:
    """A repository as uv notes it, `https://…?rev=main#commit`, as pip takes it."""
    place, _, commit = url.partition("#")
    return f"{place.partition('?')[0]}@{commit}" if commit else place


def _pylock(lock: Mapping[str, Any], file: Path, environment: Mapping[str, str]) -> Iterator[Line]:
    for package in lock.get("packages", ()):
        if not _holds(package.get("marker"), environment):
            continue
        name, version = package["name"], package.get("version")
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
        hashes = tuple(f"{kind}:{value}" for each in files for kind, value in each.get("hashes", {}).items())
        if "directory" in package:
            continue  # the project's own code, which travels with the run
        if "vcs" in package or "archive" in package:
            place = package.get("vcs") or package["archive"]
            url = f"{place['type']}+{place['url']}@{place['commit-id']}" if "commit-id" in place else place.get("url", "")
            line = parse(f"{name} @ {url}", str(file), {})
            assert line is not None
            yield Line(line.name, line.text, version, complete=True)
        elif version is not None:
            yield Line(folded(name), f"{name}=={version}", version, hashes, complete=True)
        else:
            raise ConfigurationError(f"{file} gives no version of {name}. Make it anew by the tool that locks.")


def _holds(marker: str | None, environment: Mapping[str, str]) -> bool:
    if not marker:
        return True
    from packaging.markers import InvalidMarker, Marker

    try:
        return bool(Marker(marker).evaluate({**environment, "extra": ""}))
    except (InvalidMarker, KeyError):  # PEP 751 has markers for extras and groups, of which none is asked for
        return False


def _toml(file: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(_text(file))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} cannot be read: {error}. Make it anew by the tool that wrote it.") from None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        shown = PurePosixPath(file.name)
        raise ConfigurationError(
            f"Environment names {shown}, and {file} cannot be read: {error.strerror}. Give its path from the project's folder."
        ) from None
