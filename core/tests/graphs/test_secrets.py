"""Where who may look at jobs sees their variables, no secret is among them: workers fetch what they need, or the run is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dovetail.errors import PreflightFailed
from dovetail.local.secret_store import LocalSecretStore

_PLANTED = "a-planted-secret"
_KEEPER = """
    import json
    import os
    from pathlib import Path

    from dovetail.components import Capability, ContainerRegistry, ExperimentTracker, Secret, SecretStore, StepOperator
    from dovetail.errors import NotFound
    from dovetail.plugin import FlavorSpec, hookimpl


    class Keyed(ExperimentTracker):
        key: Secret
        endpoint: str = ""

        def start(self, step_run):
            assert self.key.reveal() == "a-planted-secret"
            Path(os.environ["PLACE"], "tracked").write_text(self.endpoint)

        def log_params(self, params): ...
        def log_metrics(self, metrics, step): ...
        def finish(self, step_run): ...


    class Vault(SecretStore):
        address: str

        def get(self, name):
            kept = json.loads(Path(self.address).read_text())
            if name not in kept:
                raise NotFound("secret", name, kept)
            return {key: Secret(value) for key, value in kept[name].items()}

        def put(self, name, values): ...
        def names(self): return []
        def delete(self, name): ...


    @hookimpl
    def dovetail_experiment_trackers():
        return [FlavorSpec("keyed", "keeper:Keyed")]


    @hookimpl
    def dovetail_secret_stores():
        return [FlavorSpec("vault", "keeper:Vault")]


    class Registry(ContainerRegistry):
        password: Secret

        def find(self, reference): return None
        def credentials(self): return None


    class Operator(StepOperator):
        capabilities = frozenset({Capability.REMOTE})

        def shares_folders(self): return True
        def start(self, job): raise AssertionError("nothing is to be started")


    @hookimpl
    def dovetail_container_registries():
        return [FlavorSpec("keyed", "keeper:Registry")]


    @hookimpl
    def dovetail_step_operators():
        return [FlavorSpec("open", "keeper:Operator")]
"""
_FLOW = """
    from dovetail import pipeline, step

    @step(experiment_tracker=True)
    def only() -> int:
        return 1

    @pipeline
    def p():
        only()
"""


@pytest.fixture
def shown(
    install_plugin: Callable[[str, str], Path],
    apply_stack: Callable[..., None],
    isolated: Path,
    graph_engine: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Path]:
    """Makes the stack `shown` active, whose engine shows variables to others; gives the folder of its graphs."""
    install_plugin("keeper", _KEEPER)
    monkeypatch.setattr(graph_engine.GraphEngine, "shows_variables", True)
    place = isolated / "place"
    place.mkdir()

    def make(key: str, endpoint: str = "", vault: dict[str, Any] | None = None, **more: Any) -> Path:
        import os

        variables = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_") or name == "PYTHONPATH"}
        others: dict[str, Any] = dict(more)
        if vault is not None:
            (place / "vault.json").write_text(json.dumps(vault))
            others["secret_store"] = ("vault", "vault", {"address": str(place / "vault.json")})
        graphs = isolated / "graphs"
        apply_stack(
            "shown",
            orchestrator=("graph_engine", "graphs", {"folder": str(graphs), "variables": {**variables, "PLACE": str(place)}}),
            experiment_tracker=("keyed", "keyed", {"key": key, "endpoint": endpoint}),
            **others,
        )
        monkeypatch.setenv("DOVETAIL_STACK", "shown")
        return graphs

    return make


def test_a_secret_out_of_a_variable_is_refused_with_the_cure(shown, make_module, monkeypatch) -> None:
    monkeypatch.setenv("TRACKER_KEY", _PLANTED)
    shown("${TRACKER_KEY}")
    with pytest.raises(PreflightFailed, match=r"takes a secret from \$\{TRACKER_KEY\}, and who may look at jobs of orchestrator 'graphs'") as refused:
        make_module(_FLOW).p()
    assert "credentials of their own" in str(refused.value)


def test_a_secret_that_is_kept_on_this_machine_is_refused_with_the_cure(shown, make_module) -> None:
    LocalSecretStore().put("tracker", {"key": _PLANTED})
    shown("{{ tracker.key }}")
    with pytest.raises(PreflightFailed, match="which secret store 'local' keeps on this machine.*Add a secret store"):
        make_module(_FLOW).p()


def test_a_worker_fetches_its_secrets_itself_and_is_given_what_is_none(shown, make_module, monkeypatch, isolated) -> None:
    monkeypatch.setenv("ENDPOINT", "http://tracker")
    graphs = shown("{{ tracker.key }}", "${ENDPOINT}", vault={"tracker": {"key": _PLANTED}})
    assert make_module(_FLOW).p().status == "completed"
    assert (isolated / "place" / "tracked").read_text() == "http://tracker"
    sent = next(graphs.glob("*/graph.json")).read_text()
    assert "http://tracker" in sent
    assert _PLANTED not in sent


def test_what_opens_a_registry_is_not_among_what_workers_are_given(shown, make_module, monkeypatch) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", "another-planted-secret")
    registry = ("keyed", "registry", {"uri": "localhost:1/x", "password": "${REGISTRY_PASSWORD}"})
    graphs = shown("{{ tracker.key }}", vault={"tracker": {"key": _PLANTED}}, container_registry=registry)
    assert make_module(_FLOW).p().status == "completed"
    assert "another-planted-secret" not in next(graphs.glob("*/graph.json")).read_text()


def test_a_step_for_an_operator_has_a_job_in_the_graph_that_shows_no_secret_either(shown, make_module, monkeypatch) -> None:
    monkeypatch.setenv("TRACKER_KEY", _PLANTED)
    shown("${TRACKER_KEY}", step_operator=("open", "operator", {}))
    with pytest.raises(PreflightFailed, match=r"takes a secret from \$\{TRACKER_KEY\}, and who may look at jobs of orchestrator 'graphs'"):
        make_module(_FLOW.replace("@step(experiment_tracker=True)", "@step(experiment_tracker=True, step_operator=True)")).p()
