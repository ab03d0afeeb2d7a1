"""Azure Container Registry: who asks is a user with a password, or whoever is signed in to Azure."""

from __future__ import annotations

import base64
import json
import threading
import time
from dataclasses import field
from typing import ClassVar

from dovetail.components import Credentials, Secret
from dovetail.errors import ImageError
from dovetail_azure.identity import VARIABLES, NotSignedIn, Tokens
from dovetail_docker.container_registry import OciRegistry

SCOPE = "https://containerregistry.azure.net/.default"
_NOBODY = "00000000-0000-0000-0000-000000000000"  # the user whose password is a token
_LIFE = 3600.0  # seconds that a token is gone by which does not say how long it is taken; it is for three hours
_MARGIN = 300.0
_SECONDS = (5.0, 20.0)  # for a connection, and for an answer


class AzureRegistry(OciRegistry):
    """Without `username` it is asked in the name of whoever the surroundings say, who needs the roles AcrPull and AcrPush."""

    credential_variables: ClassVar[tuple[str, ...]] = VARIABLES

    uri: str = field(metadata={"help": "Where images go, such as `myregistry.azurecr.io/team`."})
    tenant: str | None = field(default=None, metadata={"help": "The tenant's id, where the registry is in another than who asks."})

    def __post_init__(self) -> None:
        super().__post_init__()
        self._lock = threading.Lock()
        self._tokens = Tokens(SCOPE)
        self._exchanged, self._until = "", 0.0

    def credentials(self) -> Credentials | None:
        given = super().credentials()
        return given if given is not None else Credentials(self.host, _NOBODY, Secret(self._token()))

    def check(self) -> list[str]:
        try:
            self.credentials()
        except ImageError as error:
            return [str(error)]
        return super().check()

    def _basic(self) -> str | None:
        found = self.credentials()
        assert found is not None
        return f"Basic {base64.b64encode(f'{found.username}:{found.password.reveal()}'.encode()).decode()}"

    def _token(self) -> str:
        """One that the registry made of a token of Azure's, and takes in place of a password."""
        with self._lock:
            if time.time() >= self._until:
                self._exchanged = self._exchange()
                self._until = _expiry(self._exchanged) - _MARGIN
            return self._exchanged

    def _exchange(self) -> str:
        import requests

        subject = f"Container registry '{self.name}' at {self.host}"
        try:
            own = self._tokens.current()
        except NotSignedIn as error:
            raise ImageError(f"{subject} takes credentials. {error} Or give it a username and a password.") from None
        asked = {"grant_type": "access_token", "service": self.host, "access_token": own, **({"tenant": self.tenant} if self.tenant else {})}
        try:
            answer = requests.post(f"{self._api()}/oauth2/exchange", data=asked, timeout=_SECONDS, allow_redirects=False)
        except requests.exceptions.RequestException as error:
            cure = "Check its uri, which `az acr list --query [].loginServer` shows, and the network"
            raise ImageError(f"{subject} gave no answer: {' '.join(str(error).split())[:300]}. {cure}.") from None
        if answer.status_code != 200:
            raise ImageError(f"{subject} did not take the token of who is signed in: it answered {answer.status_code}. {self._cure(answer.status_code)}.")
        return str(answer.json()["refresh_token"])

    def _cure(self, status: int) -> str:
        if status not in (400, 401, 403):
            return "Check that its uri names a registry of Azure's, or try again later"
        name = self.host.partition(".")[0]
        return (
            f"Allow it by `az role assignment create --role AcrPush --assignee WHO --scope $(az acr show --name {name} --query id --output tsv)`, "
            "or set `tenant` if the registry is in another"
        )


def _expiry(token: str) -> float:
    """When a token that is a JWT says that it ends."""
    try:
        claims = token.split(".")[1]
        return float(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"])
    except (IndexError, ValueError, KeyError, TypeError):
        return time.time() + _LIFE
