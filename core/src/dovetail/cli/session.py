"""What the commands of one command line share; each part is made when a command asks for it."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dovetail.components.secret_store import SecretStore
    from dovetail.registry import Registry
    from dovetail.stack import Choice, Stack, StackStore
    from dovetail.values.project import Project


class Session:
    """`debug`: show tracebacks. `quiet`: print results and errors alone."""

    def __init__(self) -> None:
        self.debug = False
        self.quiet = False

    @functools.cached_property
    def project(self) -> Project:
        from dovetail.values.project import find_project

        return find_project()

    @functools.cached_property
    def registry(self) -> Registry:
        from dovetail.registry import Registry

        return Registry.load()

    @functools.cached_property
    def stacks(self) -> StackStore:
        from dovetail.stack import StackStore

        return StackStore(self.project, self.registry)

    @functools.cached_property
    def choice(self) -> Choice:
        """Which stack is the active one, and who said so; a warning about it is printed once."""
        from dovetail.stack import choose_stack

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            choice = choose_stack(self.project)
        for warning in caught:
            self.say(f"Warning: {warning.message}")
        return choice

    def stack(self, name: str | None = None) -> Stack:
        """The stack of that name, else the active one."""
        from dovetail.stack import resolve_stack

        if name is None:
            self.choice  # noqa: B018, which prints its warning
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return resolve_stack(self.project, self.registry, name)

    def secret_store(self) -> SecretStore:
        """The active stack's secret store, else the built-in one."""
        return self.stack().secret_store()

    def say(self, text: str) -> None:
        """Tell the user what goes on; on stderr, so that stdout holds results alone. Nothing with --quiet."""
        if not self.quiet:
            click.echo(text, err=True)


pass_session = click.make_pass_decorator(Session, ensure=True)
