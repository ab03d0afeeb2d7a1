"""What every container registry keeps: it names images, and says truly which of them it holds."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

import pytest

from dovetail.components import ContainerRegistry
from dovetail.errors import ImageError
from dovetail.testing.contract import Contract
from dovetail.testing.given import alike

_REFERENCE = re.compile(r"(?P<host>[a-zA-Z0-9.-]+(:\d+)?)/(?P<path>[a-z0-9]+([._/-]+[a-z0-9]+)*):(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})")

Put = Callable[[str], str]


class ContainerRegistryContract(Contract):
    """Fixtures `container_registry`: the one to try; it may hold images of others. `put`: stores some image there by other means
    under the reference that it is called with, and gives its digest. `unreachable`: one configured for a place where none is, or None.
    """

    @pytest.fixture
    def unreachable(self) -> ContainerRegistry | None:
        return None

    @pytest.fixture
    def repository(self) -> str:
        """The name of a repository of the test's own."""
        return f"contract-{uuid.uuid4().hex}"

    def test_a_reference_is_one_that_every_tool_understands(self, container_registry: ContainerRegistry, repository: str) -> None:
        reference = container_registry.reference(repository, "v1")
        found = _REFERENCE.fullmatch(reference)
        assert found is not None, reference
        assert "." in found["host"] or ":" in found["host"] or found["host"] == "localhost", "tools would take it for one on Docker Hub"
        assert (found["path"].rpartition("/")[2], found["tag"]) == (repository, "v1")

    def test_another_image_has_another_reference(self, container_registry: ContainerRegistry, repository: str) -> None:
        named = [container_registry.reference(*parts) for parts in ((repository, "1"), (repository, "2"), (f"{repository}-b", "1"))]
        assert len(set(named)) == 3
        assert named == [alike(container_registry).reference(*parts) for parts in ((repository, "1"), (repository, "2"), (f"{repository}-b", "1"))]

    def test_what_nobody_pushed_is_not_there(self, container_registry: ContainerRegistry, repository: str) -> None:
        assert container_registry.find(container_registry.reference(repository, "1")) is None

    def test_what_was_pushed_is_found_by_its_digest(self, container_registry: ContainerRegistry, repository: str, put: Put) -> None:
        reference = container_registry.reference(repository, "1")
        digest = put(reference)
        assert re.fullmatch(r"sha\d+:[0-9a-f]{64,}", digest), digest
        assert container_registry.find(reference) == digest

    def test_it_is_found_under_its_own_tag_and_repository_alone(self, container_registry: ContainerRegistry, repository: str, put: Put) -> None:
        put(container_registry.reference(repository, "1"))
        assert container_registry.find(container_registry.reference(repository, "2")) is None
        assert container_registry.find(container_registry.reference(f"{repository}-b", "1")) is None

    def test_what_comes_later_is_found_too(self, container_registry: ContainerRegistry, repository: str, put: Put) -> None:
        reference = container_registry.reference(repository, "1")
        assert container_registry.find(reference) is None
        digest = put(reference)
        assert container_registry.find(reference) == digest

    def test_another_instance_with_its_configuration_finds_it(self, container_registry: ContainerRegistry, repository: str, put: Put) -> None:
        reference = container_registry.reference(repository, "1")
        digest = put(reference)
        assert alike(container_registry).find(reference) == digest

    def test_its_password_shows_itself_to_nobody(self, container_registry: ContainerRegistry, repository: str) -> None:
        found = container_registry.credentials()
        if found is not None:
            shown = f"{container_registry!r} {container_registry.configuration()} {found!r} {container_registry.reference(repository, '1')}"
            assert found.password.reveal()
            assert found.password.reveal() not in shown

    def test_one_that_does_not_answer_is_not_taken_for_empty(self, unreachable: ContainerRegistry | None) -> None:
        if unreachable is None:
            pytest.skip("this registry is always there")
        with pytest.raises(ImageError):
            unreachable.find(unreachable.reference("contract", "1"))

    def test_the_check_of_one_that_does_not_answer_says_so(self, unreachable: ContainerRegistry | None) -> None:
        if unreachable is None:
            pytest.skip("this registry is always there")
        assert len(unreachable.check()) == 1

    def test_its_own_check_finds_nothing_wrong(self, container_registry: ContainerRegistry) -> None:
        assert container_registry.check() == []
