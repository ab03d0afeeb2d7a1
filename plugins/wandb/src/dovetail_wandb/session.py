"""Opening W&B runs beside whatever the process does with W&B itself: nothing is taken from its session, and nothing is left in it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

# What `wandb.init` sets in its module, for scripts that hold one run.
GLOBALS = (
    "run", "config", "log", "summary", "save", "use_artifact", "log_artifact", "define_metric", "alert", "watch", "unwatch",
    "mark_preempting", "log_model", "use_model", "link_model",
)  # fmt: skip
_SERVICE = "WANDB_SERVICE"
_one_at_a_time = threading.Lock()
opening: ContextVar[bool] = ContextVar("dovetail_wandb_opening", default=False)


def open_run(settings: Mapping[str, Any], config: Mapping[str, Any]) -> Any:
    """A W&B run of these settings alone: neither the caller's `WANDB_…` variables nor W&B's settings files say anything to it."""
    import wandb

    own = {**_QUIET, **{name: value for name, value in settings.items() if value is not None}}
    known = wandb.Settings.model_fields
    with _one_at_a_time, _marked(), quiet(), _session_aside(wandb), _globals_kept(wandb), _service_kept():
        return wandb.init(settings=wandb.Settings(**{name: value for name, value in own.items() if name in known}), config=dict(config))


@cache
def disabled_run() -> Any:
    """A W&B run that takes everything and does nothing."""
    return open_run({"mode": "disabled"}, {})


# Steps' output is captured by Dovetail, code is recorded by it, and several runs share the process.
_QUIET = {
    "reinit": "create_new", "silent": True, "console": "off", "save_code": False, "disable_code": True, "x_save_requirements": False,
    "symlink": False, "sagemaker_disable": True, "stop_on_fatal_error": False,
}  # fmt: skip


@contextmanager
def _marked() -> Iterator[None]:
    token = opening.set(True)
    try:
        yield
    finally:
        opening.reset(token)


@contextmanager
def _session_aside(wandb: Any) -> Iterator[None]:
    """W&B's process-wide settings and login as in a fresh process, and afterwards as they were."""
    session = wandb.setup.__globals__["singleton"]()
    kept = session._settings, session._settings_environ
    session._settings, session._settings_environ = _pristine(wandb), None
    login = _take_login()
    try:
        yield
    finally:
        session._settings, session._settings_environ = kept
        _give_login_back(login)


def _pristine(wandb: Any) -> Any:
    """W&B's defaults and what it finds out about the machine."""
    settings = wandb.Settings(silent=True)
    settings.update_from_system_environment()
    return settings


def _take_login() -> Any:
    try:
        from wandb.sdk.lib import wbauth
    except ImportError:  # versions before it keep the key in the settings alone
        return None
    return wbauth.unauthenticate_session(update_settings=False)


def _give_login_back(login: Any) -> None:
    try:
        from wandb.sdk.lib import wbauth
    except ImportError:
        return
    wbauth.unauthenticate_session(update_settings=False)
    if login is not None:
        wbauth.authenticate._session_auth = login


@contextmanager
def quiet() -> Iterator[None]:
    """What W&B says of logging in, or of a reference that it will not look into, is not the step's output."""
    from wandb.errors import term

    kept = term._log  # not `_silent`: that is set anew when W&B is set up, which the body may do
    term._log = lambda *_, **__: None
    try:
        yield
    finally:
        term._log = kept


@contextmanager
def _globals_kept(wandb: Any) -> Iterator[None]:
    """A run that is disabled makes itself the process's run whatever `reinit` says."""
    names = vars(wandb)
    kept = {name: names[name] for name in GLOBALS if name in names}
    try:
        yield
    finally:
        names.update(kept)


@contextmanager
def _service_kept() -> Iterator[None]:
    """The address of W&B's helper process is not left to child processes: it ends with this one."""
    before = os.environ.get(_SERVICE)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_SERVICE, None)
