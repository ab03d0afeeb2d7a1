"""What a step's signature says of its outputs and parameters."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Annotated, Any, Optional, Protocol, Tuple, TypeVar, Union

import pytest

from dovetail.errors import DefinitionError
from dovetail.graph.annotations import compatible, describe, read_signature
from dovetail.values.artifacts import ArtifactConfig, ArtifactType

T = TypeVar("T")
N = TypeVar("N", bound=int)


def names(function: Any) -> list[str]:
    outputs = read_signature(function, function.__name__).outputs
    assert outputs is not None
    return [output.name for output in outputs]


def test_a_plain_type_is_one_output_named_output() -> None:
    def step() -> int: ...

    assert names(step) == ["output"]


def test_a_tuple_gives_one_output_for_each_member() -> None:
    def step() -> Tuple[int, Annotated[str, "word"]]: ...  # noqa: UP006

    assert names(step) == ["output_0", "word"]


def test_a_tuple_of_any_length_is_one_output() -> None:
    def step() -> tuple[int, ...]: ...

    assert names(step) == ["output"]


def test_none_is_no_output_and_no_annotation_is_not_known() -> None:
    def nothing() -> None: ...

    def unknown(): ...

    assert names(nothing) == []
    assert read_signature(unknown, "unknown").outputs is None


def test_a_postponed_annotation_is_read_like_any_other() -> None:
    def step() -> Annotated[Optional[int], "maybe"]: ...

    assert names(step) == ["maybe"]


def test_one_annotation_that_cannot_be_evaluated_hinders_no_other() -> None:
    def step(frame: NotImportedHere) -> Annotated[int, "n"]: ...  # noqa: F821

    signature = read_signature(step, "step")
    assert signature.parameters["frame"].annotation == "NotImportedHere"
    assert names(step) == ["n"]


def test_a_name_of_the_enclosing_function_is_found_in_a_postponed_annotation() -> None:
    class Local: ...

    def step(value: Local) -> Local:
        assert Local
        return value

    assert read_signature(step, "step").parameters["value"].annotation is Local


def test_an_artifact_config_says_name_kind_tags_and_metadata() -> None:
    def step() -> Annotated[int, ArtifactConfig("answer", ArtifactType.STATISTICS, tags=("a",), metadata={"unit": "km"})]: ...

    (spec,) = read_signature(step, "step").outputs or ()
    assert (spec.name, spec.artifact, spec.artifact_type, spec.tags, spec.metadata) == ("answer", "answer", "statistics", ("a",), {"unit": "km"})


def test_a_name_with_fields_names_the_artifact_and_not_the_output() -> None:
    def step() -> Annotated[int, "daily_{date}"]: ...

    (spec,) = read_signature(step, "step").outputs or ()
    assert (spec.name, spec.artifact) == ("output", "daily_{date}")


def test_two_outputs_of_one_name_are_refused() -> None:
    def step() -> tuple[Annotated[int, "a"], Annotated[int, "a"]]: ...

    with pytest.raises(DefinitionError, match="two outputs named 'a'"):
        names(step)


@pytest.mark.parametrize("annotation", [Iterator[int], Generator[int, None, None], "Iterator[int]"])
def test_what_cannot_be_stored_is_refused_with_the_cure(annotation: Any) -> None:
    def step(): ...

    step.__annotations__["return"] = annotation
    with pytest.raises(DefinitionError, match=r"list\(…\)"):
        names(step)


def test_generators_and_coroutines_are_refused_with_the_cure() -> None:
    def generator():
        yield 1

    async def coroutine(): ...

    for function in (generator, coroutine):
        with pytest.raises(DefinitionError, match="Make it a plain function"):
            read_signature(function, "step")


@pytest.mark.parametrize(
    ("given", "wanted", "fits"),
    [
        (int, int, True),
        (int, float, True),
        (bool, int, True),
        (float, int, False),
        (str, int, False),
        (int, Optional[int], True),
        (Optional[int], int, True),
        (Union[str, int], float, True),
        (Union[str, bytes], float, False),
        (list[int], list[str], True),
        (list[int], dict[str, int], False),
        (Any, int, True),
        (int, object, True),
        (Annotated[int, "x"], str, False),
        (T, str, True),
        (N, str, False),
        (None, int, False),
        ("NotKnown", int, True),
        (object, int, True),
    ],
)
def test_types_that_can_never_meet_are_told_apart(given: Any, wanted: Any, fits: bool) -> None:
    assert compatible(given, wanted) is fits


def test_a_protocol_that_cannot_be_checked_fits_everything() -> None:
    class Sized(Protocol):
        size: int

    assert compatible(int, Sized)


def test_a_type_is_described_alike_in_every_process() -> None:
    assert describe(int) == "int"
    assert describe(ArtifactConfig) == "dovetail.values.artifacts:ArtifactConfig"
    assert describe(list[int]) == "list[int]"
    assert describe(Optional[int]) in ("Optional[int]", "int | None")
