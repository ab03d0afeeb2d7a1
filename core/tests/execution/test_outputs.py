"""What a step gives: how many outputs, named and typed how, and what is refused."""

from __future__ import annotations

import datetime as dt
import threading
import warnings
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Annotated, Any, Optional, Tuple

import pytest

from dovetail import ArtifactConfig, ArtifactType, Client, ExternalArtifact, RunFailed, pipeline, step


def only_step(function: Any, **options: Any) -> Any:
    """The step run of a pipeline of this one step."""

    @pipeline
    def p() -> None:
        step(**options)(function)()

    return p().steps[function.__name__]


def test_the_annotation_decides_how_many_outputs_there_are_not_the_return_statement() -> None:
    def two() -> Tuple[int, int]:
        x = (1, 2)
        return x

    def one() -> tuple:
        return 1, 2

    def alike() -> tuple[int, ...]:
        return 1, 2, 3

    assert {name: found.load() for name, found in only_step(two).outputs.items()} == {"output_0": 1, "output_1": 2}
    assert only_step(one).output.load() == (1, 2)
    assert only_step(alike).output.load() == (1, 2, 3)


def test_annotated_outputs_have_names_and_those_names_are_artifacts_of_the_whole_store() -> None:
    def named() -> Tuple[Annotated[int, "accuracy_of_it"], Annotated[dict, ArtifactConfig(name="the_report", tags=("t",), metadata={"k": 1})]]:
        return 5, {"a": 1}

    found = only_step(named)
    assert list(found.outputs) == ["accuracy_of_it", "the_report"]
    client = Client()
    assert client.get_artifact("accuracy_of_it").load() == 5
    report = client.get_artifact("the_report")
    assert (report.tags, report.metadata["k"], report.version) == (("t",), 1, 1)


def test_what_an_artifact_is_to_a_person_is_kept() -> None:
    def model() -> Annotated[dict, ArtifactConfig(name="m", artifact_type=ArtifactType.MODEL)]:
        return {}

    assert only_step(model).outputs["m"].kind == "model"


@pytest.mark.parametrize(
    "value",
    [
        None, 3, -2.5, float("inf"), True, "text", b"bytes", [1, [2]], {"a": {"b": [None]}}, {1: "int key", (2, 3): "tuple key"}, (1, "a"), {1, 2},
        frozenset({"x"}), dt.datetime(2026, 3, 1, 4, 5, 6, 7), dt.timedelta(days=2),
        OrderedDict([("b", 1), ("a", 2)]), complex(1, 2), "", [], {}, "\ud7ff\U0001f600", 10**30,
    ],
    ids=repr,
)  # fmt: skip
def test_a_value_comes_back_equal_and_of_the_same_type(value) -> None:
    def gives() -> Any:
        return value

    back = only_step(gives).output.load()
    assert back == value
    assert type(back) is type(value)


def test_values_of_the_projects_own_types_come_back_as_those(make_module) -> None:
    flow = make_module("""
        import datetime as dt, enum
        from dataclasses import dataclass
        from typing import Any, NamedTuple
        from dovetail import pipeline, step

        class Colour(enum.Enum):
            RED = 1

        class Point(NamedTuple):
            x: int
            y: float

        @dataclass(frozen=True)
        class Setting:
            name: str
            when: dt.date
            point: Point

        VALUE = [Colour.RED, Point(1, 2.5), Setting("s", dt.date(2026, 3, 1), Point(3, 4.0)), {Colour.RED: [Point(0, 0.0)]}]

        @step
        def gives() -> list:
            return VALUE

        @step
        def takes(value: list, setting: Setting) -> bool:
            return value == VALUE and isinstance(value[2], Setting) and isinstance(value[1], Point) and setting == VALUE[2]

        @pipeline
        def p():
            takes(gives(), VALUE[2])
    """)
    assert flow.p().steps["takes"].output.load() is True


def test_a_default_dict_comes_back_as_one() -> None:
    def gives() -> dict:
        return defaultdict(list, {"a": [1]})

    back = only_step(gives).output.load()
    assert type(back) is defaultdict and back == {"a": [1]}


def test_an_optional_output_may_be_none_or_a_value() -> None:
    def nothing() -> Optional[int]:
        return None

    def something() -> int | None:
        return 3

    assert only_step(nothing).output.load() is None
    assert only_step(something).output.load() == 3


def test_a_step_annotated_none_has_no_output() -> None:
    def nothing() -> None:
        return None

    assert dict(only_step(nothing).outputs) == {}


def test_an_unannotated_steps_value_is_kept_with_one_warning() -> None:
    def unannotated():  # noqa: ANN202
        return [1, 2]

    with pytest.warns(UserWarning, match="has no return annotation; its value is kept as 'output'") as told:
        found = only_step(unannotated)
    assert len(told) == 1
    assert found.output.load() == [1, 2]


def test_an_unannotated_step_that_gives_nothing_is_not_warned_of() -> None:
    def silent():  # noqa: ANN202
        pass

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert only_step(silent).status == "completed"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: (n for n in range(3)), "generator"),
        (lambda: threading.Lock(), "lock"),
        (lambda: iter([1]), "iterator"),
        (lambda: __import__("socket").socket(), "socket"),
    ],
    ids=["generator", "lock", "iterator", "socket"],
)
def test_what_cannot_outlive_its_process_is_refused_with_the_cure(make, told) -> None:
    made: list[Any] = []

    def gives() -> Any:
        made.append(make())
        return made[0]

    with pytest.raises(RunFailed) as failed:
        only_step(gives)
    assert told in str(failed.value).lower() and "gives" in str(failed.value)
    for each in made:
        if hasattr(each, "close"):
            each.close()


def test_too_few_values_for_the_annotation_fail_with_what_was_seen() -> None:
    def short() -> Tuple[int, int, int]:
        return 1, 2  # type: ignore[return-value]

    with pytest.raises(RunFailed, match=r"annotated to return 3 outputs \(output_0, output_1, output_2\) and returned 2 values"):
        only_step(short)


def test_a_value_that_is_never_saved_leaves_no_version_behind(store_root) -> None:
    def half() -> Tuple[Annotated[int, "good"], Annotated[Any, "bad"]]:
        return 1, threading.Lock()

    with pytest.raises(RunFailed):
        only_step(half)
    assert Client().list_artifacts() == []


def test_a_path_output_is_stored_with_its_content(tmp_path) -> None:
    (tmp_path / "tree" / "below").mkdir(parents=True)
    (tmp_path / "tree" / "below" / "f.txt").write_text("content")

    def gives() -> Path:
        return tmp_path / "tree"

    found = only_step(gives).output
    (tmp_path / "tree" / "below" / "f.txt").write_text("changed since")
    assert (found.load() / "below" / "f.txt").read_text() == "content"


def test_a_materializer_of_ones_own_works_with_plain_files(make_module) -> None:
    flow = make_module("""
        import os
        from dovetail import BaseMaterializer, pipeline, step

        class Thing:
            def __init__(self, text): self.text = text

        class ThingMaterializer(BaseMaterializer):
            ASSOCIATED_TYPES = (Thing,)
            def save(self, value):
                os.makedirs(os.path.join(self.uri, "below"))
                with open(os.path.join(self.uri, "below", "thing.txt"), "w") as file:
                    file.write(value.text)
            def load(self, data_type):
                with open(os.path.join(self.uri, "below", "thing.txt")) as file:
                    return Thing(file.read())

        @step(output_materializers=ThingMaterializer)
        def gives() -> Thing:
            return Thing("as said")

        @step
        def takes(thing: Thing) -> str:
            return thing.text

        @pipeline
        def p():
            takes(gives())
    """)
    assert flow.p().steps["takes"].output.load() == "as said"


def test_an_external_artifact_is_stored_and_its_content_counts() -> None:
    @step
    def size(d: dict) -> int:
        return len(d)

    @pipeline
    def p(n: int) -> None:
        size(ExternalArtifact({str(i): i for i in range(n)}))

    assert p(3).steps["size"].output.load() == 3
    assert p(3).steps["size"].status == "cached"
    assert p(4).steps["size"].output.load() == 4


def test_payload_cannot_be_written_to() -> None:
    def gives() -> list:
        return [1]

    found = only_step(gives).output
    assert all(not file.stat().st_mode & 0o222 for file in found.path.rglob("*") if file.is_file())


def test_the_same_value_is_stored_once(store_root) -> None:
    def one() -> dict:
        return {"k": [1.5] * 10}

    first, second = only_step(one, enable_cache=False), only_step(one, enable_cache=False)
    assert first.output.digest == second.output.digest
    assert (first.output.version, second.output.version) == (1, 2)
    assert len(list((store_root / "artifacts").iterdir())) == 1


def test_names_of_artifacts_may_hold_date_time_and_substitutions() -> None:
    @step(substitutions={"who": "me"})
    def by_step() -> Annotated[int, "of-{who}-{date}"]:
        return 1

    @pipeline(substitutions={"where": "here"})
    def p() -> None:
        in_pipeline()

    @step
    def in_pipeline() -> Annotated[int, "at-{where}"]:
        return 1

    @pipeline
    def q() -> None:
        by_step()

    p()
    assert Client().get_artifact("at-here").load() == 1
    run = q()
    assert Client().get_artifact(f"of-me-{run.created:%Y-%m-%d}").load() == 1

