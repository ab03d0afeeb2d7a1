"""Secrets in files that only their owner may read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dovetail.components import Secret
from dovetail.errors import ConfigurationError, NameRefused, NotFound
from dovetail.local.secret_store import LocalSecretStore


@pytest.fixture
def store(home: Path) -> LocalSecretStore:
    return LocalSecretStore()


def test_what_was_put_is_got_as_secret(store: LocalSecretStore) -> None:
    store.put("db", {"user": "me", "password": "päss\nword"})
    got = store.get("db")
    assert {key: value.reveal() for key, value in got.items()} == {"user": "me", "password": "päss\nword"}
    assert all(isinstance(value, Secret) for value in got.values())
    assert "päss" not in f"{got!r} {got}"


def test_keys_that_are_not_given_stay(store: LocalSecretStore) -> None:
    store.put("db", {"a": "1", "b": "2"})
    store.put("db", {"b": "3", "c": "4"})
    assert {key: value.reveal() for key, value in store.get("db").items()} == {"a": "1", "b": "3", "c": "4"}


def test_a_secret_value_is_stored_as_it_is(store: LocalSecretStore) -> None:
    store.put("db", {"a": Secret("hunter22")})
    assert store.get("db")["a"].reveal() == "hunter22"


def test_only_the_owner_may_read(store: LocalSecretStore, home: Path) -> None:
    before = os.umask(0)
    try:
        store.put("db", {"a": "1"})
    finally:
        os.umask(before)
    assert (home / "secrets").stat().st_mode & 0o777 == 0o700
    assert (home / "secrets" / "db.json").stat().st_mode & 0o777 == 0o600
    assert store.check() == []


def test_what_others_may_read_is_reported_with_its_cure(store: LocalSecretStore, home: Path) -> None:
    store.put("db", {"a": "1"})
    (home / "secrets" / "db.json").chmod(0o644)
    (problem,) = store.check()
    assert "db.json can be read by others (mode 644). Run `chmod go= " in problem


def test_secrets_are_listed_and_deleted(store: LocalSecretStore, home: Path) -> None:
    assert store.names() == []
    store.put("b", {"x": "1"})
    store.put("a", {"x": "1"})
    (home / "secrets" / "notes.txt").write_text("")
    assert store.names() == ["a", "b"]
    store.delete("a")
    assert store.names() == ["b"]
    for act in (store.get, store.delete):
        with pytest.raises(NotFound, match="no secret 'a'"):
            act("a")


@pytest.mark.parametrize("name", ["../up", "a/b", "", "con", "x\n"])
def test_names_cannot_lead_out_of_the_folder(store: LocalSecretStore, name: str) -> None:
    for act in (lambda: store.put(name, {"a": "1"}), lambda: store.get(name), lambda: store.delete(name)):
        with pytest.raises(NameRefused):
            act()


def test_a_key_that_no_reference_could_name_is_refused(store: LocalSecretStore) -> None:
    with pytest.raises(NameRefused, match="holds a dot"):
        store.put("db", {"a.b": "1"})
    assert store.names() == []


def test_two_names_that_differ_in_case_only_are_refused(store: LocalSecretStore) -> None:
    store.put("Db", {"a": "1"})
    with pytest.raises(NameRefused, match="'Db', which differs from 'db' in case only"):
        store.put("db", {"a": "1"})


@pytest.mark.parametrize("content", ["{", "[1]", '"plain-secret"'])
def test_a_damaged_file_is_a_sentence_without_its_content(store: LocalSecretStore, home: Path, content: str) -> None:
    store.put("db", {"a": "1"})
    (home / "secrets" / "db.json").write_text(content)
    with pytest.raises(ConfigurationError, match="file of secret 'db' is damaged") as caught:
        store.get("db")
    assert "plain-secret" not in str(caught.value)


def test_a_write_that_fails_keeps_the_old_secret_and_leaves_nothing(
    store: LocalSecretStore, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("db", {"a": "1"})

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="No space"):
        store.put("db", {"a": "2"})
    assert store.get("db")["a"].reveal() == "1"
    assert os.listdir(home / "secrets") == ["db.json"]


def test_the_folder_can_be_chosen(tmp_path: Path) -> None:
    LocalSecretStore(path=tmp_path / "mine").put("db", {"a": "1"})
    assert (tmp_path / "mine" / "db.json").is_file()
