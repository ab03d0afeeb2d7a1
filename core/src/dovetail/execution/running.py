"""From a plan to a finished run."""

from __future__ import annotations

import contextlib
import getpass
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from dovetail.components.orchestrator import GraphOrchestrator, Orchestrator
from dovetail.errors import ConfigurationError, DovetailError
from dovetail.execution.attempt import flush_all
from dovetail.execution.capture import capturing
from dovetail.execution.driver import Driver, Listener
from dovetail.execution.finishing import status_of, summary
from dovetail.execution.jobs import INTERRUPTED
from dovetail.execution.pulse import Pulse
from dovetail.execution.scope import apart, current
from dovetail.execution.stopping import stop_steps
from dovetail.execution.surroundings import taking_part
from dovetail.graph.definition import StepDefinition
from dovetail.ledger import layout
from dovetail.planning.workspace import Workspace
from dovetail.stack.references import redact
from dovetail.values.model import PromotionPolicy
from dovetail.values.names import fill
from dovetail.values.plan import Plan, PlanStep, Status
from dovetail.values.processes import process_identity

_log = logging.getLogger("dovetail")


def begin(plan: Plan, workspace: Workspace) -> bool:
    """Record that the run exists. False where another process began it."""
    return workspace.ledger.run(plan.run_id).begin(header_of(plan), plan.to_json())


def header_of(plan: Plan) -> dict[str, Any]:
    return {
        "id": plan.run_id,
        "name": plan.run_name,
        "pipeline": plan.pipeline,
        "stack": plan.stack["name"],
        "created": plan.created,
        "parameters": dict(plan.parameters),
        "tags": list(plan.tags),
        "models": dict(plan.models),
        "pins": dict(plan.pins),
        "resumes": plan.resumes,
        "scheduled_for": plan.scheduled_for,
        "package": plan.package,
        "code": dict(plan.code) if plan.code is not None else None,
        "owner": process_identity(),
        "lease": layout.LEASE,
        "user": _user(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "waived": list(plan.stack.get("waive", ())),
    }


def execute(
    plan: Plan, workspace: Workspace, definitions: Callable[[PlanStep], StepDefinition], listeners: Iterable[Listener] = ()
) -> tuple[dict[str, Any], BaseException | None]:
    """Carry out a begun plan; gives the run's last record and the first error that a step raised.

    KeyboardInterrupt is raised again after the run was closed as cancelled.
    """
    orchestrator: Any = workspace.stack.build("orchestrator")
    if not isinstance(orchestrator, Orchestrator):
        raise ConfigurationError(f"Stack '{workspace.stack.name}' has no orchestrator.")
    driver = Driver(workspace, plan, definitions, listeners, whole_maps=isinstance(orchestrator, GraphOrchestrator))
    driver.announce("dovetail_run_started", {"status": Status.RUNNING.value, "resumes": plan.resumes})
    nested = current() is not None
    me = process_identity()
    pulse = Pulse(driver.records, flush=lambda: flush_all(plan.run_id), on_cancel=lambda: _stop(driver), beat=lambda: driver.records.beat(me))
    with taking_part(nested=nested), apart(), capturing(), pulse:
        interrupted = _drive(driver, orchestrator, plan)
        finished = _finish(driver, plan)
    asked = pulse.cancelled.is_set() and (driver.records.cancellation() or {}).get("reason") != INTERRUPTED
    if "model_registry" in workspace.stack.components:
        _tell_registry(driver, finished)
    failure = str(driver.first_error) if driver.first_error is not None else None
    driver.announce("dovetail_run_finished", {"status": finished["status"], "seconds": finished["ended"] - plan.created, "error": failure})
    if isinstance(driver.first_error, KeyboardInterrupt) and not asked:
        interrupted = driver.first_error
    if interrupted is not None:
        raise interrupted
    return finished, driver.first_error


def _tell_registry(driver: Driver, finished: Mapping[str, Any]) -> None:
    from dovetail.execution.registering import tell_version

    for name, version in finished.get("models", {}).items():
        if version is not None and Status(finished["status"]).is_success:
            tell_version(driver.workspace, name, version)


def _drive(driver: Driver, orchestrator: Orchestrator, plan: Plan) -> KeyboardInterrupt | None:
    """Have the steps run; gives the interrupt that ended it early. Whatever else ends it early is raised once the run is closed."""
    interrupted = None
    try:
        _submit(driver, orchestrator, plan)
    except KeyboardInterrupt as error:
        interrupted = None if driver.cancelled() else error
        driver.cancel()
        stop_steps(plan.run_id, spare=threading.get_ident())
        with contextlib.suppress(KeyboardInterrupt):  # who asks twice does not wait for steps that do not end
            _submit(driver, orchestrator, plan)
        driver.settled()
        driver.settle_open(Status.CANCELLED, "the run was cancelled")
    except Exception as error:
        if driver.is_handed_over:
            _log.warning("Nobody follows run %s here any more; its engine goes on with it.", plan.run_name)
            raise
        with contextlib.suppress(DovetailError, OSError):  # the store may be what failed; then a reader closes the run
            why = redact(f"what drove the run failed: {type(error).__name__}: {error}", driver.workspace.stack.secrets())
            driver.settle_open(Status.INTERRUPTED, why)
            _finish(driver, plan)
        raise
    finally:
        driver.close()
    return interrupted


def _submit(driver: Driver, orchestrator: Orchestrator, plan: Plan) -> None:
    """Settle what needs no running; only if something is left, claim model versions, prepare components and submit."""
    work = driver.has_work()
    driver.settled()
    driver.workspace.ledger.cache.forget()
    if work:
        if plan.images and not driver.is_handed_over:
            from dovetail.execution.images import provide_images

            provide_images(plan, driver.workspace)
        if not driver.info.started:
            driver.info = replace(driver.info, **_begun(driver, plan))
        orchestrator.submit(plan, driver)
        driver.settled()


def _begun(driver: Driver, plan: Plan) -> dict[str, Any]:
    models = _claimed(plan, driver.workspace)
    prepared = _prepared(plan, driver.workspace)
    if models or prepared:
        driver.records.start({"models": models, "prepared": prepared})
    return {"models": models, "prepared": prepared, "started": True}


def _finish(driver: Driver, plan: Plan) -> dict[str, Any]:
    outcomes = {name: driver.outcomes[name] for name in sorted(driver.outcomes, key=_order(plan)) if name in driver.outcomes}
    status = Status.CANCELLED if driver.cancelled() else status_of(outcomes)
    models = {name: version for name, version in driver.info.models.items() if version is not None}
    record = summary({**header_of(plan), "models": models}, outcomes, status, time.time())
    if driver.records.finish(record):
        return record
    return driver.records.finished() or record


def _order(plan: Plan) -> Callable[[str], tuple[int, int]]:
    places = {step.invocation: number for number, step in enumerate(plan.steps)}

    def place(name: str) -> tuple[int, int]:
        parent, _, child = name.rpartition(".")
        if name in places or not child.isdecimal():
            return places.get(name, len(places)), -1
        return places.get(parent, len(places)), int(child)

    return place


def _stop(driver: Driver) -> None:
    """The run was asked to stop: raise in the threads that run its steps; worker processes are ended by who waits for them."""
    driver.cancel()
    stop_steps(driver.plan.run_id)


def _claimed(plan: Plan, workspace: Workspace) -> dict[str, int | None]:
    """The versions that the run works on: given ones as they are, else the next number."""
    models: dict[str, int | None] = {}
    for name, version in plan.models.items():
        described = _described(plan, name)
        models[name] = version or workspace.ledger.versions.claim_model(name, {"run": plan.run_id, "at": plan.created, **described})
    return models


def _described(plan: Plan, name: str) -> dict[str, Any]:
    """What pipeline and steps say of the model, the pipeline's word before a step's; a policy of either holds."""
    moment, substitutions = datetime.fromtimestamp(plan.created, timezone.utc), plan.options.get("substitutions", {})
    said: dict[str, Any] = {}
    for options in (plan.options, *(step.options for step in plan.steps)):
        model = options.get("model")
        if not model or fill("model", model["name"], moment, substitutions) != name:
            continue
        for key in ("description", "license", "tags", "metadata"):
            if model.get(key):
                said.setdefault(key, model[key])
        for stage, policy in (model.get("promotion") or {}).items():
            others = said.setdefault("promotion", {})
            others[stage] = PromotionPolicy(**policy).and_also(PromotionPolicy(**others.get(stage, {}))).to_json()
    return said


def _prepared(plan: Plan, workspace: Workspace) -> dict[str, Any]:
    """What the stack's components say once per run, for all its steps."""
    prepared: dict[str, Any] = {}
    run: Mapping[str, Any] = {"id": plan.run_id, "name": plan.run_name, "pipeline": plan.pipeline, "tags": list(plan.tags)}
    for kind in workspace.stack.components:
        component = workspace.stack.build(kind) if kind not in ("artifact_store", "orchestrator", "secret_store") else None
        try:
            said = component.prepare(run) if component is not None else None
        except Exception as error:
            if getattr(component, "on_unreachable", "fail") != "continue":
                raise
            said = {"unreachable": f"{type(error).__name__}: {error}"}
            _log.warning("The run goes on without its %s '%s': %s", kind.replace("_", " "), component.name if component else kind, error)
        if said is not None:
            prepared[kind] = said
    return prepared


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


