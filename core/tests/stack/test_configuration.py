"""From what is written down to a component's fields, by the simple rules and by pydantic alike."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dovetail.components import Secret
from dovetail.components.component import Component
from dovetail.errors import ConfigurationError, PluginBroken
from dovetail.registry import Registry
from dovetail.stack.configuration import constructor_arguments
from dovetail.stack.fields import field_types, required_fields, secret_fields
from dovetail.stack.validation import schema, validate

ROOT = Path("/somewhere")


@pytest.fixture
def cls(registry: Registry) -> type[Component]:
    return registry.declared_class("experiment_tracker", "acme")


GOOD: list[tuple[str, Any, Any]] = [
    ("workers", 4, 4),
    ("workers", "4", 4),
    ("ratio", 1, 1.0),
    ("ratio", "0.25", 0.25),
    ("verbose", True, True),
    ("verbose", "off", False),
    ("folder", None, None),
    ("folder", "a/b", ROOT / "a/b"),
    ("folder", "/abs", Path("/abs")),
    ("tags", ["a", "b"], ("a", "b")),
    ("headers", {"a": "b"}, {"a": "b"}),
    ("mode", "fast", "fast"),
    ("api_key", "k", Secret("k")),
    ("tokens", ["x"], [Secret("x")]),
    ("limits", None, None),
]


@pytest.mark.parametrize(("key", "value", "made"), GOOD)
def test_values_become_of_their_fields_types(cls: type[Component], key: str, value: Any, made: Any) -> None:
    argument = constructor_arguments(cls, {"project": "p", key: value}, ROOT)[key]
    assert argument == made
    assert type(argument) is type(made)


def test_secrets_inside_lists_are_secrets(cls: type[Component]) -> None:
    (token,) = constructor_arguments(cls, {"project": "p", "tokens": ["x"]}, ROOT)["tokens"]
    assert isinstance(token, Secret)


def test_enums_and_dataclasses_are_made(cls: type[Component]) -> None:
    from dovetail_acme.components import Level, Limits

    made = constructor_arguments(cls, {"project": "p", "level": "high", "limits": {"most": "3"}}, ROOT)
    assert made["level"] is Level.HIGH
    assert made["limits"] == Limits(3)


def test_a_default_path_starts_at_the_project_root_too(cls: type[Component]) -> None:
    assert constructor_arguments(cls, {"project": "p"}, ROOT)["cache"] == ROOT / ".acme/cache"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("workers", "four", "'workers' is wrong: input should be a valid integer"),
        ("workers", 1.5, "valid integer"),
        ("workers", True, None),
        ("verbose", "maybe", "valid boolean"),
        ("project", 5, "valid string"),
        ("mode", "slow", "'fast' or 'safe'"),
        ("level", "middle", "'low' or 'high'"),
        ("tags", "a", "valid tuple"),
        ("limits", {"leest": 1}, "'limits.most' is wrong"),
        ("headers", {"a": 1}, "'headers.a' is wrong"),
    ],
)
def test_a_wrong_value_is_refused_alike_on_every_way(cls: type[Component], key: str, value: Any, said: str | None) -> None:
    validated = validate(cls, {"project": "p", key: value})
    if said is None:  # pydantic takes it, and so does the way to the constructor
        assert validated.problems == ()
        assert constructor_arguments(cls, {"project": "p", key: value}, ROOT)[key] == value
        return
    assert len(validated.problems) == 1
    assert said in validated.problems[0]
    with pytest.raises(ConfigurationError) as caught:
        constructor_arguments(cls, {"project": "p", key: value}, ROOT)
    assert said in str(caught.value)


def test_a_wrong_value_of_a_secret_field_is_never_repeated(cls: type[Component]) -> None:
    for value in ({"inner": "s3cret"}, ["s3cret"]):
        (problem,) = validate(cls, {"project": "p", "api_key": value}).problems
        assert "s3cret" not in problem
        with pytest.raises(ConfigurationError) as caught:
            constructor_arguments(cls, {"project": "p", "api_key": value}, ROOT)
        assert "s3cret" not in str(caught.value)


def test_unknown_and_missing_keys_are_all_named_with_near_ones(cls: type[Component]) -> None:
    problems = validate(cls, {"worker": 1, "x-note": "mine", "ratio": "low"}).problems
    assert "it has no field 'worker'. Did you mean 'workers'?" in problems
    assert "its field 'project' is required and not set." in problems
    assert len(problems) == 3
    with pytest.raises(ConfigurationError, match=r"no field 'worker'.*'project' is required"):
        constructor_arguments(cls, {"worker": 1}, ROOT)


def test_a_validated_configuration_is_json_of_the_fields_types(cls: type[Component]) -> None:
    given = {
        "project": "p",
        "workers": "4",
        "verbose": "yes",
        "folder": "a",
        "tags": ("x",),
        "level": "high",
        "limits": {"most": 2},
    }
    assert validate(cls, given).configuration == {
        "project": "p",
        "workers": 4,
        "verbose": True,
        "folder": "a",
        "tags": ["x"],
        "level": "high",
        "limits": {"most": 2, "least": 0},
    }


def test_what_was_validated_validates_to_the_same_and_makes_the_same(cls: type[Component]) -> None:
    for key, value, _ in GOOD:
        once = validate(cls, {"project": "p", key: value})
        assert once.problems == ()
        assert validate(cls, once.configuration) == once
        assert constructor_arguments(cls, once.configuration, ROOT) == constructor_arguments(
            cls, {"project": "p", key: value}, ROOT
        )


def test_a_field_with_a_reference_is_left_for_the_run_to_check(cls: type[Component]) -> None:
    given = {"project": "p", "workers": "${WORKERS}", "headers": {"auth": "{{ s.k }}"}}
    assert validate(cls, given).configuration == given


def test_outside_a_project_paths_are_kept_absolute(cls: type[Component]) -> None:
    assert validate(cls, {"project": "p", "folder": "a"}, root=ROOT).configuration["folder"] == "/somewhere/a"


def test_the_schema_says_types_defaults_help_and_secrets(cls: type[Component]) -> None:
    described = schema(cls)
    assert described["required"] == ["project"]
    assert described["properties"]["workers"] == {"type": "integer", "description": "How many at once.", "default": 2}
    assert described["properties"]["api_key"]["writeOnly"] is True
    assert described["properties"]["mode"]["enum"] == ["fast", "safe"]
    assert described["additionalProperties"] is False


def test_fields_secrets_and_obligations_are_read_from_the_class(cls: type[Component]) -> None:
    assert list(field_types(cls))[:3] == ["project", "api_key", "tokens"]
    assert secret_fields(cls) == {"api_key", "tokens"}
    assert required_fields(cls) == {"project"}


def test_an_annotation_that_nothing_defines_blames_the_plugin() -> None:
    class Odd(Component):
        field_of_nothing: NoSuchType = 1  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(PluginBroken, match="fields of .*Odd cannot be read.*NoSuchType"):
        field_types(Odd)


def test_simple_fields_need_no_pydantic() -> None:
    script = """
import sys
from pathlib import Path
from collections.abc import Mapping
from typing import Literal
from dovetail.components import Component, Secret
from dovetail.stack.configuration import constructor_arguments
class All(Component):
    a: int
    b: float | None
    c: bool
    d: Path
    e: tuple[str, ...]
    f: Mapping[str, int]
    g: Literal["x"]
    h: Secret | None
    i: dict
made = constructor_arguments(
    All, {"a": "1", "b": 2, "c": "no", "d": "x", "e": ["y"], "f": {"z": "3"}, "g": "x", "h": "s", "i": {}}, Path("/r"))
All(**made)
assert made["f"] == {"z": 3}, made
print([name for name in ("pydantic", "yaml", "fsspec", "rich") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_state_that_a_component_sets_up_itself_is_no_configuration() -> None:
    class Stateful(Component):
        size: int = 1
        made: list[int] = dataclasses.field(init=False, default_factory=list)

    assert set(field_types(Stateful)) == {"size"}
    assert validate(Stateful, {"made": []}).problems == ("it has no field 'made'. Known: size.",)
