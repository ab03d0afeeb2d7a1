"""A right container registry keeps the contract, and each wrong one is caught by the promise that it breaks."""

from __future__ import annotations

import hashlib
import inspect
from typing import Any, ClassVar

import pytest

from dovetail.components import ContainerRegistry, Credentials, Secret
from dovetail.errors import ImageError
from dovetail.testing import ContainerRegistryContract

_KEPT: dict[str, dict[str, str]] = {}
_REPOSITORY = "contract-00000000"


class Right(ContainerRegistry):
    """Keeps digests in this process, by uri."""

    password: Secret = Secret("hunter22")

    @property
    def kept(self) -> dict[str, str]:
        return _KEPT.setdefault(self.uri, {})

    def find(self, reference: str) -> str | None:
        if self.uri.startswith("away"):
            raise ImageError("There is no registry there.")
        return self.kept.get(reference)

    def credentials(self) -> Credentials | None:
        return Credentials(self.uri.partition("/")[0], "me", self.password)

    def check(self) -> list[str]:
        return ["There is no registry there."] if self.uri.startswith("away") else []


def put_into(registry: Any) -> Any:
    def put(reference: str) -> str:
        digest = f"sha256:{hashlib.sha256(reference.encode()).hexdigest()}"
        _KEPT.setdefault(registry.uri, {})[reference] = digest
        return digest

    return put


class TestRight(ContainerRegistryContract):
    @pytest.fixture
    def container_registry(self, tmp_path: Any) -> Right:
        return Right(uri=f"registry.example.com/{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:8]}")

    @pytest.fixture
    def unreachable(self) -> Right:
        return Right(uri="away.example.com")

    @pytest.fixture
    def put(self, container_registry: Right) -> Any:
        return put_into(container_registry)


class Schemed(Right):
    """Names images by a URL, which no tool takes."""

    caught_by: ClassVar = "test_a_reference_is_one_that_every_tool_understands"

    def reference(self, repository: str, tag: str) -> str:
        return f"https://{super().reference(repository, tag)}"


class OnTheHub(Right):
    """Leaves the host out."""

    caught_by: ClassVar = "test_a_reference_is_one_that_every_tool_understands"

    def reference(self, repository: str, tag: str) -> str:
        return f"team/{repository}:{tag}"


class Forgetful(Right):
    """Knows one tag of each image."""

    caught_by: ClassVar = "test_another_image_has_another_reference"

    def reference(self, repository: str, tag: str) -> str:
        return super().reference(repository, "latest")


class Hopeful(Right):
    """Takes what it does not know for there."""

    caught_by: ClassVar = "test_what_nobody_pushed_is_not_there"

    def find(self, reference: str) -> str | None:
        return super().find(reference) or "sha256:0"


class Renaming(Right):
    """Answers with the reference in place of the digest."""

    caught_by: ClassVar = "test_what_was_pushed_is_found_by_its_digest"

    def find(self, reference: str) -> str | None:
        return reference if super().find(reference) else None


class Broad(Right):
    """Looks at the repository alone."""

    caught_by: ClassVar = "test_it_is_found_under_its_own_tag_and_repository_alone"

    def find(self, reference: str) -> str | None:
        name = reference.rpartition(":")[0]
        return next((digest for kept, digest in self.kept.items() if kept.rpartition(":")[0] == name), None)


class Stale(Right):
    """Remembers that something was not there."""

    caught_by: ClassVar = "test_what_comes_later_is_found_too"

    def find(self, reference: str) -> str | None:
        known = self.__dict__.setdefault("_known", {})
        return known.setdefault(reference, super().find(reference))


class Talkative(Right):
    """Writes the password into references."""

    caught_by: ClassVar = "test_its_password_shows_itself_to_nobody"

    def reference(self, repository: str, tag: str) -> str:
        return f"me:{self.password.reveal()}@{super().reference(repository, tag)}"


class Calm(Right):
    """Takes a registry that is away for an empty one."""

    caught_by: ClassVar = "test_one_that_does_not_answer_is_not_taken_for_empty"

    def find(self, reference: str) -> str | None:
        return None if self.uri.startswith("away") else super().find(reference)


class Content(Right):
    """Finds nothing wrong with a registry that is away."""

    caught_by: ClassVar = "test_the_check_of_one_that_does_not_answer_says_so"

    def check(self) -> list[str]:
        return []


_WRONG = [Schemed, OnTheHub, Forgetful, Hopeful, Renaming, Broad, Stale, Talkative, Calm, Content]


@pytest.mark.parametrize("wrong", _WRONG, ids=lambda wrong: wrong.__name__)
def test_each_wrong_registry_is_caught_by_the_promise_it_breaks(wrong: Any) -> None:
    promise = getattr(ContainerRegistryContract, wrong.caught_by)
    for cls in (Right, wrong):
        _KEPT.clear()
        registry = cls(uri="registry.example.com/team")
        given = {
            "self": ContainerRegistryContract(), "container_registry": registry, "repository": _REPOSITORY, "put": put_into(registry),
            "unreachable": cls(uri="away.example.com"),
        }  # fmt: skip
        arguments = {name: given[name] for name in inspect.signature(promise).parameters}
        if cls is Right:
            promise(**arguments)
        else:
            with pytest.raises((AssertionError, pytest.fail.Exception)):
                promise(**arguments)
