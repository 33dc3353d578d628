"""The keys by which callers are known, and the file that holds their hashes."""

import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import stat
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sklearn_causalrec.serving.container import locked, write

logger = logging.getLogger("sklearn_causalrec.serving")

SCOPES = ("recommend", "explain", "audit", "admin")
FORMAT, VERSION = "sklearn-causalrec keys", 1
# A key is crk_<id>_<secret>: scanners for secrets know it by its beginning. The secret
# has 256 random bits, so that a plain hash suffices: there is no list to try.
PREFIX, LONGEST = "crk", 128
NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,64}")
UNKNOWN = bytes(32)  # what keys that are none are compared with


class KeyFileError(ValueError):
    """A file is none of keys, or not one to trust, or it cannot be changed so."""


class NotLetIn(Exception):
    """A key that opens nothing; the text may be told."""


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Parameters
    ----------
    id : str or None
        The id of the key. None where nobody is asked for one.
    scopes : frozenset of str
        What the key is for.
    rate : str or None
        How often it may be used, such as "100/second". None: what the server says.
    """

    id: str | None
    scopes: frozenset
    rate: str | None = None


ANYBODY = Caller(None, frozenset(SCOPES))


class KeyRing:
    """Tell callers by their keys, and notice when the file of keys has changed.

    Parameters
    ----------
    path : path-like
        The file, as ``sklearn-causalrec keys`` writes it. It holds hashes, and no key.
    every : float, default=1.0
        Seconds between looks at the file: a key that is made or revoked counts within
        that time, without a restart.

    Attributes
    ----------
    failed : datetime or None
        Since when the file cannot be read, if it cannot. The keys that were in it
        before go on, until they expire.

    Raises
    ------
    OSError
        If the file cannot be read.
    KeyFileError
        If it is none of keys, or others than its owner may write to it.

    See Also
    --------
    create_app : Serve a model to those who have keys.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_causalrec.serving import KeyRing
    >>> from sklearn_causalrec.serving.server.keys import make_key
    >>> path = Path(tempfile.mkdtemp(), "keys.json")
    >>> key, entry = make_key(path, "shop", ["recommend"], days=30)
    >>> KeyRing(path).caller(key).scopes
    frozenset({'recommend'})
    >>> key in path.read_text()
    False
    """

    def __init__(self, path, every=1.0):
        self.path, self.every = Path(path), every
        self.failed = None
        self._seen = self._stamp()
        self._keys = {one["id"]: _ready(one) for one in read_keys(self.path)}
        self._looked = time.monotonic()

    def caller(self, key):
        """Who has a key.

        Parameters
        ----------
        key : str
            What came with a request.

        Returns
        -------
        Caller
            The id of the key, what it is for, and how often it may be used.

        Raises
        ------
        NotLetIn
            If it is no key of the file, was revoked or has expired. Whether there is a
            key of this id is not told, in words or by the time it takes.
        """
        self._look()
        parts = key.split("_", 2) if len(key) <= LONGEST else ()
        digest = hashlib.sha256(key.encode("utf-8", "replace")).digest()
        caller, right, expires = self._keys.get(
            parts[1] if len(parts) == 3 else None, (None, UNKNOWN, None)
        )
        if not hmac.compare_digest(digest, right) or caller is None:
            raise NotLetIn("The key is not known, or was revoked.")
        if expires is not None and time.time() >= expires:
            raise NotLetIn("The key has expired.")
        return caller

    def _stamp(self):
        found = os.stat(self.path)
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode

    def _look(self):
        now = time.monotonic()
        if now - self._looked < self.every:
            return
        self._looked = now
        try:
            stamp = self._stamp()
            if stamp == self._seen and self.failed is None:
                return
            keys = {one["id"]: _ready(one) for one in read_keys(self.path)}
        except (OSError, KeyFileError) as error:
            if self.failed is None:
                self.failed = datetime.now(UTC)
                logger.error("The keys that were read before go on: %s", error)
            return
        self._keys, self._seen, self.failed = keys, stamp, None
        logger.info("Keys read again: %s", len(keys))


def _ready(entry):
    """What a key is compared with: (caller, hash, when it expires)."""
    if entry["revoked"] is not None:
        return None, UNKNOWN, None
    expires = entry["expires"] and datetime.fromisoformat(entry["expires"]).timestamp()
    caller = Caller(entry["id"], frozenset(entry["scopes"]), entry["rate"])
    return caller, bytes.fromhex(entry["sha256"]), expires


# -- the file ------------------------------------------------------------------------


def read_keys(path):
    """The entries of a file of keys.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of dict
        ``id``, ``name``, ``scopes``, ``sha256``, ``made``, ``expires``, ``revoked`` and
        ``rate`` of each key.

    Raises
    ------
    OSError
        If it cannot be read.
    KeyFileError
        If it is none of keys, or others may write to it.
    """
    with open(path, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        text = file.read()
    if os.name == "posix" and mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise KeyFileError(
            f"{path}: others than its owner may write to it, and could make keys: "
            f"chmod go-w {path}"
        )
    try:
        found = json.loads(text)
        if found["format"] != FORMAT:
            raise ValueError
        version = found["version"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise KeyFileError(
            f"{path}: this is no file of keys. `sklearn-causalrec keys make` makes "
            "one; the key that signs a model is --key-file."
        ) from None
    if version != VERSION:
        raise KeyFileError(
            f"{path} has format {version!r}, and this version of sklearn-causalrec "
            f"reads {VERSION}."
        )
    entries = found.get("keys")
    if not isinstance(entries, list):
        raise KeyFileError(f"{path}: keys is no list.")
    met = set()
    for n, one in enumerate(entries):
        try:
            _check(one)
            if one["id"] in met:
                raise ValueError("there are two of this id")
            met.add(one["id"])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise KeyFileError(f"{path}: key {n}: {error}") from None
    return entries


def _check(entry):
    """Refuse an entry that is none; nothing in it is guessed."""
    names = {"id", "name", "scopes", "sha256", "made", "expires", "revoked", "rate"}
    if set(entry) != names:
        raise ValueError(f"the fields have to be {sorted(names)}")
    if not re.fullmatch("[0-9a-f]{8}", entry["id"]):
        raise ValueError("the id is none")
    if not NAME.fullmatch(entry["name"]):
        raise ValueError("the name has control characters, or not 1 to 64 characters")
    if not re.fullmatch("[0-9a-f]{64}", entry["sha256"]):
        raise ValueError("sha256 is no hash")
    _scopes(entry["scopes"])
    _rate(entry["rate"])
    for name in ("made", "expires", "revoked"):
        if entry[name] is None and name != "made":
            continue
        if datetime.fromisoformat(entry[name]).tzinfo is None:
            raise ValueError(f"{name} has no time zone")


def _scopes(scopes):
    if not isinstance(scopes, list) or not scopes:
        raise ValueError(f"scopes: one or more of {', '.join(SCOPES)}")
    for scope in scopes:
        if scope not in SCOPES:
            raise ValueError(f"{scope!r} is no scope: choose of {', '.join(SCOPES)}")


def _rate(rate):
    if rate is not None and not re.fullmatch(
        r"[1-9]\d{0,8}/(second|minute|hour)", rate
    ):
        raise ValueError(f'{rate!r} is no rate: such as "100/second" or "5000/hour"')


def make_key(path, name, scopes, days=90, rate=None):
    """Make a key, and put its hash into a file.

    Parameters
    ----------
    path : path-like
        The file. It is made if there is none.
    name : str
        Whose key it is, for those who read the file.
    scopes : list of str
        What it is for, of "recommend", "explain", "audit" and "admin".
    days : float or None, default=90
        The days after which it expires. With None it does not.
    rate : str or None, default=None
        How often it may be used, such as "100/second". None: what the server says.

    Returns
    -------
    key : str
        The key. It is nowhere else.
    entry : dict
        What the file says of it.
    """
    try:
        if not NAME.fullmatch(name):
            raise ValueError("a name has 1 to 64 characters, and no control characters")
        _scopes(list(scopes))
        _rate(rate)
        if days is not None and not 0 < days <= 36500:
            raise ValueError(f"{days} days: more than 0, at most 36500")
    except ValueError as error:
        raise KeyFileError(str(error)) from None
    now = datetime.now(UTC)
    expires = None if days is None else now + timedelta(days=days)
    with _changed(path, make=True) as entries:
        taken = {one["id"] for one in entries}
        mine = next(i for i in iter(lambda: secrets.token_hex(4), "") if i not in taken)
        key = f"{PREFIX}_{mine}_{secrets.token_urlsafe(32)}"
        entry = {
            "id": mine,
            "name": name,
            "scopes": [scope for scope in SCOPES if scope in scopes],
            "sha256": hashlib.sha256(key.encode()).hexdigest(),
            "made": now.isoformat(timespec="seconds"),
            "expires": expires and expires.isoformat(timespec="seconds"),
            "revoked": None,
            "rate": rate,
        }
        entries.append(entry)
    return key, entry


def revoke_key(path, id):
    """Revoke a key. Its entry stays, for those who read the audit.

    Parameters
    ----------
    path : path-like
        The file.
    id : str
        The id of the key.

    Returns
    -------
    dict
        What the file says of it.
    """
    with _changed(path) as entries:
        found = [one for one in entries if one["id"] == id]
        if not found:
            raise KeyFileError(f"{path}: there is no key {id!r}")
        if found[0]["revoked"] is not None:
            raise KeyFileError(f"{path}: {id} was revoked on {found[0]['revoked']}")
        found[0]["revoked"] = datetime.now(UTC).isoformat(timespec="seconds")
    return found[0]


@contextmanager
def _changed(path, make=False):
    """The entries of a file, which are written back where no error came."""
    path = Path(path)
    with locked(path.parent):
        entries = [] if make and not path.exists() else read_keys(path)
        yield entries
        whole = {"format": FORMAT, "version": VERSION, "keys": entries}
        write(path, (json.dumps(whole, indent=1) + "\n").encode(), mode=0o600)
