"""How Google Cloud is reached: what every component of this plugin is configured with alike, its credentials and its requests."""

from __future__ import annotations

import json
import os
import random
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from typing import Any, ClassVar

from dovetail.components import Secret
from dovetail.components.component import Component
from dovetail.errors import ConfigurationError
from dovetail_gcp.errors import GoogleError, Kind, refused, unasked

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_ADDRESS = re.compile(r"https?://[\w.\-\[\]:]+(/|$)", re.ASCII)
_CONNECTIONS = 64  # kept for threads that ask at one moment
_BRIEF = 2.0  # seconds for a connection while something is only checked
_BRIEF_ANSWER = 4.0  # seconds for an answer then
_BRIEF_IN_ALL = 7.0  # seconds after which nothing is asked again then
_BRIEFLY = 2  # attempts then
_LEAST = 0.5  # seconds that everything is given


class GcpConnection(Component):
    """Without `key` credentials come from the surroundings, as for every tool of Google's, and are renewed before they expire."""

    credential_variables: ClassVar[tuple[str, ...]] = ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CONFIG", "GOOGLE_API_CERTIFICATE_CONFIG")

    project: str | None = field(default=None, metadata={"help": "The project's id; by default that of the credentials, or GOOGLE_CLOUD_PROJECT."})
    location: str | None = field(default=None, metadata={"help": "The region, such as europe-west4."})
    key: Secret | None = field(
        default=None, metadata={"help": "A service account's key, the JSON text of its file; without it the default chain of credentials."}
    )
    impersonate: str | None = field(default=None, metadata={"help": "Email of a service account to act as; the credentials may make its tokens."})
    endpoint_url: str | None = field(
        default=None, metadata={"help": "Address of a service that is not Google's own. Over http:// nobody signs in unless `key` is set."}
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
        if self.endpoint_url is not None and not _ADDRESS.match(self.endpoint_url):
            raise ConfigurationError(f"`endpoint_url` is {shown(self.endpoint_url)}. Write it as http://host:port or https://host.")

    # -- who asks ------------------------------------------------------------------------------------------------------

    def google_credentials(self) -> Any:
        """This process's credentials, a `google.auth.credentials.Credentials`; None where nobody signs in. Raises GoogleError with the cure."""
        return self._once("credentials", self._found)[0]

    def project_id(self) -> str:
        """`project`, or that of the surroundings. Raises ConfigurationError with the cure where neither says one."""
        found = self.project or os.environ.get("GOOGLE_CLOUD_PROJECT") or self._once("credentials", self._found)[1]
        if not found:
            raise ConfigurationError(f"{self.component_type} '{self.name}' knows no project. Set `project`, or `gcloud config set project ID`.")
        return str(found)

    def _found(self) -> tuple[Any, str | None]:
        from google.auth import exceptions

        try:
            credentials, project = self._own() if self.key is not None else self._surrounding()
            if credentials is not None and self.impersonate is not None:
                from google.auth import impersonated_credentials

                credentials = impersonated_credentials.Credentials(credentials, self.impersonate, [SCOPE])  # type: ignore[no-untyped-call]
        except exceptions.GoogleAuthError as error:
            raise unasked(error, self._subject(), repeated=False) from None
        return credentials, project

    def _own(self) -> tuple[Any, str | None]:
        from google.oauth2 import service_account

        assert self.key is not None
        try:
            told = json.loads(self.key.reveal())
            credentials = service_account.Credentials.from_service_account_info(told, scopes=[SCOPE])  # type: ignore[no-untyped-call]
        except (ValueError, TypeError, KeyError, AttributeError):  # said without what they say, which may hold the key
            cure = "Set it to the JSON text of the file that `gcloud iam service-accounts keys create FILE --iam-account=EMAIL` writes"
            raise GoogleError(f"{self._subject()}: `key` is no service account's key. {cure}.", Kind.DENIED) from None
        return credentials, told.get("project_id")

    def _surrounding(self) -> tuple[Any, str | None]:
        if (self.endpoint() or "").startswith("http://"):
            return None, None
        import google.auth

        credentials, project = google.auth.default(scopes=[SCOPE], request=self._signing_in())
        return credentials, project

    def endpoint(self) -> str | None:
        """The address of a service that is not Google's own. Override it where the surroundings may say one."""
        return self.endpoint_url

    def _signing_in(self) -> Any:
        """How credentials are asked for, by google-auth, which would wait two minutes for a connection."""
        from google.auth.transport.requests import Request

        request = Request()

        def ask(url: str, method: str = "GET", body: Any = None, headers: Any = None, timeout: Any = None, **options: Any) -> Any:
            connect, read = self._timeout()
            wanted = timeout[1] if isinstance(timeout, tuple) else timeout  # a session hands on what its own request was given
            return request(url, method, body, headers, (connect, min(wanted or read, read)), **options)

        return ask

    def _timeout(self) -> tuple[float, float]:
        """Seconds to wait for a connection, and for more of an answer."""
        left = self._left()
        if left is None:
            return self.connect_timeout, self.read_timeout
        return min(self.connect_timeout, _BRIEF, max(left, _LEAST)), min(self.read_timeout, _BRIEF_ANSWER, max(left, _LEAST))

    def _left(self) -> float | None:
        """Seconds for which something may still be asked again, where it is only checked."""
        until = getattr(self._mood, "until", None)
        return until - time.monotonic() if until is not None else None

    # -- asking --------------------------------------------------------------------------------------------------------

    def session(self) -> Any:
        """This process's `requests.Session`, which its threads share; signs what it sends, and signs in again when the service asks for it."""
        return self._once("session", self._make_session)

    def _make_session(self) -> Any:
        import requests
        from google.auth.transport.requests import AuthorizedSession

        credentials = self.google_credentials()
        session = requests.Session() if credentials is None else AuthorizedSession(credentials, auth_request=self._signing_in())  # type: ignore[no-untyped-call]
        for scheme in ("http://", "https://"):
            session.mount(scheme, requests.adapters.HTTPAdapter(pool_connections=8, pool_maxsize=_CONNECTIONS))
        session.headers["User-Agent"] = "dovetail-gcp"
        return session

    def asked(
        self, method: str, url: str, what: str, *, cures: Mapping[Any, str] | None = None, again: bool = True, **options: Any
    ) -> Any:
        """The answer, a `requests.Response` of a status below 400; else GoogleError. `what`: the sentence's subject, such as "Bucket 'b'".

        `again`: asking twice does no harm, so what got lost is asked again; what was refused as too much is asked again always.
        `options`: those of `requests.Session.request`. `cures`: what to say, by status or by the service's word.
        """
        attempts = self.attempts if self._left() is None else min(self.attempts, _BRIEFLY)
        number = 1
        while True:
            try:
                return self.asked_once(method, url, what, cures=cures, repeated=number > 1, **options)
            except GoogleError as failure:
                if number >= attempts or (self._left() or 1.0) < 0 or not failure.is_passing or (failure.may_be_done and not again):
                    raise
            self.pause(number)
            number += 1

    def pause(self, number: int) -> None:
        """Before something is asked for the next time, after `number` times."""
        time.sleep(min(0.1 * 2**number, 5.0) * random.uniform(0.5, 1.0))  # noqa: S311  # so that not all come back at one moment

    def asked_once(
        self, method: str, url: str, what: str, *, cures: Mapping[Any, str] | None = None, repeated: bool = False, **options: Any
    ) -> Any:
        """As `asked`, whatever comes of it the first time. `repeated`: it is not the first time."""
        import requests
        from google.auth import exceptions

        try:
            answer = self.session().request(method, url, **{"timeout": self._timeout(), **options})
            if answer.status_code < 400:
                return answer
            with answer:
                raise refused(answer, what, cures or {}, repeated)
        except (requests.exceptions.RequestException, exceptions.GoogleAuthError) as error:
            raise unasked(error, what, repeated) from None

    @contextmanager
    def briefly(self) -> Iterator[None]:
        """Inside, on this thread, connections are waited for shortly and little is asked again: for `check`."""
        self._mood.until = time.monotonic() + _BRIEF_IN_ALL
        try:
            yield
        finally:
            self._mood.until = None

    def _subject(self) -> str:
        return f"{self.component_type.replace('_', ' ').capitalize()} '{self.name or self.flavor}'"

    def _once(self, name: str, make: Any) -> Any:
        """Made once per process: a forked one must not speak through its parent's connections."""
        place = (os.getpid(), name)
        if place not in self._made:
            with self._locks.setdefault(os.getpid(), threading.RLock()):
                if place not in self._made:
                    self._made[place] = make()
        return self._made[place]


def shown(address: str) -> str:
    """For a message: an address in which somebody wrote credentials is not repeated."""
    return repr(address) if "@" not in address else "an address with credentials in it, which belong into `key`"
