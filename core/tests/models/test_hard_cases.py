"""Gates, approvals and stages where a version is gone, a metric is no number, or a step that promotes could be taken from the cache."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any

import pytest

from dovetail import Client, Model, PromotionPolicy, PromotionRefused, get_step_context, log_metrics, pipeline, step
from dovetail.cli.application import run as main
from dovetail.execution import registering
from dovetail.errors import ConfigurationError, DefinitionError, GraphError, NotFound
from dovetail.values.requirement import Requirement


@step(enable_cache=False)
def score(auc: float) -> float:
    log_metrics(auc=auc)
    return auc


@pipeline(model=Model("m"))
def scoring(auc: float):
    score(auc)


def version(auc: float):
    scoring(auc)
    return Client().get_model_version("m")


def refused(one: Any, **asked: Any) -> str:
    with pytest.raises(PromotionRefused) as error:
        one.promote("production", **asked)
    return str(error.value)


# -- versions that are gone --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 99])
def test_a_gate_that_names_a_version_which_is_not_there_is_not_kept(number: int) -> None:
    gone, candidate = version(0.5), version(0.9)
    Client().delete(gone.run)
    assert refused(candidate, require=f"auc > {number}.auc").endswith(f"auc > {number}.auc: there is no version {number} of the model")
    candidate.promote("production", require=f"auc > {number}.auc", force=True)
    assert candidate.decisions[0]["forced"] == [f"auc > {number}.auc: there is no version {number} of the model"]


def test_a_version_compared_with_itself_by_its_number_is_compared() -> None:
    assert "0.5 of version 1 is to be kept to" in refused(version(0.5), require="auc > 1.auc")


@pytest.fixture
def held_by_what_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 1 got production between the look and the deed of who deletes it."""
    first = version(0.5)
    version(0.4)
    client = Client()
    change = client.ledger.change

    def promoted_first(record: dict[str, Any]) -> Any:
        Client().get_model_version("m", 1).promote("production")
        return change(record)

    monkeypatch.setattr(client.ledger, "change", promoted_first)
    client.delete(first.run.id)


def test_a_stage_whose_version_was_deleted_is_held_by_none(held_by_what_is_gone: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotFound, match=r"in stage 'production'. Promote one: dovetail models promote m 2 production."):
        Client().get_model_version("m", "production")
    assert main(["models", "list", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["production"] is None
    candidate = Client().get_model_version("m", 2).promote("production", require="auc > production.auc")
    assert candidate.decisions[0]["gates"][0]["why"] == "no other version is in production"


def test_who_tells_a_registry_late_tells_it_whom_the_ledger_has(monkeypatch: pytest.MonkeyPatch) -> None:
    good, better = version(0.8), version(0.9)
    told: list[int] = []

    def tell(workspace: Any, name: str, number: int, stage: str) -> None:
        if not told:  # another promotes, and has told it, before this one does
            told.append(better.version)
            Client().ledger.versions.promote(name, better.version, stage, lambda held: {})
        told.append(number)

    monkeypatch.setattr(registering, "tell_stage", tell)
    stack = good.query.workspace.stack
    monkeypatch.setattr(stack, "components", {**stack.components, "model_registry": stack.components["artifact_store"]})
    good.promote("production")
    assert told == [better.version, good.version, better.version]


# -- numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_no_finite_number_keeps_to_nothing(value: float) -> None:
    for gate in ("auc > 0.5", "auc < 0.5", "auc != 0.5"):
        assert not Requirement.parse(gate).holds(value)
    assert f"auc is {value:g}" in refused(version(value), require="auc != 0.5")


def test_nothing_is_another_than_what_is_no_number() -> None:
    assert not Requirement.parse("auc != production.auc").holds(0.5, math.nan)
    assert Requirement.parse("error < production.error").holds(0.5, math.inf)  # a model that diverged is beaten


@pytest.mark.parametrize("gate", ["auc < 1e999", "auc > production.auc - 1e999"])
def test_a_bound_without_bounds_is_no_gate(gate: str) -> None:
    with pytest.raises(DefinitionError, match="is no requirement"):
        Requirement.parse(gate)


def test_a_refusal_shows_numbers_so_that_they_differ() -> None:
    version(0.9).promote("production")
    assert "auc is 0.8999999999, and 0.9 of version 1" in refused(version(0.8999999999), require="auc >= production.auc")


# -- people ------------------------------------------------------------------------------------------------------------


def test_a_person_is_the_same_in_another_spelling() -> None:
    made = version(0.5).approve(by="Ada@Example.org").approve(by="ada@example.org")
    assert "1 of the 2 approvals" in refused(made, approvals=2)
    made.approve(by="Zoe\u0301@example.org", approves=False).approve(by="zo\u00e9@example.org")
    made.promote("production", approvals=2)
    assert made.decisions[0]["approved_by"] == ["ada@example.org", "zo\u00e9@example.org"]


def test_an_approver_is_known_in_another_spelling() -> None:
    @pipeline(model=Model("m", promotion={"production": PromotionPolicy(approvals=1, approvers=["Ada@example.org"])}))
    def named():
        score(0.5)

    named()
    Client().get_model_version("m").approve(by="ada@example.org").promote("production")
    with pytest.raises(DefinitionError, match="more approvals than its 1 approvers"):
        PromotionPolicy(approvals=2, approvers=["Ada@example.org", "ada@example.org"])


def test_approvers_that_have_nobody_in_common_are_not_anybody() -> None:
    with pytest.raises(DefinitionError, match="nobody is an approver of both"):
        PromotionPolicy(approvals=1, approvers=["ada"]).and_also(PromotionPolicy(approvers=["bob"]))


@pytest.mark.parametrize("by", [5, b"ada", ["ada"]])
def test_an_approval_by_what_is_no_name_is_refused(by: Any) -> None:
    with pytest.raises(ConfigurationError, match="An approval is a person's"):
        version(0.5).approve(by=by)


# -- what is said of decisions -----------------------------------------------------------------------------------------


def test_decisions_of_one_minute_are_all_shown_with_what_was_missing(capsys: pytest.CaptureFixture[str]) -> None:
    made = version(0.5)
    refused(made, require="auc > 0.9", approvals=1)
    refused(made, require="auc > 0.1", approvals=1)
    assert main(["models", "show", "m", "1"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("refused production") == 2
    assert shown.count("it has 0 of the 1 approvals that it needs") == 2
    assert "\\n" not in shown
    assert main(["models", "lineage", "m", "1"]) == 0
    assert capsys.readouterr().out.count("it has 0 of the 1 approvals that it needs") == 2


# -- steps that promote and may be cached ------------------------------------------------------------------------------


@step
def train(weight: int) -> Annotated[dict, "trained_model"]:
    log_metrics(auc=weight / 10)
    return {"weight": weight}


@step
def promote() -> int:
    return get_step_context().model.promote("production").version


@pipeline(model=Model("n"))
def promoting(weight: int):
    promote.with_options(after=[train(weight)])()


def test_a_step_that_promotes_is_run_for_each_new_version() -> None:
    assert [promoting(weight).steps["promote"].output.load() for weight in (1, 2, 3)] == [1, 2, 3]
    assert Client().get_model_version("n", "production").version == 3
    assert promoting(3).status.value == "cached"


@step
def promote_if_better() -> bool:
    try:
        get_step_context().model.promote("production", require="auc > production.auc")
    except PromotionRefused:
        return False
    return True


@pipeline(model=Model("n"))
def gated(weight: int):
    promote_if_better.with_options(after=[train(weight)])()


def test_a_step_that_was_refused_is_run_for_each_new_version() -> None:
    assert [gated(weight).steps["promote_if_better"].output.load() for weight in (5, 3, 4, 6)] == [True, False, False, True]


# -- what stands for an artifact in a pipeline function ----------------------------------------------------------------


@step
def anything(given) -> str:  # type: ignore[no-untyped-def]
    return repr(given)


USED = Model("m", version="production")


@pytest.mark.parametrize(
    "use",
    [
        lambda: anything(f"{USED.load_artifact('output')}"),
        lambda: anything(USED.load_artifact("output")["weight"]),
        lambda: anything(1 if USED.load_artifact("output") else 2),
        lambda: anything(list(USED.load_artifact("output"))),
        lambda: anything(USED.load_artifact("output").predict(1)),
    ],
)
def test_what_stands_for_an_artifact_says_so_where_its_value_is_asked_for(use: Any) -> None:
    version(0.5).promote("production")

    @pipeline
    def using():
        use()

    with pytest.raises((DefinitionError, AttributeError), match="'output' of model 'm' in production.* give it to a step"):
        using()


@pytest.mark.parametrize("given", [lambda found: [found], lambda found: {"a": found}])
def test_what_stands_for_an_artifact_is_no_part_of_a_parameter(given: Any) -> None:
    version(0.5).promote("production")

    @pipeline
    def using():
        anything(given(USED.load_artifact("output")))

    with pytest.raises(GraphError, match="is no parameter"):
        using()


@pytest.mark.parametrize("wanted", [True, 1.5, b"1", 0, -1])
def test_a_version_that_is_no_number_of_one_is_refused_where_it_is_written(wanted: Any) -> None:
    with pytest.raises(DefinitionError, match="is neither a number nor a stage"):
        Model("m", version=wanted)
