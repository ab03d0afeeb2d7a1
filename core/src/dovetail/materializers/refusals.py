"""What cannot be an artifact, whatever saves it, and what to return instead."""

from __future__ import annotations

import collections.abc
import io
import types

_BY_NAME = {
    "_socket.socket": "An open socket",
    "_thread.lock": "A lock",
    "_thread.RLock": "A lock",
    "threading.Condition": "A lock",
    "threading.Semaphore": "A lock",
    "threading.Event": "A lock",
    "threading.Barrier": "A lock",
    "multiprocessing.synchronize.SemLock": "A lock",
    "threading.Thread": "A thread",
    "threading.local": "A thread's own storage",
    "multiprocessing.process.BaseProcess": "A process",
    "subprocess.Popen": "A process",
    "concurrent.futures._base.Executor": "A pool of workers",
    "concurrent.futures._base.Future": "A future",
    "_asyncio.Future": "A future",
    "_asyncio.Task": "A task",
    "sqlite3.Connection": "A database connection",
    "sqlite3.Cursor": "A database cursor",
}
_NOT_CONTENT = (
    "is tied to this process and cannot be an artifact. "
    "Return what is needed to open or make it again, such as a path or an address."
)
_BY_CLASS: tuple[tuple[tuple[type, ...], str], ...] = (
    (
        (types.GeneratorType, types.AsyncGeneratorType),
        "A generator can be read only once. Return a list of what it yields: `return list(…)`.",
    ),
    ((types.CoroutineType, collections.abc.Awaitable), "A coroutine is not a value yet. Await it: `return asyncio.run(…)`."),
    ((io.IOBase,), "An open file cannot be an artifact. Return its content, or its pathlib.Path, whose content is saved then."),
    (
        (types.ModuleType,),
        "A module is code, not a value. Return the values that the next step needs, and import the module there.",
    ),
    (
        (types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.MethodWrapperType, type),
        "Functions and classes are code, not values. Return what they compute, and import them in the step that uses them.",
    ),
)


def refusal(cls: type) -> str | None:
    """Why values of this class cannot be saved, with the cure; None where nothing speaks against it."""
    for base in cls.__mro__:
        subject = _BY_NAME.get(f"{base.__module__}.{base.__qualname__}")
        if subject is not None:
            return f"{subject} {_NOT_CONTENT}"
    for classes, sentence in _BY_CLASS:
        if issubclass(cls, classes):
            return sentence
    if _has(cls, "cursor", "commit", "rollback"):
        return f"A database connection {_NOT_CONTENT}"
    if _has(cls, "execute", "fetchone", "fetchall"):
        return f"A database cursor {_NOT_CONTENT} Or return the rows: `cursor.fetchall()`."
    if issubclass(cls, collections.abc.Iterator | collections.abc.AsyncIterator):
        return f"An iterator ({cls.__qualname__}) can be read only once. Return a list of what it yields: `return list(…)`."
    return None


def _has(cls: type, *names: str) -> bool:
    return all(callable(getattr(cls, name, None)) for name in names)
