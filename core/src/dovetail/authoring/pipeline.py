"""The `@pipeline` decorator."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, ParamSpec, cast, overload

from dovetail.authoring.progress import printed, tell
from dovetail.authoring.run_config import RunConfig, read_run_config
from dovetail.authoring.step import make_options
from dovetail.client.client import Client
from dovetail.client.views import Run
from dovetail.errors import DefinitionError, ParameterError, RunFailed, numbered
from dovetail.execution.driver import Listener
from dovetail.execution.hooks import EndedRun, call_run_hook
from dovetail.execution.importing import importing
from dovetail.execution.running import begin, execute
from dovetail.graph.annotations import read_signature
from dovetail.graph.definition import Options, StepDefinition, importable, source_of
from dovetail.graph.parameters import check_parameter
from dovetail.graph.tracing import Traced, bind, current, trace
from dovetail.ledger import layout
from dovetail.planning.planner import Planner, Request
from dovetail.planning.preflight import preflight
from dovetail.planning.workspace import Workspace, open_workspace
from dovetail.values.model import ModelSpec
from dovetail.values.names import check_name
from dovetail.values.plan import Plan, PlanStep, Status
from dovetail.values.settings import Environment, Resources, Retry, Schedule

P = ParamSpec("P")
_POLICIES = ("stop", "continue")


@dataclass(frozen=True)
class RunOptions:
    """What `with_options` says of the next runs."""

    stack: str | None = None
    run_name: str | None = None
    enable_cache: bool | None = None
    run_config: Any = None
    wait: bool = True
    detach: bool = False
    quiet: bool = False
    textual: bool = False
    tags: tuple[str, ...] = ()
    listeners: tuple[Listener, ...] = field(default=())


class Pipeline(Generic[P]):
    """A pipeline. Calling it runs it on the active stack, waits, and returns the run."""

    def __init__(self, function: Callable[P, Any], name: str, options: Options, failure_policy: str = "stop", run: RunOptions | None = None) -> None:
        self.function = function
        self.name = name
        self.options = options
        self.failure_policy = failure_policy
        self._run = run or RunOptions()
        functools.update_wrapper(self, function, updated=())

    def __repr__(self) -> str:
        return f"<pipeline {self.name}>"

    def with_options(self, **options: Any) -> Pipeline[P]:
        """A copy with other options: `stack`, `run_name`, `enable_cache` (for all steps), `run_config` (a YAML file), `wait`, and `@pipeline`'s own.

        With `wait=False` the run goes on in a process of its own and the call returns at once.
        """
        own = {name: options.pop(name) for name in list(options) if name in RunOptions.__dataclass_fields__}
        policy = options.pop("failure_policy", self.failure_policy)
        merged = self.options.merged(make_options(options, f"{self.name}.with_options"))
        return Pipeline(self.function, self.name, merged, _checked_policy(policy), replace(self._run, **own))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Run:
        if current.get() is not None:
            joined: Any = self.function(*args, **kwargs)  # inside another pipeline its steps join that one
            return cast(Run, joined)
        calls = importing.get()
        if calls is not None:
            calls.append((self, args, kwargs))
            return cast(Run, _NotRun())
        workspace, plan, traced = self._prepare(args, kwargs, keep=True)
        apart = self._run.detach or not self._run.wait
        if apart:
            _check_importable(plan)
        preflight(plan, workspace)
        begin(plan, workspace)
        if apart:
            from dovetail.execution.driving import detach

            detach(plan, workspace)
            return Run(Client(workspace=workspace), plan.run_id)
        return self._carry_out(plan, workspace, traced)

    def plan(self, *args: P.args, **kwargs: P.kwargs) -> Plan:
        """What a call would run and why, without running; raises as the call would before it starts."""
        return self._prepare(args, kwargs, keep=False)[1]

    def schedule(self, schedule: Schedule, /, *args: P.args, **kwargs: P.kwargs) -> str:
        """Have runs with these arguments start by themselves: by the clock of the stack's orchestrator, or where it has none by `dovetail scheduler`.

        Gives what the engine calls the schedule, or where it lies in the artifact store. A schedule of this pipeline that there is already
        is replaced. `dovetail schedules` shows, pauses and ends it. `run_name` may hold `{scheduled}`, the moment of each run in the
        schedule's time zone. Raises DefinitionError for what the engine's clock cannot keep, and what a call would raise before it starts.
        """
        from dovetail.execution.scheduling import make_schedule

        if not isinstance(schedule, Schedule):
            raise DefinitionError(f"schedule() takes a Schedule, not {schedule!r}. Write schedule(Schedule(cron='0 3 * * *'), …).")
        workspace, plan, _ = self._prepare(args, kwargs, keep=True, later=True)
        _check_importable(plan)
        preflight(plan, workspace)
        template = self._run.run_name or f"{self.name}-{{date}}-{{time}}"
        record = make_schedule(plan, workspace, schedule, template)
        if "address" in record:
            return str(record["address"])
        tell(f"Runs of pipeline '{self.name}' are started by `dovetail scheduler --stack {workspace.stack.name}`: let one run.", quiet=self._run.quiet)
        return workspace.store.uri(layout.schedules(self.name))

    def trace(self, *args: Any, **kwargs: Any) -> Traced:
        """The graph of a call. Raises GraphError with every problem."""
        return self._trace(args, kwargs, RunConfig())

    def open(self) -> Workspace:
        return open_workspace(self._run.stack)

    def _prepare(self, args: Sequence[Any], kwargs: Mapping[str, Any], *, keep: bool, later: bool = False) -> tuple[Workspace, Plan, Traced]:
        config = read_run_config(self._run.run_config)
        workspace = open_workspace(self._run.stack or config.stack)
        traced = self._trace(args, kwargs, config)
        request = Request(
            run_name=self._run.run_name or config.run_name,
            enable_cache=self._run.enable_cache if self._run.enable_cache is not None else config.enable_cache,
            tags=(*self._run.tags, *config.tags),
            keep=keep,
            later=later,
        )
        return workspace, Planner(workspace, traced, request).plan(), traced

    def _trace(self, args: Sequence[Any], kwargs: Mapping[str, Any], config: RunConfig) -> Traced:
        signature = read_signature(self.function, self.name)
        try:
            bound = bind(signature.parameters, args, {**config.parameters, **kwargs})
        except DefinitionError as error:
            raise DefinitionError(f"Pipeline '{self.name}' {error}.") from None
        parameters, problems = {}, []
        for name, value in bound.items():
            known = signature.parameters.get(name)
            textual = self._run.textual or name in config.parameters
            try:
                parameters[name] = check_parameter(value, known.annotation, f"parameter '{name}'", textual=textual) if known else value
            except ParameterError as error:
                problems.append(str(error).rstrip("."))
        if problems:
            raise ParameterError(numbered(f"Pipeline '{self.name}'", problems) + ".")
        options = self.options.merged(config.options).to_json()
        if self.failure_policy != "stop":
            options["failure_policy"] = self.failure_policy
        return trace(self.function, self.name, source_of(self.function), parameters, options, config.steps)

    def _carry_out(self, plan: Plan, workspace: Workspace, traced: Traced) -> Run:
        definitions = traced.live.definitions

        def definition(step: PlanStep) -> StepDefinition:
            return definitions.get(step.invocation) or definitions[step.invocation.rpartition(".")[0]]

        with printed(plan, quiet=self._run.quiet) as progress:
            finished, error = execute(plan, workspace, definition, (progress, *self._run.listeners))
        run = Run(Client(workspace=workspace), plan.run_id)
        call_run_hook(self.options.on_success, self.options.on_failure, EndedRun(workspace, finished), error)
        if not Status(finished["status"]).is_success:
            raise RunFailed(_sentence(run, error), run) from error
        return run


def _sentence(run: Run, error: BaseException | None) -> str:
    reason = run.error or (f"{type(error).__name__}: {error}" if error is not None else "see its steps")
    return f"Run {run.name} of pipeline '{run.pipeline}' {run.status.value}. {reason.rstrip('.')}. Look at it: dovetail runs show {run.id}."


def _check_importable(plan: Plan) -> None:
    local = [step.invocation for step in plan.steps if not importable(step.node.source)]
    if local:
        raise DefinitionError(
            f"Step '{local[0]}' was defined inside a function, so the process that would carry out the run cannot import it. Define it at module level."
        )


class _NotRun:
    """What a pipeline call gives while its module is only imported."""

    def __repr__(self) -> str:
        return "<a run that was not started: its module is being imported by Dovetail>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RunFailed("A pipeline call at module level runs nothing while Dovetail imports the module; put what uses the run under `if __name__ == '__main__':`.")


def _checked_policy(policy: str) -> str:
    if policy not in _POLICIES:
        raise DefinitionError(f"failure_policy={policy!r} is neither 'stop' (no step starts after a failure) nor 'continue' (what does not depend on it goes on).")
    return policy


@overload
def pipeline(function: Callable[P, Any], /) -> Pipeline[P]: ...
@overload
def pipeline(
    *,
    name: str | None = None,
    enable_cache: bool | None = None,
    model: ModelSpec | None = None,
    settings: dict[str, dict[str, Any]] | None = None,
    tags: Sequence[str] | None = None,
    retry: Retry | None = None,
    resources: Resources | None = None,
    environment: Environment | None = None,
    on_success: Callable[..., Any] | None = None,
    on_failure: Callable[..., Any] | None = None,
    substitutions: dict[str, str] | None = None,
    failure_policy: str = "stop",
) -> Callable[[Callable[P, Any]], Pipeline[P]]: ...
def pipeline(function: Callable[..., Any] | None = None, /, *, name: str | None = None, failure_policy: str = "stop", **options: Any) -> Any:
    """Make a function a pipeline, bare or with options, which hold for all its steps unless a step says otherwise.

    `failure_policy`: `"stop"` starts nothing after a failure, `"continue"` finishes what does not depend on it.
    `on_success()` and `on_failure(error)` are called in the process that drives the run.
    """
    chosen = make_options(options, "@pipeline")
    _checked_policy(failure_policy)

    def decorate(decorated: Callable[..., Any]) -> Pipeline[Any]:
        return Pipeline(decorated, check_name("pipeline", name or decorated.__name__), chosen, failure_policy)

    return decorate(function) if function is not None else decorate
