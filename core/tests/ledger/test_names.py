"""Names from anywhere: what passes can be stored everywhere, and nothing that passes leaves its folder."""

from __future__ import annotations

import os
import unicodedata
from datetime import datetime, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dovetail.components.artifact_store import ArtifactStore
from dovetail.errors import NameRefused
from dovetail.ledger import layout
from dovetail.local.artifact_store import LocalArtifactStore
from dovetail.values.names import MAX_BYTES, check_name, check_template, fill, folded, is_name

ANY = st.one_of(
    st.text(max_size=260),
    st.text(alphabet="./\\\0\n\r\t ~%{}:*?\"<>|aA\u0301\u00e9\u212b\u200b\u202e\ud800", max_size=12),
    st.lists(st.sampled_from(["..", ".", "", "a", "CON", "nul", "aux.txt", "com1", "~", "-x", "é", "e\u0301"]), max_size=4).map("/".join),
    st.sampled_from(["CON", "con.txt", "Aux", "nul.tar.gz", "lpt9", "COM1.", "a" * 200, "é" * 101, ".hidden", "a..b", "a/b", "a\\b", "a:b", "-", "x ", " x"]),
)


def accepted(name: str) -> str | None:
    try:
        return check_name("artifact", name)
    except NameRefused:
        return None


@given(ANY)
@example("..")
@example("a/../b")
@example("a" * 201)
@example("e\u0301" * 66)
@example("a\u200db")
def test_a_name_that_passes_is_one_plain_folder_name(name: str) -> None:
    checked = accepted(name)
    if checked is None:
        return
    assert checked and checked not in (".", "..") and ".." not in checked
    assert not set(checked) & set('/\\\0\n\r\t:*?"<>|%~{}$`\'')
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in checked)
    assert len(checked.encode("utf-8")) <= MAX_BYTES
    assert checked[0] not in " .-" and checked[-1] not in " ."
    assert unicodedata.is_normalized("NFC", checked)
    assert os.path.normpath(f"names/{checked}") == f"names/{checked}"
    assert checked.split(".")[0].casefold() not in {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))} - {"com0", "lpt0"}


@given(ANY)
def test_checking_a_name_again_changes_nothing(name: str) -> None:
    checked = accepted(name)
    if checked is not None:
        assert check_name("artifact", checked) == checked
        assert is_name(checked)
    else:
        assert not is_name(name)


@given(ANY)
def test_forms_of_one_text_are_one_name_and_case_alone_keeps_no_two_apart(name: str) -> None:
    checked = accepted(name)
    if checked is None:
        return
    assert accepted(unicodedata.normalize("NFD", name)) == checked
    assert folded(checked) == folded(checked.upper().lower()) or folded(checked.upper()) == folded(checked)
    assert folded(folded(checked)) == folded(checked)
    assert "/" not in folded(checked) and folded(checked) not in ("", ".", "..")


@given(ANY, ANY)
def test_two_names_share_a_folder_only_if_they_differ_in_case_or_form(one: str, other: str) -> None:
    first, second = accepted(one), accepted(other)
    if first is not None and second is not None and layout.artifact_name(first) == layout.artifact_name(second):
        assert unicodedata.normalize("NFC", first.casefold()) == unicodedata.normalize("NFC", second.casefold())


@given(name=ANY)
def test_every_name_that_passes_can_be_stored_and_read_back(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    checked = accepted(name)
    if checked is None:
        return
    root = tmp_path_factory.getbasetemp() / "names_are_stored"
    store = LocalArtifactStore(path=str(root))
    path = f"{layout.artifact_name(checked)}/1.json"
    store.create(path, b"{}")
    assert store.read(path) == b"{}"
    inside = os.path.realpath(root / path)
    assert inside.startswith(os.path.realpath(root) + os.sep)
    assert folded(checked) in {entry.name for entry in store.scan("names/artifacts")}


@pytest.mark.parametrize("wrong", [None, 3, b"bytes", ["a"], {"a": 1}, object()])
def test_what_is_no_text_is_no_name(wrong: object) -> None:
    with pytest.raises(NameRefused, match="must be named by a string"):
        check_name("artifact", wrong)
    assert not is_name(wrong)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "is empty"), ("../x", "holds '/'"), ("a\x00b", r"holds '\\x00'"), ("a\nb", r"holds '\\n'"), (".x", "must begin with"), ("-x", "must begin with"),
        ("x.", "must not end"), ("a..b", "holds '..'"), ("CON", "reserved"), ("nul.txt", "reserved"), ("a" * 201, "longer than 200 bytes"),
        ("\ud800", "lone surrogate"), ("a\u202eb", "holds"), ("a\u200bb", "holds"), ("x{y}", "holds '{'"),
    ],
)  # fmt: skip
def test_a_refusal_says_which_rule_was_broken(name: str, told: str) -> None:
    with pytest.raises(NameRefused, match=f"The artifact name .*{told}"):
        check_name("artifact", name)


@given(st.text(max_size=30), st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3))
@example("{who}", {"who": "../../etc"})
@example("{date}/{time}", {})
@example("{a}{b}", {"a": ".", "b": "."})
def test_a_template_filled_from_anywhere_is_still_a_checked_name(template: str, substitutions: dict[str, str]) -> None:
    now = datetime(2026, 3, 1, 14, 5, 9, 123456, tzinfo=timezone.utc)
    try:
        filled = fill("run", template, now, substitutions)
    except NameRefused:
        return
    assert check_name("run", filled) == filled


def test_templates_know_date_and_time_and_say_what_they_do_not_know() -> None:
    now = datetime(2026, 3, 1, 14, 5, 9, 123456, tzinfo=timezone.utc)
    assert fill("run", "r-{date}-{time}-{who}", now, {"who": "me"}) == "r-2026-03-01-14-05-09-123456-me"
    with pytest.raises(NameRefused, match=r"holds {whom}, which nothing fills; known are {date}, {time}, {who}"):
        fill("run", "r-{whom}", now, {"who": "me"})
    assert check_template("artifact", "a-{anything}") == "a-{anything}"
    with pytest.raises(NameRefused):
        check_template("artifact", "a/{anything}")


@given(st.lists(st.floats(min_value=0, max_value=30_000_000_000), min_size=2, max_size=20, unique=True))
def test_run_ids_sort_by_time_and_tell_their_day(moments: list[float]) -> None:
    ids = [layout.new_run_id(moment) for moment in sorted(moments)]
    stamps = [int(moment * 1000) for moment in sorted(moments)]
    for (before, earlier), (after, later) in zip(zip(ids, stamps), zip(ids[1:], stamps[1:])):
        assert before < after or earlier == later
    for run_id, stamp in zip(ids, stamps):
        assert layout.is_run_id(run_id) and is_name(run_id)
        assert layout.day_of(run_id) == datetime.fromtimestamp(stamp / 1000, timezone.utc).strftime("%Y-%m-%d")
        assert layout.run(run_id).startswith(f"runs/{layout.day_of(run_id)}/")


def test_run_ids_of_one_moment_differ() -> None:
    assert len({layout.new_run_id(1_700_000_000) for _ in range(10_000)}) == 10_000


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(timezone.utc)))
def test_the_first_id_of_a_moment_is_not_above_any_id_of_it(moment: datetime) -> None:
    assert layout.first_id_of(moment) <= layout.new_run_id(moment.timestamp())
    assert layout.first_id_of(moment) > layout.new_run_id(moment.timestamp() - 0.002)


@given(st.text(max_size=30))
def test_what_looks_like_no_run_id_is_none(text: str) -> None:
    if layout.is_run_id(text):
        assert len(text) == 26 and text.isascii() and text.isalnum()


_ = ArtifactStore
