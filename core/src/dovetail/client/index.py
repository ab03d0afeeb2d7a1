"""A cache of the ledger in SQLite, filled by whoever queries. It may be deleted at any moment; losing it loses nothing."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from dovetail.errors import Corrupt
from dovetail.ledger import layout
from dovetail.ledger.ledger import Ledger
from dovetail.ledger.runs import days
from dovetail.ledger.shapes import odd_field
from dovetail.values.project import cache_folder

_SCHEMA = """
create table if not exists runs (store text, id text, name text, pipeline text, status text, record text, primary key (store, id));
create index if not exists runs_by_name on runs (store, name);
create table if not exists outputs (store text, run text, step text, output text, artifact text, version integer, digest text);
create index if not exists outputs_by_digest on outputs (store, digest);
create index if not exists outputs_by_artifact on outputs (store, artifact, version);
create table if not exists inputs (store text, run text, step text, parameter text, digest text);
create index if not exists inputs_by_digest on inputs (store, digest);
create table if not exists days (store text, day text, ids text, primary key (store, day));
create table if not exists changes (store text, path text, record text, primary key (store, path));
"""
_VERSION = 1
_RELISTED = 2  # days, counted back from today, whose runs are listed anew at every query


class Index:
    """The index of one store. `read_run` gives a run's last record, or None while it goes on. Raises Corrupt for a record that is none."""

    def __init__(self, ledger: Ledger, read_run: Callable[[str], Mapping[str, Any] | None]) -> None:
        self._ledger = ledger
        self._read_run = read_run
        self._store = ledger.store_id or ""
        self._path = cache_folder() / "index.sqlite"
        self._use(_open(self._path))

    def close(self) -> None:
        self._closing()

    def _use(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._closing = weakref.finalize(self, database.close)

    def _ask(self, query: str, *parameters: str) -> list[tuple[Any, ...]]:
        """Rows; none from an index that was deleted or damaged meanwhile, in whose place an empty one is then used."""
        try:
            return list(self._database.execute(query, parameters))
        except sqlite3.DatabaseError as error:
            self._lose(error)
            return []

    def _ask_filled(self, query: str, *parameters: str) -> list[tuple[Any, ...]]:
        """Rows of what was taken in, which is taken in again if the index had to be given up."""
        asked, rows = self._database, self._ask(query, *parameters)
        if self._database is asked:
            return rows
        self.fill()
        return self._ask(query, *parameters)

    def _lose(self, error: sqlite3.DatabaseError) -> None:
        """Go on with an index of this process alone; one that is damaged makes room for a new one."""
        self._closing()
        if not isinstance(error, sqlite3.OperationalError):
            _delete(self._path)
        self._use(_connected(":memory:"))

    def forget(self) -> None:
        """Drop all rows of this store; the next query fills them again."""
        for table in ("runs", "outputs", "inputs", "days", "changes"):
            self._database.execute(f"delete from {table} where store = ?", (self._store,))  # noqa: S608  # fixed names
        self._database.commit()

    def run_ids(self, since: datetime | None = None) -> Iterator[str]:
        """Ids of all runs that are there, newest first, listed only as far as the caller asks."""
        first = layout.first_id_of(since) if since is not None else ""
        first_day = since.astimezone(timezone.utc).strftime("%Y-%m-%d") if since is not None else ""
        deleted = self._deleted()
        for day in days(self._ledger.records):
            if day < first_day:
                return
            for run_id in self._ids_of(day):
                if run_id >= first and run_id not in deleted:
                    yield run_id

    def record(self, run_id: str) -> Mapping[str, Any] | None:
        """A finished run's last record; None while it goes on."""
        for row in self._ask("select record from runs where store = ? and id = ?", self._store, run_id):
            found: Mapping[str, Any] = json.loads(row[0])
            return found
        record = self._read(run_id)
        if record is not None:
            self._add(run_id, record)
        return record

    def _read(self, run_id: str) -> Mapping[str, Any] | None:
        path = f"{layout.run(run_id)}/finished.json"
        try:
            record = self._read_run(run_id)
            odd = odd_field(path, record) if record is not None else None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            odd = repr(error)
        if odd is not None:
            raise Corrupt(f"The records of run {run_id} are not what was written: {odd}. `dovetail store verify --repair` moves them aside.")
        return record

    def fill(self) -> None:
        """Take in every run that is there."""
        filling = None
        while filling is not self._database:  # again, if the index had to be given up meanwhile
            filling = self._database
            for run_id in self.run_ids():
                with contextlib.suppress(Corrupt):
                    self.record(run_id)

    def named(self, name: str) -> list[str]:
        """Finished runs of that name, newest first, among those taken in so far."""
        query = "select id from runs where store = ? and name = ? order by id desc"
        return [row[0] for row in self._ask_filled(query, self._store, name)]

    def producers(self, digest: str) -> list[tuple[str, str, str]]:
        """(run, step, output) of every step run that gave an artifact; oldest first."""
        query = "select run, step, output from outputs where store = ? and digest = ? order by run"
        return self._of_kept_runs(query, digest)

    def consumers(self, digest: str) -> list[tuple[str, str, str]]:
        """(run, step, parameter) of every step run that took an artifact; oldest first."""
        query = "select run, step, parameter from inputs where store = ? and digest = ? order by run"
        return self._of_kept_runs(query, digest)

    def _of_kept_runs(self, query: str, digest: str) -> list[tuple[str, str, str]]:
        rows = self._ask_filled(query, self._store, digest)
        deleted = self._deleted()
        return [(run, step, name) for run, step, name in rows if run not in deleted]

    def forget_run(self, run_id: str) -> None:
        """Drop a run that was deleted. Where nobody heard of that, its rows stay, and lists pass them over."""
        for table, column in (("runs", "id"), ("outputs", "run"), ("inputs", "run")):
            self._write(f"delete from {table} where store = ? and {column} = ?", [(self._store, run_id)])  # noqa: S608  # fixed names

    def changes(self, kind: str, name: str) -> list[dict[str, Any]]:
        """What was said later of an object, in order."""
        return [change for change in self._changes() if change.get(kind) == name]

    def _ids_of(self, day: str) -> Iterable[str]:
        oldest = (datetime.now(timezone.utc) - timedelta(days=_RELISTED)).strftime("%Y-%m-%d")
        if day > oldest:
            return self._ledger.runs_of(day)
        for row in self._ask("select ids from days where store = ? and day = ?", self._store, day):
            kept: list[str] = json.loads(row[0])
            return kept
        ids = list(self._ledger.runs_of(day))
        self._write("insert or replace into days values (?, ?, ?)", [(self._store, day, json.dumps(ids))])
        return ids

    def _deleted(self) -> set[str]:
        return {change["run"] for change in self._changes() if change.get("delete") and "run" in change}

    def _changes(self) -> list[dict[str, Any]]:
        known: dict[str, str] = dict(self._ask("select path, record from changes where store = ?", self._store))
        for folder in self._ledger.store.scan("changes"):
            for entry in self._ledger.store.scan(f"changes/{folder.name}"):
                path = f"changes/{folder.name}/{entry.name}"
                record = self._change(path) if path not in known else None
                if record is not None:
                    known[path] = json.dumps(record)
                    self._write("insert or ignore into changes values (?, ?, ?)", [(self._store, path, known[path])])
        return [json.loads(known[path]) for path in sorted(known)]

    def _change(self, path: str) -> dict[str, Any] | None:
        """One that cannot be read says nothing, and hides no other."""
        try:
            return self._ledger.records.find(path)
        except Corrupt:
            return None

    def _add(self, run_id: str, record: Mapping[str, Any]) -> None:
        text = json.dumps(record)
        outputs, inputs = [], []
        for step, found in record["steps"].items():
            for name, output in found.get("outputs", {}).items():
                outputs.append((self._store, run_id, step, name, output.get("artifact"), output.get("version"), output["digest"]))
            for parameter, digests in found.get("inputs", {}).items():
                inputs += [(self._store, run_id, step, parameter, digest) for digest in digests]
        row = (self._store, run_id, record["name"], record["pipeline"], record["status"], text)
        self._writing(lambda: self._add_rows(row, outputs, inputs))

    def _add_rows(self, row: tuple[Any, ...], outputs: list[tuple[Any, ...]], inputs: list[tuple[Any, ...]]) -> None:
        if self._database.execute("insert or ignore into runs values (?, ?, ?, ?, ?, ?)", row).rowcount:
            self._database.executemany("insert into outputs values (?, ?, ?, ?, ?, ?, ?)", outputs)
            self._database.executemany("insert into inputs values (?, ?, ?, ?, ?)", inputs)

    def _write(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        self._writing(lambda: self._database.executemany(statement, rows))

    def _writing(self, write: Callable[[], object]) -> None:
        try:
            with self._database:
                write()
        except sqlite3.DatabaseError as error:  # held by another reader for long, deleted, damaged or read-only
            self._lose(error)
            with self._database:
                write()


def _open(path: Path) -> sqlite3.Connection:
    """The database, made anew when it is damaged or of another version; in memory where no file can be."""
    for attempt in (1, 2):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return _connected(str(path))
        except (sqlite3.DatabaseError, OSError):
            if attempt == 1:
                _delete(path)
    return _connected(":memory:")


def _delete(path: Path) -> None:
    for place in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with contextlib.suppress(OSError):
            place.unlink(missing_ok=True)


def _connected(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=10.0, check_same_thread=False)
    try:
        _prepare(database)
    except sqlite3.DatabaseError:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection) -> None:
    if database.execute("pragma user_version").fetchone()[0] not in (0, _VERSION):
        raise sqlite3.DatabaseError("an index of another version")
    if not database.execute("select 1 from sqlite_master where name = 'changes'").fetchone():
        database.executescript(_SCHEMA)
        database.execute(f"pragma user_version = {_VERSION}")
    database.execute("pragma synchronous = off")
