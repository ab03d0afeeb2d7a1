"""Carrying out what `run`, `plan`, `runs resume` and `replay` ask, and telling of it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from dovetail.cli.queries import client_of, find_run
from dovetail.cli.session import Session
from dovetail.cli.targets import Target, is_users, load_target, read_parameters
from dovetail.errors import RunFailed

if TYPE_CHECKING:
    from dovetail.client.views import Run
    from dovetail.execution.replaying import Replay, Replayed

_INTERRUPTED = 130
_MOST_TRACEBACKS = 3
_LONGEST_VALUE = 2000


def run_target(session: Session, text: str, params: Sequence[str], options: Mapping[str, Any]) -> int:
    """Gives the exit code. `options`: of `Pipeline.with_options`."""
    begun: list[str] = []
    with told_warnings(session):
        target = load_target(text)
        pipeline = _configured(target, params, {**options, "quiet": session.quiet, "listeners": (_noting(begun),)})
        try:
            run = pipeline(**_arguments(target, params))
        except RunFailed as error:
            tell_failure(error.run)
            raise
        except KeyboardInterrupt:
            _tell_interrupted(session, begun)
            return _INTERRUPTED
    _tell_done(session, run, detached=bool(options.get("detach")))
    return 0


def plan_target(session: Session, text: str, params: Sequence[str], options: Mapping[str, Any], output: str) -> int:
    """Prints the plan; gives 1 where the run could not start."""
    from dovetail.cli.output import print_one
    from dovetail.cli.plans import lines
    from dovetail.client.client import Client
    from dovetail.client.explaining import plan_differences
    from dovetail.planning.preflight import find_problems

    with told_warnings(session):
        target = load_target(text)
        pipeline = _configured(target, params, options)
        plan = pipeline.plan(**_arguments(target, params))
    client = Client(str(plan.stack["name"]))
    problems = list(dict.fromkeys(find_problems(plan, client.workspace)))
    if output != "table":
        print_one(plan.to_json(), output)
    else:
        for line in lines(plan, plan_differences(client, plan), problems):
            click.echo(line)
    return 1 if problems else 0


def resume(session: Session, which: str, stack: str | None) -> int:
    """Resume a run in this process."""
    from dovetail.authoring.progress import printed
    from dovetail.client.views import Run
    from dovetail.execution.importing import definition_of
    from dovetail.execution.resuming import plan_to_resume
    from dovetail.execution.running import begin, execute
    from dovetail.planning.preflight import preflight
    from dovetail.planning.workspace import assemble
    from dovetail.values.plan import Status
    from dovetail.values.project import find_project

    client = client_of(session, stack)
    old = find_run(client, which)
    _ = old.status  # closes a run whose process has gone
    root = old.plan.root
    project = find_project(Path(root)) if root and Path(root).is_dir() else session.project
    workspace = assemble(project, session.registry, session.stack(stack))
    plan = plan_to_resume(old.id, workspace)
    preflight(plan, workspace)
    begin(plan, workspace)
    run = Run(client, plan.run_id)
    with told_warnings(session), printed(plan, quiet=session.quiet) as progress:
        try:
            finished, error = execute(plan, workspace, definition_of, (progress,))
        except KeyboardInterrupt:
            _tell_interrupted(session, [plan.run_id])
            return _INTERRUPTED
    if not Status(finished["status"]).is_success:
        tell_failure(run)
        raise RunFailed(
            f"Run {run.name} {run.status.value}. {run.error or ''} Look at it: dovetail runs show {run.id}.", run
        ) from error
    _tell_done(session, run, detached=False)
    return 0


def replay(session: Session, which: str, step: str, stack: str | None, *, debug: bool) -> int:
    """Run one step of a past run here. With `debug`, in pdb: where it fails, or from its first line if it had completed."""
    from dovetail.execution.replaying import prepare
    from dovetail.execution.replaying import replay as run_again
    from dovetail.values.plan import Status

    client = client_of(session, stack)
    run = find_run(client, which)
    prepared = prepare(client.workspace, run.id, step)
    ended = f", which {prepared.status.value}" if prepared.status in (Status.FAILED, Status.COMPLETED) else ""
    session.say(f"Replaying step '{step}' of run {run.name}{ended}, with its own inputs and code. Nothing is recorded.")
    for note in prepared.notes:
        session.say(f"Note: {note}.")
    from_first_line = debug and prepared.status is not Status.FAILED
    with told_warnings(session):
        try:
            done = run_again(prepared, _under_debugger if from_first_line else None)
        except Exception as error:
            return _replay_failed(session, prepared, error, debug=debug and not from_first_line)
    if debug and not from_first_line:
        session.say("It failed in the run, and did not fail here.")
    _tell_replayed(prepared, done)
    return 0


def _under_debugger(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    import bdb
    import pdb  # noqa: T100  # what was asked for

    class Debugger(pdb.Pdb):
        left = False

        def set_quit(self) -> None:
            self.left = True
            super().set_quit()

    debugger = Debugger()
    value = debugger.runcall(function, **arguments)
    if debugger.left:
        raise bdb.BdbQuit  # which runcall keeps to itself
    return value


def _replay_failed(session: Session, prepared: Replay, error: Exception, *, debug: bool) -> int:
    from dovetail.errors import DovetailError
    from dovetail.execution.attempt import describe_error

    if type(error).__name__ == "BdbQuit":
        return 0
    if isinstance(error, DovetailError) and not _came_from_the_step(prepared, error):
        raise error
    click.echo(describe_error(error)["traceback"], err=True, nl=False)
    if debug:
        import pdb  # noqa: T100  # what was asked for

        pdb.post_mortem(_in_the_step(error))
    elif not session.quiet:
        click.echo("Add --pdb to look around where it failed.", err=True)
    return 1


def _in_the_step(error: BaseException) -> TracebackType | None:
    """The frames from the step's function on."""
    found = error.__traceback__
    while found is not None and found.tb_next is not None and not is_users(found.tb_frame.f_code.co_filename):
        found = found.tb_next
    return found


def _came_from_the_step(prepared: Replay, error: BaseException) -> bool:
    import traceback

    return any(prepared.workspace.project.owns(frame.filename) for frame in traceback.extract_tb(error.__traceback__))


def _tell_replayed(prepared: Replay, done: Replayed) -> None:
    from dovetail.cli.output import print_rows

    text = repr(done.value)
    click.echo(text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…")
    rows = [
        {"output": name, "type": output["type"], "digest": output["digest"][:12], "as in the run": done.same.get(name)}
        for name, output in done.outputs.items()
    ]
    if rows:
        click.echo()
        print_rows(rows, ["output", "type", "digest", "as in the run"], "table")
    for name, last in done.metrics.items():
        click.echo(f"metric {name}: {last:.6g}")


def tell_failure(run: Run | None) -> None:
    """Print what the failed steps raised, their own frames alone."""
    failed = [step for step in run.steps.values() if step.error is not None] if run is not None else []
    for step in failed[:_MOST_TRACEBACKS]:
        if step.error is not None:
            click.echo(f"\nStep '{step.name}':\n{step.error['traceback']}".rstrip("\n"), err=True)
    if len(failed) > _MOST_TRACEBACKS:
        click.echo(f"\n… and {len(failed) - _MOST_TRACEBACKS} more steps failed.", err=True)
    if failed:
        click.echo(err=True)


def _configured(target: Target, params: Sequence[str], options: Mapping[str, Any]) -> Any:
    given = {name: value for name, value in options.items() if value not in (None, ())}
    return target.pipeline.with_options(**given, textual=bool(params))


def _arguments(target: Target, params: Sequence[str]) -> dict[str, Any]:
    return {**target.arguments, **read_parameters(target.pipeline, params)}


def _noting(begun: list[str]) -> Callable[[str, Mapping[str, Any]], None]:
    def note(event: str, facts: Mapping[str, Any]) -> None:
        if event == "dovetail_run_started":
            begun.append(facts["run"])

    return note


def _tell_interrupted(session: Session, begun: Sequence[str]) -> None:
    if begun:
        session.say(f"Cancelled. Go on from here: dovetail runs resume {begun[0]}")
    else:
        session.say("Interrupted before the run began.")


def _tell_done(session: Session, run: Run, *, detached: bool) -> None:
    """A person is told where to look; a program gets the run's id."""
    if detached:
        session.say(f"Run {run.name} goes on in a process of its own. Follow it: dovetail runs logs {run.id} --follow")
    elif sys.stdout.isatty():
        session.say(f"Look at it: dovetail runs show {run.id}")
    if detached or session.quiet or not sys.stdout.isatty():
        click.echo(run.id)


@contextmanager
def told_warnings(session: Session) -> Iterator[None]:
    """What Dovetail itself warns of is a sentence here; other warnings look as Python shows them."""
    before = warnings.showwarning

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: str | None = None
    ) -> None:
        if is_users(filename):
            before(message, category, filename, lineno, file, line)
        else:
            session.say(f"Warning: {message}")

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before
