"""What of an artifact a browser can show, and showing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dovetail.cli.session import Session
    from dovetail.client.views import Artifact

_SHOWN = (".html", ".htm", ".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp")
_PAGE = ("<!doctype html", "<html")


def open_artifact(session: Session, artifact: Artifact) -> None:
    """In the user's browser, from a file of its own. Raises ConfigurationError where there is no page and no picture."""
    import tempfile
    import webbrowser
    from pathlib import Path

    from dovetail.errors import ConfigurationError

    title = artifact.name or artifact.digest[:12]
    found = _drawn(artifact) or _written(artifact) or _filed(artifact)
    if found is None:
        raise ConfigurationError(
            f"Artifact '{title}' has neither a page nor a picture to open. See what it holds: dovetail artifacts load {title}."
        )
    suffix, content = found
    path = Path(tempfile.mkdtemp(prefix="dovetail-page-")) / f"{_plain(title)}{suffix}"  # a folder that only this user can read
    path.write_bytes(content)
    opened = webbrowser.open(path.as_uri())
    session.say(f"Opened {path}." if opened else f"There is no browser here. The page is {path}.")


def _drawn(artifact: Artifact) -> tuple[str, bytes] | None:
    """A page, else a picture, that its materializer made of it."""
    for kind in ("html", "image"):
        for name, said in artifact.visualizations.items():
            if said == kind:
                suffix = _suffix(name)
                return suffix if suffix in _SHOWN else ".html" if kind == "html" else ".png", artifact.visualization(name)
    return None


def _written(artifact: Artifact) -> tuple[str, bytes] | None:
    """A text that is a page."""
    if artifact.type != "builtins:str":
        return None
    text = artifact.load()
    return (".html", text.encode("utf-8", "replace")) if text.lstrip("\ufeff \t\r\n")[:200].lower().startswith(_PAGE) else None


def _filed(artifact: Artifact) -> tuple[str, bytes] | None:
    """The only file of a payload that is a page or a picture."""
    files = [name for name in artifact.manifest.files if _suffix(name) in _SHOWN]
    return (_suffix(files[0]), (artifact.path / files[0]).read_bytes()) if len(files) == 1 else None


def _suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if stem and dot else ""


def _plain(title: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in title)[:80].lstrip(".") or "page"
