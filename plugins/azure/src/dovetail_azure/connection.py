"""How an Azure storage account is reached: who asks, where, and requests that are made again where that helps."""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import field
from typing import Any, ClassVar
from urllib.parse import urlsplit

from dovetail.components import Secret
from dovetail.components.component import Component
from dovetail.components.transfers import Denied, ObjectStoreError
from dovetail.errors import ConfigurationError
from dovetail_azure.errors import refused, unasked
from dovetail_azure.identity import VARIABLES, NotSignedIn, Tokens
from dovetail_azure.signing import Bearer, SharedKey, Unsigned

SCOPE = "https://storage.azure.com/.default"
VERSION = "2023-11-03"  # of the service's interface
_ADDRESS = re.compile(r"https?://[\w.\-\[\]:]+(/[\w-]+)?/?", re.ASCII)
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_CONNECTIONS = 64  # kept for threads that ask at one moment
_BRIEF = 2.0  # seconds for a connection while something is only checked
_BRIEF_ANSWER = 4.0  # seconds for an answer then
_BRIEF_IN_ALL = 7.0  # seconds after which nothing is asked again then
_BRIEFLY = 2  # attempts then
_OF_THE_ACCOUNT = ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN")  # as of the az command
_LEAST = 0.5  # seconds that everything is given


class AzureConnection(Component):
    """Without a key credentials come from the surroundings, as for every tool of Azure's, and are renewed before they expire.

    That is AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, as of the command `az`, else an identity.
    """

    credential_variables: ClassVar[tuple[str, ...]] = (*VARIABLES, *_OF_THE_ACCOUNT)

    account: str | None = field(default=None, metadata={"help": "The storage account's name."})
    connection_string: Secret | None = field(default=None, metadata={"help": "The account's connection string, which says the account and its key."})
    account_key: Secret | None = field(default=None, metadata={"help": "A key of the account."})
    sas: Secret | None = field(default=None, metadata={"help": "A shared access signature, as `az storage container generate-sas` gives it."})
    endpoint_url: str | None = field(
        default=None, metadata={"help": "Address of a service that is not Azure's own, as http://127.0.0.1:10000/devstoreaccount1."}
    )
    connect_timeout: float = field(default=5.0, metadata={"help": "Seconds to wait for a connection."})
    read_timeout: float = field(default=30.0, metadata={"help": "Seconds to wait for more of an answer."})
    attempts: int = field(default=4, metadata={"help": "How often a request is made before its failure counts."})

    def __post_init__(self) -> None:
        self._made: dict[tuple[int, str], Any] = {}
        self._locks: dict[int, threading.RLock] = {}
        self._mood = threading.local()
        if self.attempts < 1:
            raise ConfigurationError("`attempts` is the number of times that a request is made. Set it to 1 or more.")
        if sum(bool(way) for way in (self.connection_string, self.account_key, self.sas)) > 1:
            raise ConfigurationError("`connection_string`, `account_key` and `sas` are ways to say who asks. Set one of them.")
        if self.endpoint_url is not None and not _ADDRESS.fullmatch(self.endpoint_url):
            shown = repr(self.endpoint_url) if not set("@?") & set(self.endpoint_url) else "an address with credentials in it"
            raise ConfigurationError(f"`endpoint_url` is {shown}. Write it as https://host, or http://host:port/account.")
        around = _around(self.account) if not (self.connection_string or self.account_key or self.sas) else {}
        said = {**around, **_parsed(self.connection_string)}
        self._account = self.account or said.get("accountname", "")
        suffix = said.get("endpointsuffix", "core.windows.net")
        self._endpoint = (self.endpoint_url or said.get("blobendpoint") or f"https://{self._account}.blob.{suffix}").rstrip("/")
        self._sas = (self.sas.reveal() if self.sas else said.get("sharedaccesssignature", "")).lstrip("?")
        if not self._account and not self._sas:
            raise ConfigurationError("`account` is missing. Set it to the storage account's name, which `az storage account list` shows.")
        self._signer = self._signed(self.account_key.reveal() if self.account_key else said.get("accountkey", ""))

    def _signed(self, key: str) -> Callable[[Any], Any] | None:
        """How requests are signed; None where it takes a token."""
        if self._sas:
            return Unsigned()
        if not key:
            return None
        try:
            return SharedKey(self._account, key)
        except ValueError:
            raise ConfigurationError(
                f"The account's key is not what `az storage account keys list --account-name {self._account}` shows. Copy it whole."
            ) from None

    # -- asking --------------------------------------------------------------------------------------------------------

    def asked(self, method: str, url: str, what: str, *, path: str | None = None, also: int = 0, **options: Any) -> Any:
        """The answer, a `requests.Response` of a status below 300, or of `also`; else an error of `dovetail.components.transfers`.

        `path`: the object, which may be absent. `options`: those of `requests.Session.request`.
        """
        attempts = self.attempts if self._left() is None else min(self.attempts, _BRIEFLY)
        number = 1
        while True:
            try:
                return self._asked_once(method, url, what, path, number > 1, also, options)
            except (ConnectionError, TimeoutError):
                if number >= attempts or (self._left() or 1.0) < 0:
                    raise
            time.sleep(min(0.1 * 2**number, 5.0) * random.uniform(0.5, 1.0))  # noqa: S311  # so that not all come back at one moment
            number += 1

    def _asked_once(self, method: str, url: str, what: str, path: str | None, repeated: bool, also: int, options: dict[str, Any]) -> Any:
        import requests

        target = f"{url}{'&' if '?' in url else '?'}{self._sas}" if self._sas else url
        try:
            answer = self._session().request(method, target, auth=self._auth(what), timeout=self._timeout(), allow_redirects=False, **options)
            if answer.status_code < 300 or answer.status_code == also:
                return answer
            if answer.status_code == 401 and self._signer is None:
                self._tokens().renew()
            with answer:
                raise refused(answer, what, self.place(), path, repeated)
        except requests.exceptions.RequestException as error:
            raise unasked(error, what, repeated) from None

    def place(self) -> dict[str, str]:
        """What cures name."""
        return {"account": self._account or "NAME"}

    def _auth(self, what: str) -> Callable[[Any], Any]:
        if self._signer is not None:
            return self._signer
        parts = urlsplit(self._endpoint)
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ObjectStoreError(f"{what} would send a token over http:// for all to read. Set `endpoint_url` to an https:// address.")
        try:
            token = self._tokens().current()
        except NotSignedIn as error:
            raise Denied(f"{what} takes credentials. {error}") from None
        return Bearer(lambda: token)

    def _tokens(self) -> Tokens:
        tokens: Tokens = self._once("tokens", lambda: Tokens(SCOPE))
        return tokens

    def _session(self) -> Any:
        return self._once("session", _new_session)

    @contextmanager
    def briefly(self) -> Iterator[None]:
        """Inside, on this thread, connections are waited for shortly and little is asked again: for `check`."""
        self._mood.until = time.monotonic() + _BRIEF_IN_ALL
        try:
            yield
        finally:
            self._mood.until = None

    def _left(self) -> float | None:
        """Seconds for which something may still be asked again, where it is only checked."""
        until = getattr(self._mood, "until", None)
        return until - time.monotonic() if until is not None else None

    def _timeout(self) -> tuple[float, float]:
        """Seconds to wait for a connection, and for more of an answer."""
        left = self._left()
        if left is None:
            return self.connect_timeout, self.read_timeout
        return min(self.connect_timeout, _BRIEF, max(left, _LEAST)), min(self.read_timeout, _BRIEF_ANSWER, max(left, _LEAST))

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        """Made once per process: a forked one must not speak through its parent's connections."""
        place = (os.getpid(), name)
        if place not in self._made:
            with self._locks.setdefault(os.getpid(), threading.RLock()):
                if place not in self._made:
                    self._made[place] = make()
        return self._made[place]


def _new_session() -> Any:
    import requests

    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(pool_connections=8, pool_maxsize=_CONNECTIONS))
    session.headers.update({"User-Agent": "dovetail-azure", "x-ms-version": VERSION, "Accept-Encoding": "identity"})
    return session


def _around(account: str | None) -> dict[str, str]:
    """What the variables of the command `az` say of this account, as a connection string would."""
    text, known, key, sas = (os.environ.get(name, "") for name in _OF_THE_ACCOUNT)
    said = _parsed(Secret(text)) if text else {"accountname": known, "accountkey": key, "sharedaccesssignature": sas}
    theirs = said.get("accountname", "")
    return {name: value for name, value in said.items() if value} if not (account and theirs and theirs != account) else {}


def _parsed(connection_string: Secret | None) -> dict[str, str]:
    if connection_string is None:
        return {}
    pairs = [pair.partition("=") for pair in connection_string.reveal().strip().split(";") if pair.strip()]
    found = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if not (found.get("accountname") and found.get("accountkey")) and not found.get("sharedaccesssignature"):
        raise ConfigurationError(
            "`connection_string` says no account and no key. Copy what `az storage account show-connection-string --name ACCOUNT` shows, whole."
        )
    return found
