"""The file itself: a head with a seal over all that follows, and parts of bytes.

======  =====  =================================================================
bytes   what   meaning
======  =====  =================================================================
0-7     magic  ``\\x93CREC\\r\\n\\x1a``; a transfer as text breaks it
8-11    uint   the version of the format
12-15   uint   1 if the seal is an HMAC-SHA256 by a key, 0 if it is a SHA-256
16-23   uint   the number of bytes after the head
24-55   seal   of the head's first 24 bytes, and all bytes after the head
56-     body   the length of the manifest (8 bytes), the manifest, the parts
======  =====  =================================================================

Nothing of the body is parsed before the seal has been compared. The manifest is JSON;
it says where the parts lie, and the SHA-256 of each.
"""

import hashlib
import hmac
import json
import os
import secrets
import stat
import struct
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path

MAGIC = b"\x93CREC\r\n\x1a"
VERSION = 1  # of the format; a reader reads its own and all before
HEAD = struct.Struct("<8sIIQ32s")
SEALED = 24  # bytes of the head that the seal covers
LENGTH = struct.Struct("<Q")
SIGNED = 1

MAX_FILE = 1 << 35
MAX_MANIFEST = 1 << 20
# JSON of repeated structure shrinks a lot; more than this is made to burst.
MAX_EXPANSION = 64
SPARE = 1 << 16
MAX_PACKED = 1 << 26  # larger parts stay as they are, so that opening is quick


class ModelFileError(ValueError):
    """A file that cannot be opened: foreign, damaged, of a later version, not signed.

    See Also
    --------
    load : Raises it.
    save : Writes files.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_causalrec.serving import ModelFileError, load
    >>> path = Path(tempfile.mkdtemp(), "notes.crec")
    >>> _ = path.write_text("not a model")
    >>> try:
    ...     load(path)
    ... except ModelFileError as error:
    ...     print(str(error)[-40:])
    this is not a file that save has written
    """


def key_bytes(key):
    """The key as bytes, or None; text counts as UTF-8.

    Parameters
    ----------
    key : bytes, str or None

    Raises
    ------
    TypeError, ValueError
        If it is something else, or empty.
    """
    if key is None:
        return None
    if isinstance(key, str):
        key = key.encode()
    if not isinstance(key, bytes | bytearray | memoryview):
        raise TypeError(
            f"key is {type(key).__name__}: pass bytes, such as secrets.token_bytes(32)."
        )
    if not len(key):
        raise ValueError("key is empty: pass bytes, such as secrets.token_bytes(32).")
    return bytes(key)


def _seal(head, body, key):
    if key is None:
        digest = hashlib.sha256(head)
    else:
        digest = hmac.new(key, head, hashlib.sha256)
    digest.update(body)
    return digest.digest()


def pack(manifest, parts, key=None):
    """The bytes of a file.

    Parameters
    ----------
    manifest : dict
        What JSON can hold; ``parts`` is added to it.
    parts : dict of str to bytes
        By name.
    key : bytes or None, default=None
        What signs the file.

    Returns
    -------
    bytes
    """
    packed, entries, start = [], {}, 0
    for name, data in parts.items():
        small = zlib.compress(data, 6) if len(data) <= MAX_PACKED else data
        if not len(small) < 0.9 * len(data) < MAX_EXPANSION * len(small):
            small = data
        entries[name] = {
            "start": start,
            "size": len(small),
            "expanded": len(data),
            "sha256": hashlib.sha256(small).hexdigest(),
        }
        packed.append(small)
        start += len(small)
    text = json.dumps({**manifest, "parts": entries}, allow_nan=False).encode()
    body = b"".join([LENGTH.pack(len(text)), text, *packed])
    return sealed(body, key)


def sealed(body, key=None, version=VERSION):
    """A body with the head that goes before it, as bytes."""
    flags = 0 if key is None else SIGNED
    head = HEAD.pack(MAGIC, version, flags, len(body), bytes(32))[:SEALED]
    return head + _seal(head, body, key) + body


def opened(data, key, where):
    """The body of a file whose head and seal are right.

    Parameters
    ----------
    data : bytes
        The file.
    key : bytes or None
        What signs it.
    where : path
        For messages.

    Returns
    -------
    memoryview

    Raises
    ------
    ModelFileError
        If the file is foreign, of a later version, truncated, damaged, or not signed by
        this key.
    """

    def refuse(why):
        raise ModelFileError(f"{where}: {why}")

    if data[: len(MAGIC)] != MAGIC[: len(data)] or not data:
        refuse("this is not a file that save has written")
    if len(data) < HEAD.size:
        refuse(f"the file is truncated: it has {len(data)} bytes")
    _, version, flags, size, seal = HEAD.unpack_from(data)
    body = memoryview(data)[HEAD.size :]
    if key is not None and not flags & SIGNED:
        refuse(
            "the file is not signed, and key= was given. Without key=, load opens "
            "files that nobody has signed: do so only if you know who wrote it"
        )
    if key is None and flags & SIGNED:
        refuse("the file is signed: pass key=, the one that it was saved with")
    if version > VERSION:
        refuse(
            f"the file has format {version}, and this version of sklearn-causalrec "
            f"reads up to {VERSION}: install a later one"
        )
    right = hmac.compare_digest(_seal(data[:SEALED], body, key), seal)
    if len(body) != size:
        more = "truncated" if len(body) < size else "longer than it was written"
        refuse(f"the file is {more}: {len(body)} of {size} bytes after its head")
    if not right and key is not None:
        refuse("the signature is wrong: another key, or the file was changed")
    if not right:
        refuse("the file is damaged: its bytes are not those that save wrote")
    if flags not in (0, SIGNED) or version < 1:
        refuse("the head of the file is not one that save writes")
    return body


def unpack(body, where):
    """The manifest, and the parts that it lists.

    Parameters
    ----------
    body : memoryview
        What :func:`opened` returned.
    where : path
        For messages.

    Returns
    -------
    manifest : dict
    part : callable
        ``part(name)`` returns the bytes of a part.
    """

    def refuse(why):
        raise ModelFileError(f"{where}: {why}")

    if len(body) < LENGTH.size:
        refuse("there is no manifest")
    (size,) = LENGTH.unpack_from(body)
    if size > min(MAX_MANIFEST, len(body) - LENGTH.size):
        refuse(f"the manifest cannot have {size} bytes")
    stop = LENGTH.size + size
    manifest = json.loads(bytes(body[LENGTH.size : stop]))
    if not isinstance(manifest, dict) or not isinstance(manifest.get("parts"), dict):
        refuse("the manifest lists no parts")
    packed = body[stop:]

    def part(name):
        entry = manifest["parts"][name]
        start, size, expanded = (entry[k] for k in ("start", "size", "expanded"))
        if not all(type(k) is int for k in (start, size, expanded)):
            refuse(f"part {name!r} is not where a part can be")
        if not 0 <= start <= start + size <= len(packed):
            refuse(f"part {name!r} is not where a part can be")
        data = bytes(packed[start : start + size])
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            refuse(f"part {name!r} has another SHA-256 than the manifest says")
        if expanded == size:
            return data
        if not size < expanded <= MAX_EXPANSION * size + SPARE:
            refuse(f"part {name!r} would grow from {size} to {expanded} bytes")
        reader = zlib.decompressobj()
        whole = reader.decompress(data, expanded)
        if len(whole) != expanded or not reader.eof or reader.unused_data:
            refuse(f"part {name!r} has not the {expanded} bytes that it should")
        return whole

    return manifest, part


def read(path):
    """The bytes of a regular file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    bytes

    Raises
    ------
    OSError
        If it cannot be read.
    ModelFileError
        If it is no file, or too large to be one of ours.
    """
    path = Path(path)
    # A pipe must not keep us waiting; Windows has no such pipes, and a text mode.
    how = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, how), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ModelFileError(f"{path}: this is not a regular file")
        if found.st_size > MAX_FILE:
            raise ModelFileError(
                f"{path}: {found.st_size} bytes are more than the {MAX_FILE} that a "
                "model may have"
            )
        return file.read()


def write(path, data, mode=0o666):
    """Put bytes into a file, all or nothing.

    They are written to a file beside it, which then takes its name. Whatever happens on
    the way, under the name there is the old file or the new one.

    Parameters
    ----------
    path : path-like
    data : bytes
    mode : int, default=0o666
        Who may read and write the file, less what the process masks.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name a file in it.")
    beside = path.with_name(f".{path.name[:80]}.{secrets.token_hex(8)}.part")
    try:
        with open(beside, "xb", opener=lambda p, how: os.open(p, how, mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    with suppress(OSError):  # a folder cannot be opened on every system
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def locked(folder):
    """One process at a time changes the files of a folder, where the system can lock.

    Parameters
    ----------
    folder : path-like
        The folder.
    """
    try:
        import fcntl
    except ImportError:  # not a system of POSIX
        yield
        return
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)
