"""What both image builders are configured with alike: the base, and what pip is told in a build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from urllib.parse import urlsplit

from dovetail.components import ImageBuilder, Secret

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "arm": "armv7l", "386": "i686"}
_HELP = "it may hold a user and a password, which stay out of images, their history and logs."


class BuilderOptions(ImageBuilder):
    """Of where distributions come from nothing enters an image or its name."""

    base: str = field(default="python:{python}-slim", metadata={"help": "Image to build from; {python} stands for the version that a step asks for."})
    platform: str | None = field(default=None, metadata={"help": "What images are for, as linux/amd64; the builder's own when not set."})
    build_args: dict[str, str] = field(
        default_factory=dict, metadata={"help": "Build arguments; they may be seen in the image's history, so none is secret."}
    )
    index_url: Secret | None = field(default=None, metadata={"help": f"Where pip finds distributions, in place of PyPI; {_HELP}"})
    extra_index_url: Secret | None = field(default=None, metadata={"help": f"A second index beside the first; {_HELP}"})
    find_links: Secret | None = field(default=None, metadata={"help": f"A page that links to wheels; {_HELP}"})
    trusted_hosts: list[str] = field(default_factory=list, metadata={"help": "Hosts that pip may ask without a valid certificate."})
    no_index: bool = field(default=False, metadata={"help": "Let pip look at find_links alone."})

    def base_image(self, python: str) -> str:
        return self.base.replace("{python}", python)

    def traits(self) -> Mapping[str, str]:
        arguments = {f"build-arg {name}": value for name, value in self.build_args.items()}
        return {**arguments, **({"platform": self.platform} if self.platform else {})}

    def machine(self) -> str:
        """The platform's processor, as Python names it."""
        parts = (self.platform or "").split("/")
        return _MACHINES.get(parts[1], parts[1]) if len(parts) > 1 else super().machine()

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
