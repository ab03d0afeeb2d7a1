"""Secrets in files that only their owner may read."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import ClassVar, Literal

from dovetail.components import Secret, SecretStore
from dovetail.errors import ConfigurationError, NameRefused, NotFound
from dovetail.values.names import check_name, folded, is_name
from dovetail.values.project import user_folder


class LocalSecretStore(SecretStore):
    """One JSON file for each secret: the folder has mode 0700, a file 0600."""

    confined: ClassVar[Literal["process", "machine"] | None] = "machine"

    path: Path | None = field(
        default=None, metadata={"help": "The folder; by default `secrets` in the user's own Dovetail folder."}
    )

    def __post_init__(self) -> None:
        self._folder = Path(self.path) if self.path else user_folder() / "secrets"

    def get(self, name: str) -> Mapping[str, Secret]:
        try:
            text = self._file(name).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise NotFound("secret", name, self.names(), f"Set it by `dovetail secret set {name} KEY=-`.") from None
        try:
            return {str(key): Secret(value) for key, value in json.loads(text).items()}
        except (ValueError, AttributeError, TypeError):
            # The parser's message would quote the file.
            raise ConfigurationError(f"The file of secret '{name}' is damaged. Delete the secret and set it again.") from None

    def put(self, name: str, values: Mapping[str, str]) -> None:
        for key in values:
            if "." in check_name("secret key", key):
                raise NameRefused(
                    f"The secret key {key!r} holds a dot, which stands between a secret's name and its key. Use '_'."
                )
            if " " in key:
                raise NameRefused(f"The secret key {key!r} holds a space, so no reference could name it. Use '_'.")
        twin = next((other for other in self.names() if other != name and folded(other) == folded(name)), None)
        if twin is not None:
            raise NameRefused(f"There is a secret '{twin}', which differs from '{name}' in case only. Choose another name.")
        kept = {key: value.reveal() for key, value in self.get(name).items()} if self._file(name).exists() else {}
        given = {key: value.reveal() if isinstance(value, Secret) else value for key, value in values.items()}
        self._write(self._file(name), json.dumps({**kept, **given}, ensure_ascii=False, indent=1))

    def names(self) -> Sequence[str]:
        try:
            files = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        return sorted(file[:-5] for file in files if file.endswith(".json") and is_name(file[:-5]))

    def delete(self, name: str) -> None:
        try:
            self._file(name).unlink()
        except FileNotFoundError:
            raise NotFound("secret", name, self.names()) from None

    def check(self) -> list[str]:
        """The folder and its files may be read by their owner alone."""
        files = [self._folder, *(self._file(name) for name in self.names())] if self._folder.exists() else []
        return [
            f"{file} can be read by others (mode {file.stat().st_mode & 0o777:o}). Run `chmod go= {file}`."
            for file in files
            if file.stat().st_mode & 0o077
        ]

    def _file(self, name: str) -> Path:
        return self._folder / f"{check_name('secret', name)}.json"

    def _write(self, file: Path, text: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, aside = tempfile.mkstemp(prefix=".", dir=self._folder)  # made with mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as opened:
                opened.write(text)
            os.replace(aside, file)
        except BaseException:
            os.unlink(aside)
            raise
