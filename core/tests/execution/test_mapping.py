"""One step for each item of a list, and the list of what came of them."""

from __future__ import annotations

import threading
from typing import Annotated, Tuple

import pytest

from dovetail import Client, RunFailed, pipeline, step
from dovetail.errors import DefinitionError, GraphError


@step
def numbers(n: int) -> list[int]:
    return list(range(n))


@step
def square(x: int, power: int = 2) -> int:
    return x**power


@step
def total(xs: list[int]) -> int:
    return sum(xs)


@step
def listed(xs: list) -> list:
    return xs


def test_a_mapped_step_runs_once_for_each_item_and_the_next_takes_the_results_as_a_list() -> None:
    @pipeline
    def p() -> None:
        total(square.map(numbers(4), power=3))

    run = p()
    assert run.steps["total"].output.load() == 0 + 1 + 8 + 27
    assert [child.name for child in run.steps["square"].children] == ["square.0", "square.1", "square.2", "square.3"]
    assert run.steps["square.3"].output.load() == 27
    assert run.steps["square"].output.load() == [0, 1, 8, 27]
    assert list(run.steps) == ["numbers", "square", "square.0", "square.1", "square.2", "square.3", "total"]


def test_children_run_at_once() -> None:
    meeting = threading.Barrier(3, timeout=10)

    @step
    def meet(x: int) -> int:
        meeting.wait()
        return x

    @pipeline
    def p() -> None:
        meet.map(numbers(3))

    assert p().status == "completed"


def test_the_gathered_list_is_one_version_and_each_child_has_one_of_its_own() -> None:
    @pipeline
    def mapped() -> None:
        square.map(numbers(2))

    mapped()
    mapped.with_options(enable_cache=False)()
    client = Client()
    assert [found.version for found in client.list_artifacts("mapped.square.output")] == [2, 1]
    assert [found.version for found in client.list_artifacts("mapped.square.0.output")] == [2, 1]


def test_mapping_over_an_empty_list_gathers_to_an_empty_list() -> None:
    @pipeline
    def p() -> None:
        listed(square.map(numbers(0)))

    run = p()
    assert run.steps["square"].output.load() == []
    assert run.steps["listed"].output.load() == []
    assert run.status == "completed"


def test_a_map_over_a_map_takes_its_results_item_by_item() -> None:
    @pipeline
    def p() -> None:
        total(square.map(square.map(numbers(3))))

    run = p()
    assert run.steps["total"].output.load() == 0 + 1 + 16
    assert [child.name for child in run.steps["square_2"].children] == ["square_2.0", "square_2.1", "square_2.2"]


def test_a_list_of_lists_is_mapped_over_its_outer_items() -> None:
    @step
    def rows() -> list[list[int]]:
        return [[1, 2], [], [3]]

    @pipeline
    def p() -> None:
        listed(total.map(rows()))

    assert p().steps["listed"].output.load() == [3, 0, 3]


def test_a_map_over_a_plain_list_of_the_pipeline() -> None:
    @pipeline
    def p(ns: list[int]) -> None:
        listed(square.map(ns))

    assert p([5, 6]).steps["listed"].output.load() == [25, 36]


def test_a_map_over_a_list_of_outputs_of_several_steps() -> None:
    @pipeline
    def p() -> None:
        listed(total.map([numbers(3), numbers(4)]))

    assert p().steps["listed"].output.load() == [3, 6]


def test_every_other_argument_is_the_same_for_all_children_be_it_an_output_or_a_value() -> None:
    @step
    def three() -> int:
        return 3

    @pipeline
    def p() -> None:
        listed(square.map(numbers(3), power=three()))

    assert p().steps["listed"].output.load() == [0, 1, 8]


def test_a_mapped_step_with_several_outputs_gathers_each() -> None:
    @step
    def both(x: int) -> Tuple[Annotated[int, "double"], Annotated[str, "text"]]:
        return x * 2, str(x)

    @pipeline
    def p() -> None:
        doubles, texts = both.map(numbers(3))
        listed(doubles, id="doubles")
        listed(texts, id="texts")

    run = p()
    assert run.steps["doubles"].output.load() == [0, 2, 4]
    assert run.steps["texts"].output.load() == ["0", "1", "2"]
    names = {found.name for found in Client().list_artifacts()}
    assert {"double", "double.0", "double.2", "text"} <= names


def test_a_failed_child_fails_the_gather_and_what_follows_is_skipped() -> None:
    @step
    def odd_only(x: int) -> int:
        if x % 2 == 0:
            raise ValueError(f"{x} is even")
        return x

    @pipeline(failure_policy="continue")
    def p() -> None:
        listed(odd_only.map(numbers(4)))

    with pytest.raises(RunFailed, match="is even") as failed:
        p()
    run = failed.value.run
    statuses = {name: found.status.value for name, found in run.steps.items()}
    assert statuses == {
        "numbers": "completed", "odd_only": "failed", "odd_only.0": "failed", "odd_only.1": "completed",
        "odd_only.2": "failed", "odd_only.3": "completed", "listed": "skipped",
    }  # fmt: skip


def test_a_retry_holds_for_each_child_on_its_own() -> None:
    tries: dict[int, int] = {}

    @step(retry=1)
    def flaky(x: int) -> int:
        tries[x] = tries.get(x, 0) + 1
        if tries[x] == 1 and x != 1:
            raise ValueError("again")
        return x

    @pipeline
    def p() -> None:
        listed(flaky.map(numbers(3)))

    run = p()
    assert run.steps["listed"].output.load() == [0, 1, 2]
    assert tries == {0: 2, 1: 1, 2: 2}


def test_an_item_that_did_not_change_is_not_computed_again(make_module, programs) -> None:
    flow = make_module("""
        from dovetail import pipeline, step

        @step(enable_cache=False)
        def items(n: int) -> list[int]:
            return [0, 1, n]

        @step
        def work(x: int) -> int:
            with open("worked.txt", "a") as file:
                file.write(f"{x} ")
            return x

        @pipeline
        def p(n: int):
            work.map(items(n))
    """)
    flow.p(2)
    flow.p(7)
    assert sorted((programs.folder / "worked.txt").read_text().split()) == ["0", "1", "2", "7"]


def test_children_run_in_processes_where_the_step_needs_one(make_module) -> None:
    flow = make_module("""
        import os
        from dovetail import pipeline, step

        @step
        def items() -> list[int]:
            return [1, 2, 3]

        @step(isolated=True)
        def apart(x: int) -> list[int]:
            return [x, os.getpid()]

        @pipeline
        def p():
            apart.map(items())
    """)
    import os

    gathered = flow.p().steps["apart"].output.load()
    assert [x for x, _ in gathered] == [1, 2, 3]
    assert os.getpid() not in {pid for _, pid in gathered}


def test_mapping_over_what_is_no_list_is_refused_while_tracing() -> None:
    @pipeline
    def p() -> None:
        square.map(5)

    with pytest.raises(GraphError, match="mapped over a int; give a list"):
        p()


def test_mapping_over_an_output_that_is_no_list_fails_with_what_was_seen() -> None:
    @step
    def text() -> dict:
        return {"a": 1}

    @pipeline
    def p() -> None:
        square.map(text())

    with pytest.raises(RunFailed, match="is mapped over, so it must be a list, not dict"):
        p()


def test_map_has_a_meaning_only_in_a_pipeline() -> None:
    with pytest.raises(DefinitionError, match="only inside a pipeline"):
        square.map([1, 2])


def test_map_over_an_external_artifact_and_over_an_earlier_stored_list() -> None:
    from dovetail import ExternalArtifact

    @pipeline
    def p() -> None:
        listed(square.map(ExternalArtifact([2, 3])))

    assert p().steps["listed"].output.load() == [4, 9]


def test_a_mapped_step_below_a_condition_that_does_not_hold_is_skipped_whole() -> None:
    from dovetail import when

    @pipeline
    def p() -> None:
        found = numbers(3)
        with when(total(found) > 100):
            listed(square.map(found))

    run = p()
    assert {name: run.steps[name].status.value for name in ("square", "listed")} == {"square": "skipped", "listed": "skipped"}
    assert run.status == "completed"
