"""An artifact store beside a dictionary: any sequence of calls has to leave both with the same objects."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from dovetail.components import ArtifactStore

# No name is both an object's and a folder's: no ledger makes such a thing, and file systems cannot hold it.
_FOLDERS = ("", "a", "a/b", "ab", "ü/数")
_PATHS = tuple(f"{folder}/{name}".lstrip("/") for folder in _FOLDERS for name in ("x", "größe.json"))
_CALLS = ("create", "overwrite", "delete", "delete_folder", "look")
_FEWEST, _MOST = 8, 24


def run_against_model(store: ArtifactStore, place: str, data: st.DataObject) -> None:
    """Make calls that `data` draws below `place`; what each gives, and what is there in the end, has to be the same."""
    model: dict[str, bytes] = {}
    for call in data.draw(st.lists(st.sampled_from(_CALLS), min_size=_FEWEST, max_size=_MOST), label="calls"):
        if call == "delete_folder":
            folder = data.draw(st.sampled_from(_FOLDERS[1:]), label="folder")
            store.delete_folder(f"{place}/{folder}")
            model = {path: content for path, content in model.items() if not path.startswith(f"{folder}/")}
        else:
            path = data.draw(st.sampled_from(_PATHS), label="path")
            _call(
                store, place, model, call, path, data.draw(st.binary(max_size=20), label="content") if call in _CALLS[:2] else b""
            )
    assert {path: store.read(f"{place}/{path}") for path in model} == model
    assert sorted(path for path, _ in store.walk(place)) == sorted(f"{place}/{path}" for path in model)
    for folder in _FOLDERS:
        _compare_folder(store, f"{place}/{folder}".rstrip("/"), folder, model)


def _call(store: ArtifactStore, place: str, model: dict[str, bytes], call: str, path: str, content: bytes) -> None:
    if call == "create":
        assert store.create(f"{place}/{path}", content) is (path not in model)
        model.setdefault(path, content)
    elif call == "overwrite":
        store.overwrite(f"{place}/{path}", content)
        model[path] = content
    elif call == "delete":
        store.delete(f"{place}/{path}")
        model.pop(path, None)
    else:
        entry = store.stat(f"{place}/{path}")
        assert (entry.size if entry is not None else None) == (len(model[path]) if path in model else None)


def _compare_folder(store: ArtifactStore, place: str, folder: str, model: dict[str, Any]) -> None:
    prefix = f"{folder}/" if folder else ""
    below = [path.removeprefix(prefix) for path in model if path.startswith(prefix)]
    objects = sorted(path for path in below if "/" not in path)
    folders = {path.partition("/")[0] for path in below if "/" in path}
    entries = list(store.scan(place))
    assert sorted(entry.name for entry in entries if not entry.is_folder) == objects
    assert {entry.name for entry in entries if entry.is_folder} >= folders, "a folder with objects in it is not listed"
