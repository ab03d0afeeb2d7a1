"""Container registries, by the HTTP API that all of them speak (OCI distribution, `/v2/`)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from dovetail.components import ContainerRegistry, Credentials, Secret
from dovetail.errors import ImageError
from dovetail_docker.places import is_loopback

if TYPE_CHECKING:
    from email.message import Message

_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
_SECONDS = 20.0


class OciRegistry(ContainerRegistry):
    """Any registry of the OCI distribution API: Harbor, GHCR, GitLab, Artifactory, `docker-registry`, …"""

    username: str | None = field(default=None, metadata={"help": "Who logs in; nobody when not set."})
    password: Secret | None = field(default=None, metadata={"help": "The user's password or access token."})
    insecure: bool = field(default=False, metadata={"help": "Speak HTTP instead of HTTPS; with a registry on this machine that is the default."})

    def __post_init__(self) -> None:
        if "://" in self.uri or "@" in self.uri or not re.fullmatch(r"[\w.-]+(:\d+)?|\[[0-9a-fA-F:]+\](:\d+)?", self.host):
            raise ValueError(f"uri {self.uri!r} is a host with a folder, such as registry.example.com/team, without https:// and without a user")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password are given both or neither")

    @property
    def host(self) -> str:
        return self.uri.partition("/")[0]

    def credentials(self) -> Credentials | None:
        if self.username is None or self.password is None:
            return None
        return Credentials(self.host, self.username, self.password)

    def find(self, reference: str) -> str | None:
        repository, tag = self._parts(reference)
        status, headers = self._asked(f"/v2/{repository}/manifests/{tag}", repository)
        if status == 404:
            return None
        if status != 200:
            raise ImageError(self._refused(f"could not say whether it has {reference}", status))
        return str(headers.get("Docker-Content-Digest") or "") or None

    def check(self) -> list[str]:
        try:
            status, _ = self._asked("/v2/", "")
        except ImageError as error:
            return [str(error)]
        return [] if status == 200 else [self._refused("cannot be used", status)]

    def _parts(self, reference: str) -> tuple[str, str]:
        """(repository as the API names it, tag or digest) of a reference into this registry."""
        if not reference.startswith(f"{self.host}/"):
            raise ImageError(f"Image {reference} is not in container registry '{self.name}', whose images begin with {self.host}/.")
        path = reference[len(self.host) + 1 :]
        for mark in ("@", ":"):
            if mark in path.rpartition("/")[2]:
                repository, _, tag = path.rpartition(mark) if mark == ":" else path.partition(mark)
                return repository, tag
        return path, "latest"

    def _api(self) -> str:
        return f"{'http' if self.insecure or is_loopback(self.host) else 'https'}://{self.host}"

    def _asked(self, path: str, repository: str) -> tuple[int, Message]:
        """Status and headers of a HEAD request; logs in as the registry asks for."""
        url = f"{self._api()}{path}"
        status, headers = self._request("HEAD", url, {"Accept": _MANIFESTS})[:2]
        if status == 401:
            login = self._login(headers.get("WWW-Authenticate", ""), repository)
            if login is not None:
                status, headers = self._request("HEAD", url, {"Accept": _MANIFESTS, "Authorization": login})[:2]
        return status, headers

    def _login(self, challenge: str, repository: str) -> str | None:
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic":
            return self._basic()
        asked = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        realm = urlsplit(asked.get("realm", ""))
        if kind.lower() != "bearer" or realm.scheme not in ("http", "https"):
            return None
        if realm.scheme == "http" and not (self.insecure or is_loopback(realm.netloc)):
            raise ImageError(
                f"Container registry '{self.name}' asks to log in at {realm.netloc} over HTTP, where a password could be read on its way. "
                "Set `insecure: true` if that network is yours."
            )
        wanted = {"service": asked["service"]} if "service" in asked else {}
        scope = asked.get("scope") or (f"repository:{repository}:pull" if repository else "")
        question = urlencode({**wanted, **({"scope": scope} if scope else {})})
        basic = self._basic()
        status, _, body = self._request("GET", f"{asked['realm']}?{question}", {"Authorization": basic} if basic else {})
        if status != 200:
            raise ImageError(self._refused(f"did not log in {self.username or 'without a user'} at {realm.netloc}", status))
        answer = json.loads(body)
        return f"Bearer {answer.get('token') or answer.get('access_token')}"

    def _basic(self) -> str | None:
        if self.username is None or self.password is None:
            return None
        return f"Basic {base64.b64encode(f'{self.username}:{self.password.reveal()}'.encode()).decode()}"

    def _request(self, method: str, url: str, headers: Mapping[str, str]) -> tuple[int, Message, bytes]:
        from http.client import HTTPException
        from urllib.error import HTTPError
        from urllib.request import Request

        asked = Request(url, headers={"User-Agent": "dovetail", **headers}, method=method)  # noqa: S310  # http or https, as checked
        failure: str
        try:
            with _opener(urlsplit(url).hostname or "").open(asked, timeout=_SECONDS) as response:
                return response.status, response.headers, response.read(1 << 20)
        except HTTPError as error:
            with error:
                return error.code, error.headers, b""
        except TimeoutError:
            failure = f"nothing within {_SECONDS:g} s"
        except (OSError, HTTPException) as error:
            failure = str(getattr(error, "reason", error)) or type(error).__name__
        raise ImageError(
            f"Container registry '{self.name}' at {self.host} gave no answer: {failure}. Check its uri and the network; set `insecure: true` if it speaks HTTP."
        )

    def _refused(self, what: str, status: int) -> str:
        subject = f"Container registry '{self.name}' at {self.host} {what}: it answered {status}"
        if status in (401, 403):
            cure = "Check username and password" if self.username else "Give it a username and a password"
            return f"{subject}. {cure}: `dovetail container-registry update {self.name or 'NAME'} --username=… --password=…`."
        return f"{subject}. Check that its uri names a container registry, or try again later."


class DockerHubRegistry(OciRegistry):
    """Docker Hub: `uri` is `docker.io/` and your user or organisation."""

    uri: str = field(default="docker.io", metadata={"help": "`docker.io/` and the user or organisation whose images they are."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch(r"docker\.io/[a-z0-9_-]+", self.uri):
            raise ValueError(f"uri {self.uri!r} names no user or organisation of Docker Hub; write docker.io/NAME")

    def _api(self) -> str:
        return "https://registry-1.docker.io"

    def credentials(self) -> Credentials | None:
        found = super().credentials()
        return Credentials("https://index.docker.io/v1/", found.username, found.password) if found else None


def _opener(host: str) -> Any:
    """Asks proxies as the environment says, but for this machine; certificates are checked, and no redirect takes a password elsewhere."""
    from urllib import request

    class Stay(request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    return request.build_opener(request.ProxyHandler({} if is_loopback(host) else None), Stay)
