"""Asks a URL as fast as it answers, and counts what was lost. `Load(url, body).run(seconds)` gives a `Measured`."""

from __future__ import annotations

import json
import selectors
import socket
import statistics
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Measured:
    """`took`: seconds of each answered request. `lost`: requests that were sent and not answered with 200, and why."""

    seconds: float
    took: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    connections: int = 0

    @property
    def rate(self) -> float:
        return len(self.took) / self.seconds

    def percentile(self, percent: int) -> float:
        """In milliseconds."""
        return 1000 * statistics.quantiles(self.took, n=100)[percent - 1]


class Connection:
    def __init__(self, address: tuple[str, int], request: bytes) -> None:
        self.address, self.request = address, request
        self.socket: socket.socket | None = None
        self.read = b""
        self.sent = 0.0

    def ask(self) -> None:
        if self.socket is None:
            self.socket = socket.create_connection(self.address, timeout=30)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.read = b""
        self.sent = time.perf_counter()
        self.socket.sendall(self.request)

    def answer(self) -> tuple[int, bool] | None:
        """The status and whether the connection is closed, once all of it is there. Raises OSError where none comes."""
        assert self.socket is not None
        part = self.socket.recv(1 << 20)
        if not part:
            raise ConnectionError("closed before it answered")
        self.read += part
        head, found, body = self.read.partition(b"\r\n\r\n")
        if not found:
            return None
        lines = head.lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        return (int(lines[0].split()[1]), b"connection: close" in lines) if len(body) >= length else None

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
        self.socket = None


class Load:
    """`connections` clients, each of which asks again once it was answered: on one connection, or each time on a `fresh` one.

    `pause`: seconds that each waits between an answer and the next question, which is when servers like to close connections.
    """

    def __init__(
        self, url: str, body: Any, *, path: str = "/predict", token: str = "", connections: int = 8, fresh: bool = False, pause: float = 0.0
    ) -> None:
        place = urlsplit(url)
        self.address = (place.hostname or "", place.port or 80)
        content = json.dumps(body).encode()
        head = [f"POST {path} HTTP/1.1", f"Host: {place.netloc}", "Content-Type: application/json", f"Content-Length: {len(content)}"]
        head += [f"Authorization: Bearer {token}"] * bool(token) + ["Connection: close"] * fresh
        self.request = "\r\n".join([*head, "", ""]).encode() + content
        self.connections, self.fresh, self.pause = connections, fresh, pause

    def run(self, seconds: float, until: threading.Event | None = None) -> Measured:
        """For so many seconds, or `until` something has happened; requests that are under way then are waited for."""
        began = time.perf_counter()
        measured = Measured(seconds)
        with selectors.DefaultSelector() as waited:
            idle: list[tuple[float, Connection]] = [(0.0, Connection(self.address, self.request)) for _ in range(self.connections)]
            over = False
            while not over or waited.get_map():
                over = over or (time.perf_counter() - began >= seconds if until is None else until.is_set())
                now = time.perf_counter()
                for due, connection in [entry for entry in idle if entry[0] <= now and not over]:
                    idle.remove((due, connection))
                    self._ask(connection, waited, measured, idle)
                for key, _ in waited.select(0.01 if self.pause else 0.5):
                    self._hear(key.data, waited, measured, idle)
        measured.seconds = time.perf_counter() - began
        for _, connection in idle:
            connection.close()
        return measured

    def _ask(self, connection: Connection, waited: selectors.BaseSelector, measured: Measured, idle: list[Any]) -> None:
        try:
            measured.connections += connection.socket is None
            connection.ask()
            assert connection.socket is not None
            waited.register(connection.socket, selectors.EVENT_READ, connection)
        except OSError as error:
            self._lose(connection, error, measured, idle)

    def _hear(self, connection: Connection, waited: selectors.BaseSelector, measured: Measured, idle: list[Any]) -> None:
        assert connection.socket is not None
        try:
            answered = connection.answer()
        except OSError as error:
            waited.unregister(connection.socket)
            return self._lose(connection, error, measured, idle)
        if answered is None:
            return
        status, closed = answered
        now = time.perf_counter()
        waited.unregister(connection.socket)
        if status == 200:
            measured.took.append(now - connection.sent)
        else:
            measured.lost.append(f"status {status}: {connection.read[-200:]!r}")
        if closed or self.fresh:
            connection.close()
        idle.append((now + self.pause, connection))

    def _lose(self, connection: Connection, error: OSError, measured: Measured, idle: list[Any]) -> None:
        measured.lost.append(f"{type(error).__name__}: {error}")
        connection.close()
        idle.append((0.0, connection))


def headed(told: Mapping[str, Measured]) -> list[str]:
    """One line for each, for people."""
    return [f"{name:24} {m.rate:8.0f}/s  p50 {m.percentile(50):6.2f} ms  p99 {m.percentile(99):6.2f} ms  lost {len(m.lost)}" for name, m in told.items()]
