"""References, and hiding what they led to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.components import Secret
from dovetail.errors import ConfigurationError, NameRefused, NotFound
from dovetail.stack.references import HIDDEN, References, has_reference, redact, secret_reference

HELD: dict[str, Mapping[str, Secret]] = {"db": {"password": Secret("hunter22")}, "a.b": {"key": Secret("dotted-name")}}


@pytest.fixture
def references() -> References:
    return References({"HOST": "h", "EMPTY": ""}, HELD.__getitem__)


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("${HOST}", "h"),
        ("http://${HOST}:80/${HOST}${EMPTY}", "http://h:80/h"),
        ("{{ db.password }}", "hunter22"),
        ("{{db.password}}", "hunter22"),
        ("u:{{ db.password }}@${HOST}", "u:hunter22@h"),
        ("{{ a.b.key }}", "dotted-name"),
        ("$${HOST} $$ ${HOST}", "${HOST} $$ h"),
        ("$HOST ${} ${1} { db.password } {{ db }} {{ }}", "$HOST ${} ${1} { db.password } {{ db }} {{ }}"),
    ],
)
def test_references_are_replaced_and_nothing_else_is(references: References, text: str, resolved: str) -> None:
    assert references.resolve(text, "here") == resolved


def test_references_inside_lists_and_mappings_are_replaced(references: References) -> None:
    value = {"a": ["${HOST}", 1, {"b": "{{ db.password }}"}], "c": None}
    assert has_reference(value)
    assert references.resolve(value, "here") == {"a": ["h", 1, {"b": "hunter22"}], "c": None}


def test_what_a_reference_leads_to_is_not_searched_for_more(references: References) -> None:
    assert References({"A": "${B}", "B": "b"}, HELD.__getitem__).resolve("${A}", "here") == "${B}"


def test_every_secret_that_was_used_is_known_for_hiding(references: References) -> None:
    references.resolve(["${HOST}", "{{ db.password }}"], "here")
    assert references.revealed == {"hunter22"}


def test_a_variable_that_is_not_set_is_named_with_its_user(references: References) -> None:
    with pytest.raises(ConfigurationError, match=r"Tracker 't' refers to \$\{NOPE\}, which is not set"):
        references.resolve("${NOPE}", "Tracker 't'")


def test_a_key_that_a_secret_lacks_is_answered_with_near_keys_and_no_value(references: References) -> None:
    with pytest.raises(NotFound) as caught:
        references.resolve("{{ db.pasword }}", "Tracker 't'")
    assert "Did you mean 'password'" in str(caught.value)
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "con", "x\x00y"])
def test_a_reference_cannot_lead_outside_the_secret_store(references: References, name: str) -> None:
    with pytest.raises(NameRefused):
        references.resolve(f"{{{{ {name}.key }}}}", "here")


def test_a_reference_that_is_written_is_one_that_is_read(references: References) -> None:
    assert references.resolve(secret_reference("db", "password"), "here") == "hunter22"


def test_secrets_are_hidden_wherever_they_stand_the_longer_ones_first() -> None:
    assert redact("a=abcd b=abcdef c=ABCD", {"abcd", "abcdef"}) == f"a={HIDDEN} b={HIDDEN} c=ABCD"
    assert redact("pw: hunter22", [Secret("hunter22")]) == f"pw: {HIDDEN}"
    assert redact("nothing to hide", []) == "nothing to hide"


def test_each_line_of_a_secret_is_hidden_where_a_log_shows_lines() -> None:
    key = "-----BEGIN KEY-----\nabcdefgh\n-----END KEY-----"
    assert redact("read abcdefgh", {key}) == f"read {HIDDEN}"
    assert redact(f"<{key}>", {key}) == f"<{HIDDEN}>"


def test_values_that_are_too_short_to_be_secret_garble_nothing() -> None:
    assert redact("a 1 b abc", {"1", "", "abc"}) == "a 1 b abc"


def test_a_secret_is_hidden_as_messages_write_it_too() -> None:
    secret = 'p"ä ss\\w/d'
    for written in (
        repr(secret),
        json.dumps(secret),
        quote(secret),
        quote_plus(secret),
        json.dumps({"a": secret}, ensure_ascii=False),
    ):
        assert redact(written, {secret}).strip("\"'{}a: ") == HIDDEN


def test_an_escaped_reference_is_none() -> None:
    assert not has_reference("$${HOST}")
    assert has_reference("$${HOST} ${HOST}")


@given(st.text(min_size=4), st.text(), st.text())
def test_no_secret_is_left_in_a_text(secret: str, before: str, after: str) -> None:
    assert secret not in redact(before + secret + after, {secret}) or secret in HIDDEN or secret in before + HIDDEN + after
