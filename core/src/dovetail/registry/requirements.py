"""Which requirements the installed distributions meet."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*\(?([^;)]*)\)?\s*(?:;\s*(.*))?")
_PLAIN_BOUND = re.compile(r"(>=|<)\s*(\d+(?:\.\d+)*)")
_PLAIN_VERSION = re.compile(r"\d+(?:\.\d+)*")
_EXTRA = re.compile(r"\bextra\s*==\s*['\"]([^'\"]+)['\"]")


@dataclass(frozen=True, slots=True)
class Requirement:
    """`name[extra]>=1; marker` in its parts. `extra`: the extra that it belongs to, None for what is always required."""

    name: str
    specifier: str = ""
    marker: str = ""

    @property
    def extra(self) -> str | None:
        found = _EXTRA.search(self.marker)
        return found[1] if found else None

    @property
    def applies(self) -> bool:
        """Whether it is meant for this Python and this machine, and for no extra."""
        if not self.marker or self.extra:
            return not self.marker
        from packaging.markers import InvalidMarker, Marker

        try:
            return bool(Marker(self.marker).evaluate())
        except InvalidMarker:
            return True

    def __str__(self) -> str:
        return f"{self.name}{self.specifier}"


@dataclass(frozen=True, slots=True)
class Unmet:
    """A requirement as it was written, and the version that is installed instead, None where there is none."""

    requirement: str
    found: str | None

    def __str__(self) -> str:
        return (
            f"{self.requirement}, which is not installed"
            if self.found is None
            else f"{self.requirement}, and {self.found} is installed"
        )


def parsed(requirement: str) -> Requirement:
    match = _REQUIREMENT.fullmatch(requirement)
    return Requirement(match[1], match[2].strip(), (match[3] or "").strip()) if match else Requirement(requirement.strip())


def folded(name: str) -> str:
    """What two spellings of one distribution's name share."""
    return re.sub(r"[-_.]+", "-", name).casefold()


def unmet_requirements(requirements: Iterable[str]) -> list[Unmet]:
    """Those of which no version is installed, or one that they do not allow."""
    from importlib import metadata

    unmet = []
    for text in requirements:
        requirement = parsed(text)
        if not requirement.applies:
            continue
        try:
            found = str(metadata.version(requirement.name))
        except (metadata.PackageNotFoundError, ValueError):  # ValueError: no name, or metadata without a version
            unmet.append(Unmet(text, None))
            continue
        if not allows(requirement.specifier, found):
            unmet.append(Unmet(text, found))
    return unmet


def allows(specifier: str, version: str) -> bool:
    """Whether a version, which may be a pre-release, lies in ranges such as `>=1.2,<2`. True where either cannot be read."""
    parts = [part.strip() for part in specifier.split(",") if part.strip()]
    plain = [_PLAIN_BOUND.fullmatch(part) for part in parts]
    if all(plain) and _PLAIN_VERSION.fullmatch(version):  # importing the library takes longer than finding all plugins
        own = _release(version)
        return all((own >= _release(bound[2])) == (bound[1] == ">=") for bound in plain if bound)
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        return SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return True


def _release(version: str) -> tuple[int, ...]:
    numbers = [int(part) for part in version.split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()  # 1.0 and 1 are one version
    return tuple(numbers)
