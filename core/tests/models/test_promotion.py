"""A version is given a stage only if it keeps to what is asked, and the record says why it was, or was not."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dovetail import Client, Model, ModelStage, PromotionPolicy, PromotionRefused, get_step_context, log_metrics, pipeline, step
from dovetail.errors import ConfigurationError, DefinitionError, NotFound


@step(enable_cache=False)
def score(auc: float, brier: float) -> float:
    log_metrics(auc=auc, brier=brier)
    return auc


@pipeline(model=Model("m"))
def scoring(auc: float = 0.8, brier: float = 0.2):
    score(auc, brier)


def version(auc: float = 0.8, brier: float = 0.2):
    scoring(auc, brier)
    return Client().get_model_version("m")


GUARDED = Model("m", promotion={"production": PromotionPolicy(["auc >= production.auc", "brier < 0.3"], approvals=1)})


@pytest.mark.parametrize(
    ("gate", "kept"),
    [
        ("auc >= production.auc", True),
        ("auc > production.auc + 0.05", False),
        ("auc > production.auc - 0.05", True),
        ("brier <= production.brier * 0.9", False),
        ("auc >= 1.auc", True),
        ("auc > 0.85", True),
        ("auc <= 0.85", False),
        ("auc != production.auc", True),
    ],
)
def test_a_gate_compares_with_a_number_or_with_another_version(gate: str, kept: bool) -> None:
    version(0.88).promote("production")
    candidate = version(0.9)
    if kept:
        candidate.promote("production", require=gate)
        assert candidate.stage == "production"
    else:
        with pytest.raises(PromotionRefused, match="cannot be promoted to production: "):
            candidate.promote("production", require=gate)
        assert candidate.stage == "none"


def test_the_first_version_has_nothing_to_beat() -> None:
    first = version(0.1).promote("production", require="auc > production.auc")
    assert first.decisions[0]["gates"] == [
        {"require": "auc > production.auc", "value": 0.1, "kept": True, "why": "no other version is in production"}
    ]


def test_the_record_keeps_what_was_compared() -> None:
    first = version(0.8).promote("production")
    second = version(0.9).promote("production", require=["auc >= production.auc"], reason="better")
    (decision,) = second.decisions
    assert decision["gates"] == [{"require": "auc >= production.auc", "value": 0.9, "bound": 0.8, "against": first.version, "kept": True, "why": ""}]
    assert decision["reason"] == "better"
    assert decision["held_before"] == {"production": first.version}


def test_a_refusal_names_every_gate_that_is_not_kept_and_is_kept_itself() -> None:
    version(0.9, 0.1).promote("production")
    worse = version(0.8, 0.3)
    with pytest.raises(PromotionRefused) as refused:
        worse.promote("production", require=["auc >= production.auc", "brier <= production.brier", "auc > 0.5"])
    assert "auc is 0.8, and 0.9 of version 1" in str(refused.value)
    assert "brier is 0.3, and 0.1 of version 1" in str(refused.value)
    assert [gate["kept"] for gate in refused.value.evidence["gates"]] == [False, False, True]
    assert worse.decisions[0]["refused"] == str(refused.value)
    assert Client().get_model_version("m", "production").version == 1


def test_a_metric_that_was_never_logged_keeps_to_nothing() -> None:
    with pytest.raises(PromotionRefused, match="the version has no metric 'auk'. Did you mean 'auc'"):
        version().promote("staging", require="auk > 0")


def test_a_forced_promotion_says_what_it_did_not_keep_to() -> None:
    forced = version(0.1).promote("production", require="auc > 0.5", force=True, reason="the old one is broken")
    assert forced.stage == "production"
    assert forced.decisions[0]["forced"] == ["auc > 0.5: auc is 0.1, and 0.5 is to be kept to"]


@pytest.mark.parametrize("gate", ["auc", "auc >", "> 0.5", "auc >= prod.auc", "auc >= production.", "auc => 0.4", "auc > 0.5; rm", ""])
def test_what_is_no_gate_is_refused_with_an_example(gate: str) -> None:
    with pytest.raises(DefinitionError, match="auc >= production.auc"):
        version().promote("production", require=gate)


def test_scores_of_today_take_the_place_of_what_was_logged() -> None:
    version(0.9).promote("production")
    asked = []

    def today(one):
        asked.append(one.version)
        return {"auc": {1: 0.6, 2: 0.7}[one.version]}

    second = version(0.7).promote("production", require="auc > production.auc", score=today)
    assert second.decisions[0]["gates"][0]["bound"] == 0.6
    assert sorted(asked) == [1, 2]
    with pytest.raises(DefinitionError, match="score= gave a float for version 2"):
        second.promote("staging", require="auc > 0", score=lambda one: 0.5)


# -- policies and approvals --------------------------------------------------------------------------------------------


@pipeline(model=GUARDED)
def guarded(auc: float = 0.8):
    score(auc, 0.2)


def test_the_policy_that_a_version_was_made_with_holds_for_everybody() -> None:
    guarded()
    made = Client().get_model_version("m")
    with pytest.raises(PromotionRefused, match="it has 0 of the 1 approvals that it needs. Give one: dovetail models approve m 1 production"):
        made.promote("production")
    made.promote("staging")  # of which the policy says nothing
    made.approve(by="ada@example.org", comment="looked at the curves").promote("production")
    assert made.decisions[0]["approved_by"] == ["ada@example.org"]
    guarded(0.7)
    with pytest.raises(PromotionRefused, match="auc is 0.7, and 0.8 of version 1"):
        Client().get_model_version("m", 2).approve(by="ada@example.org").promote("production")


def test_an_approval_counts_for_its_version_and_stage_and_once_for_a_person() -> None:
    first, second = version(), version()
    first.approve("production", by="ada@example.org")
    second.approve("staging", by="ada@example.org")
    second.approve("production", by="bob@example.org").approve("production", by="bob@example.org")
    with pytest.raises(PromotionRefused, match="1 of the 2 approvals"):
        second.promote("production", approvals=2)
    second.approve("production", by="ada@example.org").promote("production", approvals=2)


def test_who_says_no_stops_it_until_they_change_their_mind() -> None:
    made = version().approve(by="ada@example.org").approve(by="bob@example.org", approves=False, comment="leaks")
    with pytest.raises(PromotionRefused, match="bob@example.org said no"):
        made.promote("production")
    made.approve(by="bob@example.org").promote("production")


def test_only_those_approve_who_are_named() -> None:
    policy = PromotionPolicy(approvals=1, approvers=["ada@example.org"])
    assert policy.and_also(PromotionPolicy("auc > 0")) == PromotionPolicy(("auc > 0",), 1, ("ada@example.org",))

    @pipeline(model=Model("m", promotion={"production": policy}))
    def named():
        score(0.8, 0.2)

    named()
    made = Client().get_model_version("m").approve(by="mallory@example.org")
    with pytest.raises(PromotionRefused, match="0 of the 1 approvals of ada@example.org"):
        made.promote("production")


@pytest.mark.parametrize("nobody", ["", "  ", "\x1b[31m", None])
def test_an_approval_by_nobody_is_refused(nobody: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    made = version()
    with pytest.raises(ConfigurationError, match="An approval is a person's: say whose with --by"):
        made.approve(by=nobody)
    assert made.approvals == []


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"approvals": -1}, "no number of people"),
        ({"approvals": 2, "approvers": ["ada"]}, "more approvals than its 1 approvers"),
        ({"require": ["auc"]}, "is no requirement"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_where_it_is_written(said: dict, complaint: str) -> None:
    with pytest.raises(DefinitionError, match=complaint):
        PromotionPolicy(**said)


def test_a_policy_of_no_stage_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'prod' is no stage of a model. Known: archived, none, production, staging"):
        Model("m", promotion={"prod": PromotionPolicy()})


# -- what goes on meanwhile --------------------------------------------------------------------------------------------


def test_who_loses_the_race_decides_anew_with_what_won() -> None:
    version(0.7).promote("production")
    good, better = version(0.8), version(0.9)
    asked = []

    def today(one):
        asked.append(one.version)
        if one.version == good.version and len(asked) == 1:
            Client().get_model_version("m", better.version).promote("production")  # wins between the decision and its record
        return one.metrics

    with pytest.raises(PromotionRefused, match="0.9 of version 3"):
        good.promote("production", require="auc > production.auc", score=today)
    assert asked == [2, 1, 3]
    assert Client().get_model_version("m", "production").version == better.version


def test_of_many_who_promote_at_once_the_best_stays() -> None:
    made = [version(0.5 + number / 100) for number in range(8)]
    start = threading.Barrier(len(made))

    def promote(one) -> None:
        start.wait()
        try:
            Client().get_model_version("m", one.version).promote("production", require="auc > production.auc")
        except PromotionRefused:
            pass

    with ThreadPoolExecutor(len(made)) as pool:
        list(pool.map(promote, made))
    held = Client().get_model_version("m", "production")
    assert held.version == 8
    log = [record for _, record in reversed(list(Client().ledger.versions.stage_log("m")))]
    won = [record["version"] for record in log if "refused" not in record]
    assert won == sorted(won), "one was promoted over a better one"


def test_what_was_deleted_cannot_be_promoted_or_approved() -> None:
    run = scoring()
    made = Client().get_model_version("m")
    version()
    Client().delete(run)
    for attempt in (lambda: made.promote("production"), lambda: made.approve(by="ada")):
        with pytest.raises(NotFound, match="There is no version '1 of model 'm''. Known: 2"):
            attempt()
    assert Client().ledger.versions.stages("m") == {}


def test_a_version_that_is_deleted_while_it_is_promoted_holds_no_stage() -> None:
    run = scoring()
    version()
    made = Client().get_model_version("m", 1)

    def today(one):
        Client().delete(run)
        return {"auc": 1.0}

    with pytest.raises(NotFound):
        made.promote("production", require="auc > 0.5", score=today)
    with pytest.raises(NotFound, match="in stage"):
        Client().get_model_version("m", "production")


def test_a_step_promotes_by_what_it_has_just_logged() -> None:
    @step
    def decide() -> str:
        log_metrics(auc=0.9)
        get_step_context().model.promote(ModelStage.PRODUCTION, require="auc > 0.85")
        return "promoted"

    @pipeline(model=Model("m"))
    def deciding():
        decide()

    run = deciding()
    decision = Client().get_model_version("m", "production").decisions[0]
    assert (decision["run"], decision["invocation"]) == (run.id, "decide")
    assert decision["gates"][0]["value"] == 0.9


def test_a_step_that_was_refused_is_run_again_once_it_would_lose_against_another() -> None:
    version(0.9).promote("production")

    @step
    def decide() -> bool:
        try:
            get_step_context().model.promote("production", require="auc > production.auc", score=lambda one: {"auc": 1.0 if one.version > 1 else 2.0})
        except PromotionRefused:
            return False
        return True

    @pipeline(model=Model("m"))
    def deciding():
        decide()

    assert [deciding().status.value for _ in range(2)] == ["completed", "cached"]
    version(0.95).promote("production")
    assert deciding().status.value == "completed"
