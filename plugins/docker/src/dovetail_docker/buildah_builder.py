"""Images built by buildah, a program that needs neither a daemon nor, with `chroot` isolation, the right to make containers."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Literal

from dovetail.components import ContainerRegistry, Credentials
from dovetail.errors import ImageError
from dovetail_docker.builder_options import BuilderOptions
from dovetail_docker.image_builder import LIST_VERSIONS, listed_versions
from dovetail_docker.places import is_loopback

_SECRET = "/run/secrets/pip.conf"  # noqa: S105  # where a file lies while pip runs; no layer holds it


class BuildahImageBuilder(BuilderOptions):
    """Builds, keeps and pushes images by the command `buildah` on this machine."""

    base: str = field(
        default="docker.io/library/python:{python}-slim",
        metadata={"help": "Image to build from; {python} stands for the version that a step asks for."},
    )
    isolation: Literal["oci", "rootless", "chroot"] = field(
        default="chroot", metadata={"help": "How instructions are kept apart from this machine; chroot works inside containers too."}
    )
    storage: Path | None = field(default=None, metadata={"help": "Folder for images; buildah's own when not set."})
    program: str = field(default="buildah", metadata={"help": "The command, or its path."})

    def reference(self, repository: str, tag: str) -> str:
        return f"localhost/{repository}:{tag}"

    def install(self, arguments: Sequence[str]) -> str:
        plain = shlex.join(["python", "-m", "pip", "install", *arguments])
        if not self.pip_configuration():
            return f"RUN {plain}"
        return f"RUN --mount=type=secret,id=pip,target={_SECRET} PIP_CONFIG_FILE={_SECRET} {plain}"

    def find(self, reference: str) -> bool:
        return self._id(reference) is not None

    def build(self, context: Path, reference: str) -> None:
        dockerfile = (context / "Dockerfile").read_text(encoding="utf-8")
        arguments = [f"--build-arg={name}={value}" for name, value in self.build_args.items()]
        arguments += [f"--platform={self.platform}"] if self.platform else []
        first = dockerfile.split()[1]
        arguments += ["--tls-verify=false"] if is_loopback(first.partition("/")[0]) else []
        with _file_with(self.pip_configuration()) as secret:
            arguments += [f"--secret=id=pip,src={secret}"] if self.pip_configuration() else []
            done = self._run(
                "bud", "--layers", "--force-rm", f"--isolation={self.isolation}", *arguments, "--file", str(context / "Dockerfile"), "--tag", reference,
                str(context),
            )  # fmt: skip
        if done.returncode:
            said = f"{done.stdout}\n{done.stderr}"
            steps = re.findall(r"^STEP (\d+)/\d+:", said, re.MULTILINE)
            raise self.failed(reference, said, dockerfile, int(steps[-1]) if steps else None, self.hidden())

    def push(self, reference: str, registry: ContainerRegistry) -> None:
        host = reference.partition("/")[0]
        plain = is_loopback(host) or bool(getattr(registry, "insecure", False))
        with _file_with(_login(registry.credentials())) as login:
            done = self._run("push", "--quiet", f"--tls-verify={str(not plain).lower()}", f"--authfile={login}", reference, f"docker://{reference}")
        if done.returncode:
            raise ImageError(
                f"Image {reference} could not be pushed to container registry '{registry.name}': {_last(done)}. "
                "Check its uri, and that its user may write there."
            )

    def versions_in(self, reference: str) -> Mapping[str, str] | None:
        """Asked of a container of the image, once per image; None where buildah does not hold it."""
        found = self._id(reference)
        if found is None:
            return None
        known: dict[str, Mapping[str, str]] = self.__dict__.setdefault("_versions", {})
        if found not in known:
            made = self._run("from", "--pull-never", found)
            container = made.stdout.strip()
            try:
                done = self._run("run", f"--isolation={self.isolation}", container, "--", "python", "-c", LIST_VERSIONS)
            finally:
                self._run("rm", container)
            if made.returncode or done.returncode:
                raise ImageError(f"Image {reference} has no `python` that starts: {_last(done)}. Steps need one on its PATH.")
            known[found] = listed_versions(done.stdout)
        return known[found]

    def check(self) -> list[str]:
        try:
            done = self._run("images", "--quiet")
        except ImageError as error:
            return [str(error)]
        return [f"Image builder '{self.name}' cannot build: {_last(done)}. See `buildah info`."] if done.returncode else []

    def _id(self, reference: str) -> str | None:
        done = self._run("images", "--no-trunc", "--format={{.ID}}", "--filter", f"reference={reference}")
        if done.returncode:
            raise ImageError(f"Image builder '{self.name}' cannot tell whether there is an image {reference}: {_last(done)}. See `buildah info`.")
        return done.stdout.split()[0] if done.stdout.split() else None

    def _run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        program = shutil.which(self.program)
        if program is None:
            raise ImageError(f"Image builder '{self.name}' needs the program '{self.program}', which is not on the PATH. Install buildah.")
        storage = ["--root", str(self.storage / "images"), "--runroot", str(self.storage / "run")] if self.storage is not None else []
        return subprocess.run([program, *storage, command, *arguments], capture_output=True, text=True, check=False, errors="replace")


@contextlib.contextmanager
def _file_with(text: str) -> Iterator[Path]:
    """A file that only this user may read, while it is needed."""
    with tempfile.TemporaryDirectory(prefix="dovetail-") as folder:
        file = Path(folder) / "content"
        with open(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as opened:
            opened.write(text)
        yield file


def _login(credentials: Credentials | None) -> str:
    if credentials is None:
        return json.dumps({"auths": {}})
    both = f"{credentials.username}:{credentials.password.reveal()}"
    return json.dumps({"auths": {credentials.server: {"auth": base64.b64encode(both.encode()).decode()}}})


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"
