from __future__ import annotations

import asyncio
import io
import multiprocessing
import queue
import socket
import sqlite3
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from dovetail.errors import MaterializerError
from dovetail.materializers.pickles import PickleMaterializer, PickleWarning
from dovetail.materializers.refusals import refusal


class Thing:
    def __init__(self, a: Any) -> None:
        self.a = a

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing) and self.a == other.a


class Other(Thing):
    pass


@pytest.fixture(autouse=True)
def nobody_was_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PickleMaterializer, "_warned", set())


def test_anything_else_is_pickled_and_said_so_once_for_each_type(shelf: Any) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        folder, saved = shelf.save(Thing([1]))
        shelf.save([Thing(2), Thing(3)])
        shelf.save(Other(2))
    assert [each.category for each in seen] == [PickleWarning, PickleWarning]
    assert "ASSOCIATED_TYPES = (Thing,)" in str(seen[0].message)
    assert (saved.pickled, saved.deterministic) == (True, False)
    assert shelf.load(folder, saved) == Thing([1])


def test_a_pickle_is_loaded_from_a_trusted_store_only_however_deep_it_lies(shelf: Any) -> None:
    with pytest.warns(PickleWarning):
        for value in (Thing(1), {"a": [Thing(1)]}):
            folder, saved = shelf.save(value)
            with pytest.raises(MaterializerError, match="trusted: true"):
                shelf.load(folder, saved, trusted=False)


def generator() -> Any:
    yield 1


async def coroutine() -> None: ...


async def asynchronous() -> Any:
    yield 1


class Endless:
    def __iter__(self) -> Endless:
        return self

    def __next__(self) -> int:
        return 1


class Connection:
    def cursor(self) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "generator": (lambda _: generator(), r"return list\(…\)"),
    "coroutine": (lambda _: coroutine(), r"asyncio.run"),
    "asynchronous generator": (lambda _: asynchronous(), r"return list\(…\)"),
    "iterator": (lambda _: iter([1]), r"iterator \(list_iterator\).*return list\(…\)"),
    "own iterator": (lambda _: Endless(), "iterator"),
    "zip": (lambda _: zip([1], [2]), "iterator"),
    "map": (lambda _: map(str, [1]), "iterator"),
    "file": (lambda path: open(path / "f", "w"), "open file"),
    "file in memory": (lambda _: io.BytesIO(b"a"), "open file"),
    "socket": (lambda _: socket.socket(), "open socket"),
    "lock": (lambda _: threading.Lock(), "A lock"),
    "reentrant lock": (lambda _: threading.RLock(), "A lock"),
    "event": (lambda _: threading.Event(), "A lock"),
    "thread": (lambda _: threading.Thread(), "A thread"),
    "process": (lambda _: multiprocessing.Process(), "A process"),
    "pool": (lambda _: ThreadPoolExecutor(1), "A pool of workers"),
    "connection": (lambda _: sqlite3.connect(":memory:"), "database connection"),
    "cursor": (lambda _: sqlite3.connect(":memory:").cursor(), "database cursor"),
    "connection of another driver": (lambda _: Connection(), "database connection"),
    "module": (lambda _: sys, "module is code"),
    "function": (lambda _: generator, "Functions and classes are code"),
    "lambda": (lambda _: lambda: 1, "Functions and classes are code"),
    "method": (lambda _: Thing(1).__eq__, "Functions and classes are code"),
    "built-in function": (lambda _: len, "Functions and classes are code"),
    "class": (lambda _: Thing, "Functions and classes are code"),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_content_is_refused_with_the_cure(shelf: Any, tmp_path: Path, name: str) -> None:
    make, cure = REFUSED[name]
    value = make(tmp_path)
    for each in (value, {"a": [value]}):
        with pytest.raises(MaterializerError, match=cure):
            shelf.save(each)
    if hasattr(value, "close") and name != "asynchronous generator":
        value.close()
    if isinstance(value, sqlite3.Cursor):
        value.connection.close()


def test_refusals_are_known_by_class_before_anything_runs() -> None:
    assert refusal(type(generator())) is not None
    assert refusal(asyncio.Future) is not None
    assert refusal(Thing) is None
    assert refusal(dict) is None


def test_what_pickle_refuses_is_refused_with_the_cure_and_leaves_nothing(shelf: Any) -> None:
    for value in (Thing(threading.Lock()), Thing(lambda: 1), queue.Queue()):
        with pytest.raises(MaterializerError, match="leave out what belongs to this process"):
            shelf.save(value)
        assert list((shelf.root / str(shelf.count)).iterdir()) == []


def test_a_pickle_whose_class_is_gone_names_what_it_was_saved_with(shelf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder, saved = shelf.save(Thing(1))
    monkeypatch.delattr(sys.modules[__name__], "Thing")
    with pytest.raises(MaterializerError, match=r"saved with Python 3\.\d+\.\d+.*run its step again"):
        shelf.load(folder, saved)


def test_a_pickle_runs_nothing_when_its_store_is_not_trusted(tmp_path: Path, shelf: Any) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return subprocess.run, (["touch", str(tmp_path / "ran")],)

    import pickle

    folder = tmp_path / "evil"
    folder.mkdir()
    (folder / "value.pkl").write_bytes(pickle.dumps(Evil()))
    (folder / "surroundings.json").write_text('{"python":"3.11.0","main":"x","versions":{}}')
    with pytest.raises(MaterializerError, match="trusted: true"):
        shelf.materializers.load(str(folder), "dovetail.materializers.pickles:PickleMaterializer", "x:X", trusted=False)
    assert not (tmp_path / "ran").exists()
