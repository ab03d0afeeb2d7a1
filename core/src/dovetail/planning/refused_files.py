"""Files that no package holds unless somebody lists them: secrets, keys, and what is too large to be code."""

from __future__ import annotations

import fnmatch

LARGEST = 50_000_000  # bytes
KEY_WITHIN = 65_536  # bytes of a file that are looked at for a key
_ENVIRONMENTS = (".env", ".env.*", "*.env")
_EXAMPLES = ("*.example", "*.sample", "*.template", "*.dist", "example.env", "sample.env", "template.env")
_KEYS = (
    "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_ecdsa_sk", "id_ed25519_sk", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk",
)  # fmt: skip
_CREDENTIALS = (".netrc", "_netrc", ".pgpass", ".git-credentials", ".pypirc", ".htpasswd", "kaggle.json")
_CREDENTIALS_BELOW = {".aws": ("credentials",), ".docker": ("config.json",), ".kube": ("config",), ".ssh": ("*",)}


def refused_for_its_name(name: str) -> str | None:
    """Why a file of this name is refused, as the end of a sentence."""
    folder, _, last = name.rpartition("/")
    last = last.lower()
    if _matches(last, _ENVIRONMENTS) and not _matches(last, _EXAMPLES):
        return "a file of such a name holds secrets"
    if _matches(last, _KEYS):
        return "a file of such a name holds a private key"
    if _matches(last, _CREDENTIALS) or _matches(last, _CREDENTIALS_BELOW.get(folder.rpartition("/")[2], ())):
        return "a file of such a name holds credentials"
    return None


def refused_for_its_size(size: int) -> str | None:
    return f"it has {size / 1e6:.0f} MB, more than the {LARGEST / 1e6:.0f} MB of a file of code" if size > LARGEST else None


def holds_private_key(start: bytes) -> bool:
    """Whether the first bytes of a file are those of a private key, or of a service account's. Code that mentions one begins otherwise."""
    begin = start.lstrip()
    if begin.startswith((b"PuTTY-User-Key-File-", b"Bag Attributes", b"-----BEGIN ")):
        return any((line.startswith(b"-----BEGIN ") and b"PRIVATE KEY" in line) or line.startswith(b"PuTTY-User-Key-File-") for line in begin.splitlines())
    return begin.startswith(b"{") and b'"private_key"' in begin and b"PRIVATE KEY-----" in begin


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
