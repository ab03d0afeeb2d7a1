"""Access tokens of whoever the surroundings say asks: a role of the machine, a workload's identity, variables, or `az login`."""

from __future__ import annotations

import threading
import time
from typing import Any

from dovetail.errors import DovetailError

SIGN_IN = "Sign in by `az login`, give the machine an identity, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
VARIABLES = (
    "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_AUTHORITY_HOST", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT",
)  # fmt: skip
_MARGIN = 300.0  # seconds before it expires that a token is asked for anew


class NotSignedIn(DovetailError):
    pass


class Tokens:
    """Of one scope, for one process; its threads share them."""

    def __init__(self, scope: str) -> None:
        self._scope = scope
        self._lock = threading.Lock()
        self._token, self._until = "", 0.0
        self._credential: Any = None

    def current(self) -> str:
        """One that is still taken. Raises NotSignedIn with the cure."""
        with self._lock:
            if time.time() >= self._until:
                asked = time.time()
                found = self._asked()
                self._token, life = found.token, found.expires_on - asked
                self._until = found.expires_on - min(_MARGIN, 0.3 * life)
            return self._token

    def renew(self) -> None:
        """The service does not take the last one any more."""
        with self._lock:
            self._until = 0.0

    def _asked(self) -> Any:
        import logging

        from azure.core.exceptions import ClientAuthenticationError
        from azure.identity import DefaultAzureCredential

        try:
            if self._credential is None:
                logging.getLogger("azure").addHandler(logging.NullHandler())  # else it would print all that it tried
                self._credential = DefaultAzureCredential(exclude_interactive_browser_credential=True, connection_timeout=3, retry_total=1)
            return self._credential.get_token(self._scope)
        except (ClientAuthenticationError, ValueError) as error:
            said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__).rstrip(".")
            raise NotSignedIn(f"Nobody is signed in to Azure: {said}. {SIGN_IN}.") from None
