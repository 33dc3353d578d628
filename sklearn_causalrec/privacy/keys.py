"""Keys that are used and never shown: not in a parameter, a repr or a pickle."""

import hashlib
import hmac
import os
from pathlib import Path

LEAST_BYTES = 32
FEWEST_BYTES = 8  # different ones: 32 random bytes have some 30
WAY_OUT = (
    "Pass bytes, such as those of secrets.token_bytes(32); a pathlib.Path of a file, "
    'or "env:NAME" for an environment variable, that holds the digits of '
    "secrets.token_hex(32)."
)


class Key:
    """A secret key, or where it is read from each time that it is used.

    The bytes of a key are not in its ``repr``, and neither ``pickle`` nor
    :func:`sklearn_causalrec.save` writes them. What is unpickled knows the fingerprint,
    and where the key is, if that is a file or an environment variable.

    Parameters
    ----------
    source : bytes, path-like or str
        The key itself as bytes; the path of a file; or ``"env:NAME"``, the name of an
        environment variable. File and variable hold hex digits, as
        ``secrets.token_hex(32)`` writes them, with white space around.

    Attributes
    ----------
    place : str or None
        Where the key is, such as "env:NAME". None if it was passed as bytes.

    See Also
    --------
    Pseudonymizer : What such a key is for.

    Examples
    --------
    >>> import pickle
    >>> from sklearn_causalrec.privacy import Key
    >>> key = Key(bytes(range(32)))
    >>> key
    Key(fingerprint='837b7f6f')
    >>> bytes(range(32)) in pickle.dumps(key)
    False
    """

    def __init__(self, source):
        self.place, self._secret, self._known = None, None, None
        if isinstance(source, bytes | bytearray | memoryview):
            self._secret = _checked(bytes(source), "The key")
            self._known = _fingerprint(self._secret)
        elif isinstance(source, os.PathLike):
            self.place = f"file:{os.fspath(source)}"
        elif isinstance(source, str) and source.startswith(("env:", "file:")):
            self.place = source
        else:
            # The message does not repeat a text: it may be the key.
            raise TypeError(
                f"key is {'a text' if isinstance(source, str) else type(source)}, "
                f"which could be a key or the name of one. {WAY_OUT}"
            )

    @property
    def fingerprint(self):
        """Eight hex digits that tell keys apart, and do not tell the key.

        Returns
        -------
        str
            The digits, made from the key by HMAC-SHA256.
        """
        if self._known is None:
            return _fingerprint(self.secret())
        return self._known

    def secret(self):
        """Return the bytes of the key.

        Returns
        -------
        bytes
            The key.

        Raises
        ------
        ValueError
            If the file or variable does not exist, or holds no key of 32 bytes or more;
            or if the key was passed as bytes to an object that was pickled since.
        """
        if self._secret is not None:
            return self._secret
        if self.place is None:
            raise ValueError(
                f"The key {self.fingerprint} was passed as bytes, and does not travel "
                "with the object: give it again, set_params(key=...). Keys of files "
                "and of environment variables are found again by themselves."
            )
        kind, _, name = self.place.partition(":")
        what = f"key={self.place!r}"
        if kind == "env":
            text = os.environ.get(name)
            if text is None:
                raise ValueError(f"{what}: there is no such environment variable.")
        else:
            try:
                text = Path(name).read_bytes().decode("ascii")
            except OSError as error:
                raise ValueError(
                    f"{what} cannot be read: {error.strerror or type(error).__name__}."
                ) from None
            except UnicodeDecodeError:
                text = ""
        try:
            found = bytes.fromhex(text.strip())
        except ValueError:
            found = b""
        if not found:
            raise ValueError(
                f"{what} does not hold a key as hex digits: write it there by "
                "secrets.token_hex(32), or pass its bytes."
            )
        return _checked(found, what)

    def derive(self, purpose):
        """Make a key for one purpose, from which no other can be told.

        Parameters
        ----------
        purpose : str
            What the key is for.

        Returns
        -------
        bytes
            32 bytes, by HMAC-SHA256.
        """
        return _derive(self.secret(), purpose)

    def __eq__(self, other):
        if not isinstance(other, Key):
            return NotImplemented
        if self._secret is None or other._secret is None:
            return (self.place, self._known) == (other.place, other._known)
        return hmac.compare_digest(self._secret, other._secret)

    def __hash__(self):
        return hash((self.place, self._known))

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self  # so that clone keeps it: it does not change

    def __getstate__(self):
        return {"place": self.place, "_secret": None, "_known": self._known}

    def __repr__(self):
        if self.place is not None:
            return f"Key({self.place!r})"
        return f"Key(fingerprint={self._known!r})"


def as_key(key):
    """The key as a :class:`Key`; None stays None.

    Parameters
    ----------
    key : Key, bytes, path-like, str or None
        The key, as :class:`Key` takes it.

    Returns
    -------
    Key or None
    """
    return key if key is None or isinstance(key, Key) else Key(key)


def _derive(secret, purpose):
    message = f"sklearn_causalrec 1\0{purpose}".encode("utf-8", "surrogatepass")
    return hmac.digest(secret, message, hashlib.sha256)


def _fingerprint(secret):
    return _derive(secret, "fingerprint").hex()[:8]


def _checked(secret, what):
    if len(secret) < LEAST_BYTES:
        raise ValueError(
            f"{what} has {len(secret)} bytes, and at least {LEAST_BYTES} are needed: "
            f"ids can be guessed one by one, so the key must not be. {WAY_OUT}"
        )
    if len(set(secret)) < FEWEST_BYTES:
        raise ValueError(
            f"{what} repeats {len(set(secret))} different bytes: that is no random "
            f"key. {WAY_OUT}"
        )
    return secret
