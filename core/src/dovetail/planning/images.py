"""What container images hold: decided from what steps say and import, named by its content, and built elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dovetail import digest
from dovetail.components.container_registry import ContainerRegistry
from dovetail.components.image_builder import ImageBuilder
from dovetail.errors import ConfigurationError
from dovetail.planning import locks, wheels
from dovetail.planning.workspace import Workspace, runner_of
from dovetail.registry.requirements import folded, parsed
from dovetail.stack.stack import Stack
from dovetail.values.settings import Environment

REPOSITORY = "dovetail"
LAYOUT = 1  # of what is built for a spec; another for each change of it
_CORE = "dovetail"
# What materializers write a library's values by, and the library itself gets along without.
_WRITTEN_BY = {"pandas": ("pyarrow",), "xgboost": ("scikit-learn",), "xgboost-cpu": ("scikit-learn",), "lightgbm": ("scikit-learn",)}


@dataclass(frozen=True)
class ImageSpec:
    """Everything that an image is made of. It holds neither the project's code, nor variables, nor secrets.

    `pins`: requirement lines that are installed as they are, all that they need having lines too. `open`: lines for which pip
    looks up what they need, and the version where they say none. `wheels`: file name and sha256 of what no index has.
    `traits`: what else of the image builder's configuration counts.
    """

    base: str
    python: str
    machine: str
    pins: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    wheels: tuple[tuple[str, str], ...] = ()
    apt: tuple[str, ...] = ()
    traits: Mapping[str, str] = field(default_factory=dict)
    layout: int = LAYOUT

    @property
    def tag(self) -> str:
        return digest.of_json(self.to_json())[:32]

    def to_json(self) -> dict[str, Any]:
        record = asdict(self)
        for name in ("pins", "open", "apt"):
            record[name] = list(record[name])
        return {**record, "wheels": [list(wheel) for wheel in self.wheels], "traits": dict(sorted(self.traits.items()))}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> ImageSpec:
        listed = {name: tuple(record[name]) for name in ("pins", "open", "apt")}
        return cls(**{**record, **listed, "wheels": tuple((name, found) for name, found in record["wheels"])})


@dataclass(frozen=True)
class Needed:
    """What a step's process imports. `versions`: by normalised name, those that are known before anything is built."""

    python: str
    pins: tuple[str, ...]
    open: tuple[str, ...]
    wheels: tuple[tuple[str, str], ...]
    versions: Mapping[str, str]


class Images:
    """The images of one plan. `specs`: by reference, for all that have been asked for."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: dict[tuple[Any, ...], Needed] = {}
        self.specs: dict[str, ImageSpec] = {}

    def to_json(self) -> dict[str, Any]:
        return {reference: spec.to_json() for reference, spec in self.specs.items()}

    def own_versions(self) -> dict[str, str]:
        """Versions, by normalised name, of Dovetail and the plugins that the stack names, as they are installed here."""
        names = [folded(parsed(each).name) for each in own_distributions(self._workspace.stack)]
        return {name: found.version for name in names if name.startswith(_CORE) and (found := wheels.installed(name)) is not None}

    def reference(self, options: Mapping[str, Any], packages: Mapping[str, str]) -> str | None:
        """The image for a step that imports these packages; None where nothing on the stack could build one."""
        environment = _environment(options)
        runner = runner_of(self._workspace, options)
        given = environment.image or (runner.default_image() if runner is not None and not environment.describes else None)
        if given:
            return given
        builder = self._workspace.stack.build(ImageBuilder)
        if builder is None:
            return None
        needed = self._needed(environment, packages)
        spec = ImageSpec(
            builder.base_image(environment.python or needed.python), needed.python, builder.machine(), needed.pins, needed.open, needed.wheels,
            tuple(sorted(environment.apt)), builder.traits(),
        )  # fmt: skip
        registry = self._workspace.stack.build(ContainerRegistry)
        reference = (registry or builder).reference(REPOSITORY, spec.tag)
        self.specs[reference] = spec
        return reference

    def packages(self, options: Mapping[str, Any], packages: Mapping[str, str]) -> tuple[Mapping[str, str], str]:
        """A step's packages in the versions that its image has them, and that image's Python, for its cache key."""
        environment = _environment(options)
        here = _python(Environment())
        if not environment.describes:
            return packages, here
        needed = self._needed(environment, packages)
        stated = {line.name: line.text for line in _stated(self._workspace, environment)}
        return {name: needed.versions.get(name) or stated.get(name, version) for name, version in packages.items()}, needed.python

    def _needed(self, environment: Environment, packages: Mapping[str, str]) -> Needed:
        described = (environment.python, environment.requirements, environment.pyproject, environment.lock, *sorted(packages))
        if described not in self._known:
            self._known[described] = _needed(self._workspace, environment, tuple(sorted(packages)))
        return self._known[described]


def own_distributions(stack: Stack) -> list[str]:
    """Dovetail, and the plugins that the stack names, with what their flavors ask for."""
    found = [_CORE]
    for info in stack.registry.plugins():
        for kind, spec in stack.components.items():
            if spec.flavor in info.flavors.get(kind, ()):
                found += [info.distribution, *stack.registry.flavor(kind, spec.flavor).requires]
    return list(dict.fromkeys(found))


def _needed(workspace: Workspace, environment: Environment, imported: tuple[str, ...]) -> Needed:
    """What the lock says, else what is imported with what was added; and Dovetail with the plugins, as they are here in any case."""
    markers = _markers(workspace, environment)
    own = own_distributions(workspace.stack)
    own_names = {folded(parsed(each).name) for each in own if parsed(each).name.startswith(_CORE)}
    stated = [line for line in _stated(workspace, environment) if line.name not in own_names]
    here, left_open = _as_here([line for line in stated if not line.complete], markers)
    roots = [*here, *_materializing(workspace, [*imported, *(line.name for line in stated)]), *own]
    if not (environment.lock or environment.pyproject):
        roots += [*imported, *_written_by(imported)]
    pinned = {line.name: str(line) for line in stated if line.complete}
    versions = {line.name: line.version for line in stated if line.version is not None}
    _check_against(versions, own, markers)
    decided = {*pinned, *(line.name for line in left_open)}
    shipped: list[tuple[str, str]] = []
    for name, version in wheels.closure_of(roots, markers).items():
        if name not in decided:
            versions[name] = version
            wheel = _unreleased(name, markers)
            if wheel is not None:
                shipped.append(wheel)
            else:
                pinned[name] = f"{name}=={version}"
    return Needed(_python(environment), _sorted(pinned), tuple(sorted(str(line) for line in left_open)), tuple(sorted(shipped)), versions)


def _markers(workspace: Workspace, environment: Environment) -> dict[str, str]:
    builder = workspace.stack.build(ImageBuilder)
    return target_markers(_python(environment), builder.machine() if builder is not None else "")


def _stated(workspace: Workspace, environment: Environment) -> list[locks.Line]:
    root = workspace.project.root
    markers = _markers(workspace, environment)
    lines: dict[str, locks.Line] = {}
    if environment.lock:
        lines = {line.name: line for line in locks.read_lock(root / environment.lock, markers)}
    elif environment.pyproject:
        lines = {line.name: line for line in locks.read_pyproject(root / environment.pyproject, markers)}
    for text in environment.requirements:
        line = locks.parse(text, "Environment(requirements=…)", markers)
        if line is not None:
            lines[line.name] = line
    return list(lines.values())


def _as_here(lines: Iterable[locks.Line], markers: Mapping[str, str]) -> tuple[list[str], list[locks.Line]]:
    """(requirements that what is installed here meets, lines that it does not meet)."""
    from packaging.requirements import Requirement

    met: list[str] = []
    unmet: list[locks.Line] = []
    for line in lines:
        found = wheels.installed(line.name)
        requirement = Requirement(line.text)
        fits = found is not None and requirement.url is None and requirement.specifier.contains(found.version, prereleases=True)
        if fits and markers["python_version"] == _python(Environment()):
            met.append(line.text)
        else:
            unmet.append(line)
    return met, unmet


def _check_against(versions: Mapping[str, str], own: Iterable[str], markers: Mapping[str, str]) -> None:
    """Refuse a lock in which Dovetail or a plugin could not work."""
    from packaging.requirements import Requirement

    for name in own:
        found = wheels.installed(parsed(name).name)
        for text in (found.requires or ()) if found is not None else ():
            requirement = Requirement(text)
            locked = versions.get(folded(requirement.name))
            applies = requirement.marker is None or requirement.marker.evaluate({**markers, "extra": ""})
            if locked is not None and applies and not requirement.specifier.contains(locked, prereleases=True):
                raise ConfigurationError(
                    f"The environment locks {requirement.name} {locked}, and {parsed(name).name} needs {requirement.name}{requirement.specifier}. "
                    "Lock a version that fits, or let Dovetail choose by leaving it out."
                )


def _unreleased(name: str, markers: Mapping[str, str]) -> tuple[str, str] | None:
    wheel = wheels.unreleased(name)
    if wheel is not None and not wheel[0].endswith("-none-any.whl"):
        from packaging.markers import default_environment

        here = dict(default_environment())
        if any(here[key] != markers[key] for key in ("python_version", "platform_machine", "sys_platform")):
            raise ConfigurationError(
                f"{name} was not installed from an index, and as it is here it works only on {here['sys_platform']}, {here['platform_machine']}, "
                f"Python {here['python_version']}; the image is for another. Publish it to an index that the image builder is told of."
            )
    return wheel


def _materializing(workspace: Workspace, names: Iterable[str]) -> Iterator[str]:
    """The plugins that bring materializers for values of these distributions."""
    from dovetail.planning.code.packages import distributions_of

    served = set(names)
    for spec in workspace.registry.materializer_specs():
        if spec.target.startswith("dovetail."):
            continue
        libraries = {each.name for name in spec.types if "." in name for each in distributions_of(name.partition(".")[0])}
        if libraries & served:
            yield from _homes_of(workspace, spec.target.partition(".")[0].partition(":")[0])


def _homes_of(workspace: Workspace, module: str) -> Iterator[str]:
    from dovetail.registry.installed import installed_plugins

    return (plugin.distribution for plugin in installed_plugins() if plugin.top_level == module)


def _written_by(names: Iterable[str]) -> list[str]:
    return [more for name in names for more in _WRITTEN_BY.get(name, ()) if wheels.installed(more) is not None]


def target_markers(python: str, machine: str) -> dict[str, str]:
    """What environment markers are asked of in an image: Linux, that Python, that processor."""
    from packaging.markers import default_environment

    here = {key: str(value) for key, value in default_environment().items()}
    full = here["python_full_version"] if here["python_version"] == python else f"{python}.0"
    linux = {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux", "platform_machine": machine or here["platform_machine"]}
    return {**here, **linux, "python_version": python, "python_full_version": full, "implementation_version": full}


def _environment(options: Mapping[str, Any]) -> Environment:
    return Environment(**options["environment"]) if options.get("environment") else Environment()


def _python(environment: Environment) -> str:
    return ".".join((environment.python or f"{sys.version_info.major}.{sys.version_info.minor}").split(".")[:2])


def _sorted(lines: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(lines[name] for name in sorted(lines))
