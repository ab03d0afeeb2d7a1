"""`dovetail` itself: the table of commands, and what becomes of an error."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from dovetail.cli.lazy import Command, LazyGroup, Section, leave_plugins_out
from dovetail.cli.session import Session
from dovetail.errors import DovetailError

SECTIONS = (
    Section(
        "Projects",
        (
            Command("init", "dovetail.cli.project:init", "Make this folder a project."),
            Command("demo", "dovetail.cli.demo:demo", "A pipeline to look at, from nothing to a prediction."),
            Command("version", "dovetail.cli.project:version", "Say which Dovetail this is."),
            Command("doctor", "dovetail.cli.project:doctor", "Check Python, packages, project, stack and plugins."),
        ),
    ),
    Section(
        "Pipelines",
        (
            Command("run", "dovetail.cli.runs:run", "Run a pipeline."),
            Command("plan", "dovetail.cli.runs:plan", "Show what would run, what is cached, and why."),
            Command("runs", "dovetail.cli.runs:runs", "List, show, resume, cancel, compare and delete runs."),
            Command("replay", "dovetail.cli.runs:replay", "Run one step of a past run here, with its own inputs and code."),
            Command("cache", "dovetail.cli.cache:cache", "Explain why a step ran."),
            Command("schedules", "dovetail.cli.schedules:schedules", "List, show, pause, resume and end schedules."),
            Command("scheduler", "dovetail.cli.scheduler:scheduler", "Start the runs of schedules that no engine's clock starts."),
            Command("pipelines", "dovetail.cli.pipelines:pipelines", "List pipelines."),
        ),
    ),
    Section(
        "Artifacts and models",
        (
            Command("artifacts", "dovetail.cli.artifacts:artifacts", "List, show, load and compare artifacts."),
            Command("models", "dovetail.cli.models:models", "List, show, compare, approve and promote models."),
            Command("deployments", "dovetail.cli.deployments:deployments", "List, show and stop what is served, and read its logs."),
            Command("store", "dovetail.cli.store:store", "Verify and clean up an artifact store, and rebuild the index."),
        ),
    ),
    Section(
        "Stacks",
        (
            Command("stack", "dovetail.cli.stacks:stack", "Register, apply, choose and check stacks."),
            Command("secret", "dovetail.cli.secrets:secret", "Keep secret values outside stack files."),
        ),
    ),
    Section(
        "Components",
        (
            Command("orchestrator", "dovetail.cli.components:group", "What runs a plan's steps."),
            Command("artifact-store", "dovetail.cli.components:group", "Where artifacts and the ledger lie."),
            Command("experiment-tracker", "dovetail.cli.components:group", "Mirrors what steps log."),
            Command("model-deployer", "dovetail.cli.components:group", "Serves models behind an endpoint."),
            Command("container-registry", "dovetail.cli.components:group", "Keeps container images."),
            Command("image-builder", "dovetail.cli.components:group", "Builds container images."),
            Command("step-operator", "dovetail.cli.components:group", "Runs single steps elsewhere."),
            Command("feature-store", "dovetail.cli.components:group", "Serves features by key and time."),
            Command("data-validator", "dovetail.cli.components:group", "Checks and compares data."),
            Command("model-registry", "dovetail.cli.components:group", "Mirrors model versions to a registry."),
            Command("alerter", "dovetail.cli.components:group", "Tells people what happened."),
            Command("secret-store", "dovetail.cli.components:group", "Keeps secret values."),
        ),
    ),
    Section(
        "Plugins",
        (
            Command("plugin", "dovetail.cli.plugins:plugin", "List, install, check and write plugins."),
            Command("integration", "dovetail.cli.plugins:plugin", "Another word for plugin.", hidden=True),
        ),
    ),
)


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from dovetail.cli.project import version_line

        click.echo(version_line())
        context.exit()


@click.group(
    cls=LazyGroup,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Plugins may bring more commands: `dovetail plugin list`.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--quiet", "-q", is_flag=True, help="Print results and errors alone.")
@click.option(
    "--no-plugins", is_flag=True, is_eager=True, expose_value=False, callback=leave_plugins_out, help="Use what is built in alone."
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Say which Dovetail this is."
)
@click.pass_context
def application(context: click.Context, debug: bool, quiet: bool) -> None:
    """Portable machine-learning pipelines: written once in plain Python, run on any stack, with no server."""
    session: Session = context.obj
    session.debug |= debug
    session.quiet |= quiet


def run(arguments: Sequence[str]) -> int:
    """Run one command line. Returns its exit code: 0 done, 1 the run or check failed, 2 wrong usage, 130 interrupted."""
    session = Session()
    try:
        result: Any = application.main(list(arguments), "dovetail", standalone_mode=False, obj=session)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would complain when it ends
        return 1
    except DovetailError as error:
        return _failed(session, error, f"Error: {error}", error.exit_code)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        sentence = f"Error: {error.strerror or error}{where}. Check that you may read and write there, and that there is room."
        return _failed(session, error, sentence, 1)
    except Exception as error:
        sentence = f"Error: {type(error).__name__}: {error}. Run the command again with --debug to see where it was raised."
        return _failed(session, error, sentence, 1)


def _failed(session: Session, error: Exception, sentence: str, exit_code: int) -> int:
    if session.debug:
        import traceback

        traceback.print_exception(error)
    click.echo(sentence, err=True)
    return exit_code
