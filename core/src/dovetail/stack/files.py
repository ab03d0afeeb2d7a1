"""Stack and component files: YAML that is read as data alone, and written whole or not at all."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dovetail.errors import ConfigurationError, NameRefused, near
from dovetail.stack.fields import IGNORED
from dovetail.stack.stack import ComponentSpec
from dovetail.values.encoding import Json
from dovetail.values.names import check_name
from dovetail.values.settings import Environment, Resources, Retry, Schedule

_LARGEST = 128 << 10  # bytes of one file
_MOST = 20_000  # values in one file, after its aliases are followed
_DEEPEST = 30
_STACK_KEYS = ("name", "description", "components", "waive")
_COMPONENT_KEYS = ("flavor", "type", "name", "configuration")


@dataclass(frozen=True, slots=True)
class StackFile:
    """A stack as it is written down. A component is a spec, or the name of one that is registered."""

    name: str
    components: Mapping[str, ComponentSpec | str]
    waive: tuple[str, ...] = ()
    description: str = ""
    path: Path | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Json]:
        written: dict[str, Json] = {"name": self.name}
        if self.description:
            written["description"] = self.description
        written["components"] = {
            kind: entry if isinstance(entry, str) else entry.to_json() for kind, entry in self.components.items()
        }
        if self.waive:
            written["waive"] = list(self.waive)
        return written


def read_stack_file(path: Path, component_types: Iterable[str]) -> StackFile:
    """A stack file; ConfigurationError naming the file and the place for whatever in it cannot be."""
    try:
        return _stack(_read(path), path, tuple(component_types))
    except (_Wrong, NameRefused) as error:
        raise ConfigurationError(f"The stack file {path} cannot be used: {error}") from None


def read_component_file(path: Path, component_type: str) -> ComponentSpec:
    try:
        return _component(component_type, _read(path), path.stem)
    except (_Wrong, NameRefused) as error:
        raise ConfigurationError(f"The component file {path} cannot be used: {error}") from None


def as_yaml(value: Mapping[str, Json]) -> str:
    import yaml

    return str(yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True))


def write_whole(path: Path, text: str) -> None:
    """Replace a file at once: whoever reads it meanwhile sees the old content or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except BaseException:
        os.unlink(aside)
        raise


class _Wrong(Exception):
    """A sentence, to which the file's name is added."""


def _stack(content: Mapping[str, Any], path: Path, component_types: tuple[str, ...]) -> StackFile:
    _check_keys(content, _STACK_KEYS, "it")
    name = check_name("stack", _or(content.get("name"), path.stem))
    written = content.get("components") or {}
    if not isinstance(written, Mapping):
        raise _Wrong(f"'components' must map component types to components, not be {_named(written)}.")
    entries: dict[str, ComponentSpec | str] = {}
    for key, entry in written.items():
        kind = key.replace("-", "_")
        if key.startswith(IGNORED):
            continue
        if kind not in component_types:
            raise _Wrong(f"'{key}' is no component type. {near(kind, component_types)}")
        entries[kind] = check_name(f"{kind} component", entry) if isinstance(entry, str) else _component(kind, entry, name)
    return StackFile(name, entries, _waived(content.get("waive")), _text(content, "description"), path)


def _component(kind: str, entry: Any, default_name: str) -> ComponentSpec:
    if not isinstance(entry, Mapping):
        raise _Wrong(f"{kind} must be a mapping with 'flavor', or the name of a registered component, not {_named(entry)}.")
    _check_keys(entry, _COMPONENT_KEYS, kind)
    flavor = entry.get("flavor")
    said = entry.get("type")
    if flavor is None and said is not None:
        flavor = said
    elif said not in (None, flavor, kind):
        raise _Wrong(f"{kind} says both flavor '{flavor}' and type '{said}'; 'type' is another word for 'flavor'. Leave one out.")
    if not isinstance(flavor, str) or not flavor:
        raise _Wrong(f"{kind} must say its 'flavor' as text, such as 'local'.")
    configuration = entry.get("configuration") or {}
    if not isinstance(configuration, Mapping):
        raise _Wrong(f"{kind}.configuration must be a mapping of fields, not {_named(configuration)}.")
    name = check_name(f"{kind} component", _or(entry.get("name"), default_name))
    kept = {key: value for key, value in configuration.items() if not key.startswith(IGNORED)}
    return ComponentSpec(kind, flavor, name, kept)


def _or(value: Any, default: str) -> Any:
    return default if value is None else value


def _check_keys(content: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in content:
        foreign = key == "version" or key.endswith("_version")
        if key not in known and not key.startswith(IGNORED) and not foreign:
            raise _Wrong(
                f"{where} has an unknown key '{key}'. {near(key, known)} Keys that begin with '{IGNORED}' are left to you."
            )


def _text(content: Mapping[str, Any], key: str) -> str:
    value = content.get(key)
    if value is not None and not isinstance(value, str):
        raise _Wrong(f"'{key}' must be text, not {_named(value)}.")
    return value or ""


def waivable() -> list[str]:
    """The names of settings that a stack may waive."""
    classes = {"resources": Resources, "environment": Environment, "retry": Retry, "schedule": Schedule}
    fields = [f"{name}.{f.name}" for name, cls in classes.items() for f in dataclasses.fields(cls)]
    return [*classes, "timeout", *fields]


def _waived(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _Wrong(f"'waive' must be a list of settings, such as [resources.gpu], not {_named(value)}.")
    for name in value:
        if name not in waivable():
            raise _Wrong(f"'waive' names {name!r}, which is no setting. {near(str(name), waivable())}")
    return tuple(value)


def _read(path: Path) -> Mapping[str, Any]:
    import yaml

    if path.stat().st_size > _LARGEST:
        raise _Wrong(f"it has {path.stat().st_size} bytes; more than {_LARGEST} is no configuration.")
    try:
        loaded = yaml.load(path.read_bytes(), Loader=_loader())  # noqa: S506, a subclass of the safe loader
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise _Wrong(f"it is no YAML: {_yaml_problem(error)}.") from None
    if not isinstance(loaded, Mapping):
        raise _Wrong(f"it must be a mapping, not {_named(loaded)}.")
    plain = _plain(loaded, "", 0, iter(range(_MOST)))
    assert isinstance(plain, dict)
    return plain


def _yaml_problem(error: Exception) -> str:
    """What is wrong and where, without the lines themselves, in which a secret may stand."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or type(error).__name__
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})" if mark else str(problem)


def _loader() -> Any:
    import yaml

    class Strict(yaml.SafeLoader):  # not the one in C, which deep nesting crashes
        """Plain data alone, and no key twice."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                merge = key.tag == "tag:yaml.org,2002:merge"
                if key.value in seen and not merge and isinstance(key.value, str):
                    raise yaml.constructor.ConstructorError(None, None, f"the key '{key.value}' stands twice", key.start_mark)
                seen.add(key.value if isinstance(key.value, str) else id(key))
            return super().construct_mapping(node, deep)

    return Strict


def _plain(value: Any, where: str, depth: int, budget: Iterator[int]) -> Json:
    """JSON of what was loaded. `budget` ends what aliases inside aliases would blow up."""
    if depth > _DEEPEST:
        raise _Wrong(f"'{where[:60]}' is nested deeper than {_DEEPEST} levels.")
    if next(budget, None) is None:
        raise _Wrong(f"it holds more than {_MOST} values.")
    if isinstance(value, Mapping):
        return {_key(key, where): _plain(item, f"{where}.{key}".lstrip("."), depth + 1, budget) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, f"{where}[{number}]", depth + 1, budget) for number, item in enumerate(value)]
    if isinstance(value, (dt.date, dt.datetime)):
        return value.isoformat()
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise _Wrong(f"'{where}' is of a kind that a configuration cannot hold ({type(value).__name__}).")


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        place = f" in '{where}'" if where else ""
        raise _Wrong(f"the key {key!r}{place} is no text; put it in quotes.")
    return key


def _named(value: Any) -> str:
    return {list: "a list", dict: "a mapping", str: "a text", type(None): "empty"}.get(type(value), f"{value!r}")
