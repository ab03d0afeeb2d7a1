"""What every secret store keeps: values come back as they were put, and are shown to nobody."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from dovetail.components import Secret, SecretStore
from dovetail.errors import DovetailError, NameRefused, NotFound
from dovetail.local.model_deployer import LocalModelDeployer
from dovetail.stack.stack import ComponentSpec
from dovetail.testing.contract import Contract
from dovetail.testing.given import alike
from dovetail.testing.trial import TrialProject

_VALUES = {
    "plain": "hunter22",
    "with_lines": "first\nsecond\n",
    "größe": "pässwörd 数据",
    "quoted": "\"'{}${X}\\",
    "long": "x" * 4000,
}


class SecretStoreContract(Contract):
    """Fixture `secret_store`: the one to try; it may hold secrets of others."""

    @pytest.fixture
    def name(self) -> str:
        """The name of a secret of the test's own."""
        return f"contract-{uuid.uuid4().hex}"

    def test_what_was_put_is_got_as_it_was(self, secret_store: SecretStore, name: str) -> None:
        secret_store.put(name, _VALUES)
        assert _revealed(secret_store, name) == _VALUES

    def test_what_is_got_shows_itself_to_nobody(self, secret_store: SecretStore, name: str) -> None:
        secret_store.put(name, {"password": "hunter22"})
        got = secret_store.get(name)
        assert isinstance(got["password"], Secret)
        assert "hunter22" not in f"{got!r} {got} {secret_store!r} {secret_store.configuration()}"

    def test_a_secret_is_put_as_well_as_a_text(self, secret_store: SecretStore, name: str) -> None:
        secret_store.put(name, {"password": Secret("hunter22")})
        assert _revealed(secret_store, name) == {"password": "hunter22"}

    def test_keys_that_are_not_given_stay(self, secret_store: SecretStore, name: str) -> None:
        secret_store.put(name, {"user": "me", "password": "old"})
        secret_store.put(name, {"password": "new", "host": "there"})
        assert _revealed(secret_store, name) == {"user": "me", "password": "new", "host": "there"}

    def test_a_secret_that_is_not_there_is_not_found(self, secret_store: SecretStore, name: str) -> None:
        for ask in (secret_store.get, secret_store.delete):
            with pytest.raises(NotFound, match=name):
                ask(name)

    def test_a_secret_that_is_not_found_is_told_with_near_names(self, secret_store: SecretStore, name: str) -> None:
        secret_store.put(name, {"password": "hunter22"})
        with pytest.raises(NotFound, match=f"Did you mean .*'{name}'") as caught:
            secret_store.get(f"{name}x")
        assert "hunter22" not in str(caught.value)

    def test_names_are_listed(self, secret_store: SecretStore, name: str) -> None:
        before = set(secret_store.names())
        for number in range(3):
            secret_store.put(f"{name}-{number}", {"key": "value"})
        assert set(secret_store.names()) - before == {f"{name}-{number}" for number in range(3)}

    def test_what_was_deleted_is_gone_and_can_be_put_again(self, secret_store: SecretStore, name: str) -> None:
        secret_store.put(name, {"user": "me", "password": "old"})
        secret_store.put(f"{name}-beside", {"key": "value"})
        secret_store.delete(name)
        assert name not in secret_store.names()
        with pytest.raises(NotFound):
            secret_store.get(name)
        secret_store.put(name, {"password": "new"})
        assert _revealed(secret_store, name) == {"password": "new"}
        assert _revealed(secret_store, f"{name}-beside") == {"key": "value"}

    def test_another_instance_with_its_configuration_finds_it(self, secret_store: SecretStore, name: str) -> None:
        secret_store.put(name, {"password": "hunter22"})
        assert _revealed(alike(secret_store), name) == {"password": "hunter22"}

    def test_secrets_that_are_put_at_once_are_all_kept(self, secret_store: SecretStore, name: str) -> None:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda number: secret_store.put(f"{name}-{number}", {"key": str(number)}), range(16)))
        assert [_revealed(secret_store, f"{name}-{number}") for number in range(16)] == [
            {"key": str(number)} for number in range(16)
        ]

    def test_names_that_could_lead_elsewhere_are_refused(self, secret_store: SecretStore) -> None:
        for name in ("../up", "a/b", "", "con", "line\nbreak", "x" * 300):
            with pytest.raises(NameRefused):
                secret_store.put(name, {"key": "value"})
            with pytest.raises(NameRefused):
                secret_store.get(name)

    def test_a_key_that_no_reference_could_name_is_refused(self, secret_store: SecretStore, name: str) -> None:
        for key in ("a.b", "", "a b", "a}}"):
            with pytest.raises(DovetailError):
                secret_store.put(name, {key: "value"})
        assert name not in secret_store.names()

    def test_a_stack_resolves_its_references_by_it(self, secret_store: SecretStore, name: str, project: TrialProject) -> None:
        secret_store.put(name, {"host": "127.0.0.9"})
        deployer = ComponentSpec("model_deployer", "local", "deployer", {"host": f"{{{{ {name}.host }}}}"})
        made = project.stack_of(secret_store, more=[deployer]).build(LocalModelDeployer)
        assert made is not None
        assert made.host == "127.0.0.9"

    def test_its_own_check_finds_nothing_wrong(self, secret_store: SecretStore, name: str) -> None:
        secret_store.put(name, {"password": "hunter22"})
        assert secret_store.check() == []


def _revealed(store: SecretStore, name: str) -> dict[str, str]:
    return {key: value.reveal() for key, value in store.get(name).items()}
