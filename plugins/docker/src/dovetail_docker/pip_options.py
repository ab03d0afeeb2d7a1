"""What pip is told in a build: indexes, and what it logs in with there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from urllib.parse import urlsplit

from dovetail.components import ImageBuilder, Secret

_HELP = "it may hold a user and a password, which stay out of images, their history and logs."


class PipOptions(ImageBuilder):
    """The part of an image builder that says where distributions come from. None of it enters an image or its name."""

    index_url: Secret | None = field(default=None, metadata={"help": f"Where pip finds distributions, in place of PyPI; {_HELP}"})
    extra_index_url: Secret | None = field(default=None, metadata={"help": f"A second index beside the first; {_HELP}"})
    find_links: Secret | None = field(default=None, metadata={"help": f"A page that links to wheels; {_HELP}"})
    trusted_hosts: list[str] = field(default_factory=list, metadata={"help": "Hosts that pip may ask without a valid certificate."})
    no_index: bool = field(default=False, metadata={"help": "Let pip look at find_links alone."})

    def pip_configuration(self) -> str:
        """The content of a pip.conf; empty where there is nothing to say."""
        said = {name: value.reveal() for name in ("index_url", "extra_index_url", "find_links") if (value := getattr(self, name)) is not None}
        lines = [f"{name.replace('_', '-')} = {value}" for name, value in said.items()]
        if self.trusted_hosts:
            lines.append(f"trusted-host = {' '.join(self.trusted_hosts)}")
        if self.no_index:
            lines.append("no-index = true")
        return "\n".join(["[global]", *lines, ""]) if lines else ""

    def hidden(self) -> Sequence[str]:
        """What no log may show."""
        urls = [value.reveal() for name in ("index_url", "extra_index_url", "find_links") if (value := getattr(self, name)) is not None]
        passwords = [part for url in urls for part in (urlsplit(url).password,) if part]
        return [*urls, *passwords]
