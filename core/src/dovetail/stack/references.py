"""References in a configuration: `${VARIABLE}` and `{{ secret.key }}`; and hiding what they led to. `$${` stands for `${`."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from dovetail.components.component import Secret
from dovetail.errors import ConfigurationError, NotFound
from dovetail.values.names import check_name

HIDDEN = "********"
_SHORTEST = 4  # characters; a shorter value is no secret, and hiding it would garble every text
_REFERENCE = re.compile(
    r"(?P<escaped>\$\$\{)|\$\{(?P<variable>[A-Za-z_][A-Za-z0-9_]*)\}|\{\{\s*(?P<secret>[^{}\n]+?)\.(?P<key>[^{}.\s]+)\s*\}\}"
)


def has_reference(value: Any) -> bool:
    """Whether the text, or any text inside the list or mapping, refers to something."""
    if isinstance(value, str):
        return any(match["escaped"] is None for match in _REFERENCE.finditer(value))
    if isinstance(value, Mapping):
        return any(has_reference(item) for item in value.values())
    return isinstance(value, (list, tuple)) and any(has_reference(item) for item in value)


def mentioned(value: Any) -> tuple[set[str], set[tuple[str, str]]]:
    """The variables and the (secret, key) pairs that any text inside the value refers to."""
    if isinstance(value, str):
        found = [match for match in _REFERENCE.finditer(value) if match["escaped"] is None]
        variables = {match["variable"] for match in found if match["variable"] is not None}
        return variables, {(match["secret"].strip(), match["key"]) for match in found if match["variable"] is None}
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    variables, secrets = set(), set()
    for item in items:
        more = mentioned(item)
        variables |= more[0]
        secrets |= more[1]
    return variables, secrets


def secret_reference(name: str, key: str) -> str:
    return f"{{{{ {name}.{key} }}}}"


@dataclass(slots=True)
class References:
    """Resolves references. `secret_of` gives all keys of a secret; `revealed` collects every secret value that was used."""

    environ: Mapping[str, str]
    secret_of: Callable[[str], Mapping[str, Secret]]
    revealed: set[str] = field(default_factory=set)

    def resolve(self, value: Any, where: str) -> Any:
        """The value with each reference replaced. `where`: what the configuration belongs to, for the error."""
        if isinstance(value, str):
            return _REFERENCE.sub(functools.partial(self._replaced, where=where), value)
        if isinstance(value, Mapping):
            return {key: self.resolve(item, where) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.resolve(item, where) for item in value]
        return value

    def _replaced(self, match: re.Match[str], where: str) -> str:
        if match["escaped"]:
            return "${"
        variable = match["variable"]
        if variable is None:
            return self._secret(match["secret"].strip(), match["key"], where)
        if variable not in self.environ:
            raise ConfigurationError(
                f"{where} refers to ${{{variable}}}, which is not set in the environment. Set {variable} before you start."
            )
        return self.environ[variable]

    def _secret(self, name: str, key: str, where: str) -> str:
        values = self.secret_of(check_name("secret", name))
        if key not in values:
            raise NotFound(
                f"key of secret '{name}'", key, values, f"{where} refers to it. Set it by `dovetail secret set {name} {key}=-`."
            )
        value = values[key].reveal()
        self.revealed.add(value)
        return value


def redact(text: str, secrets: Collection[str]) -> str:
    """The text with asterisks in place of each secret value, also as JSON, Python or a URL writes it, and of each line of one.

    Values of fewer than four characters are left: they would be found everywhere.
    """
    pattern = _pattern(frozenset(secrets))
    return pattern.sub(HIDDEN, text) if pattern else text


@functools.lru_cache(maxsize=64)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str] | None:
    values = {secret.reveal() if isinstance(secret, Secret) else secret for secret in secrets}
    values |= {line.strip() for value in values for line in value.splitlines()}
    forms = {form for value in values if len(value) >= _SHORTEST for form in _forms(value)}
    hidden = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, hidden))) if hidden else None


def _forms(value: str) -> set[str]:
    """The ways in which messages write a text."""
    import json
    from urllib.parse import quote, quote_plus

    whole = value.encode("utf-8", "replace")
    return {
        value,
        repr(value)[1:-1],
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        quote(whole),
        quote_plus(whole),
    }
