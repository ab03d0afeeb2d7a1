"""A parameter is what it is annotated to be, or an error that says so."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional

import pytest
from pydantic import BaseModel

from dovetail.errors import ParameterError
from dovetail.graph.parameters import check_parameter


class Color(enum.Enum):
    RED = "red"


class Settings(BaseModel):
    depth: int


@dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("value", "annotation", "result"),
    [
        (1, int, 1),
        (1, float, 1.0),
        ("a", str, "a"),
        (None, Optional[int], None),
        ([1, 2], list[int], [1, 2]),
        ({"a": 1}, dict[str, int], {"a": 1}),
        ("2013-01-31", dt.date, dt.date(2013, 1, 31)),
        ("data.csv", Path, Path("data.csv")),
        ("red", Color, Color.RED),
        (Color.RED, Color, Color.RED),
        ({"depth": 3}, Settings, Settings(depth=3)),
        (Settings(depth=3), Settings, Settings(depth=3)),
        ([1, 2], tuple[int, int], (1, 2)),
        ("a", Literal["a", "b"], "a"),
        ({"x": 1}, Any, {"x": 1}),
        (Point(1), Point, Point(1)),
        (3, "NotKnownHere", 3),
    ],
)
def test_a_value_is_typed_as_its_annotation_says(value: Any, annotation: Any, result: Any) -> None:
    checked = check_parameter(value, annotation, "here")
    assert checked == result
    assert type(checked) is type(result)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [("1", int), ("1.5", float), (1.0, int), (1, str), (True, int), ("true", bool), ("c", Literal["a"]), ({"depth": "x"}, Settings), ([1], dict[str, int])],
)
def test_a_value_of_another_type_is_refused_naming_what_was_seen(value: Any, annotation: Any) -> None:
    with pytest.raises(ParameterError, match="here is annotated"):
        check_parameter(value, annotation, "here")


def test_text_from_a_command_line_may_stand_for_a_number() -> None:
    assert check_parameter("3", int, "here", textual=True) == 3
    with pytest.raises(ParameterError):
        check_parameter("three", int, "here", textual=True)


def test_what_is_no_parameter_asks_for_an_external_artifact() -> None:
    class Frame: ...

    with pytest.raises(ParameterError, match="ExternalArtifact"):
        check_parameter(Frame(), Any, "here")
    with pytest.raises(ParameterError, match="ExternalArtifact"):
        check_parameter(Frame(), Frame, "here")
