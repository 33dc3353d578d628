"""Files that somebody has changed: by chance, and by intent with a seal that is right.

A change of bytes breaks the seal, and the reader need not look further. So most
attacks put the seal right again, as whoever writes an unsigned file can.
"""

import copy
import gzip
import io
import json
import tarfile
import zipfile
from functools import cache

import numpy as np

from sklearn_causalrec.serving import container

# Names whose use would run code, or touch files, if the reader believed the file.
HOSTILE = [
    "os:system", "posix:system", "builtins:eval", "builtins:exec", "builtins:open",
    "builtins:__import__", "builtins:getattr", "builtins:type", "builtins:object",
    "subprocess:Popen", "subprocess:call", "pickle:loads", "torch:load", "numpy:load",
    "numpy:save", "numpy:fromfile", "joblib:load", "joblib.memory:Memory",
    "functools:partial", "importlib:import_module", "shutil:rmtree", "pathlib:Path",
    "sklearn.utils._testing:assert_run_python_script", "sklearn.svm:SVC",
    "sklearn.neighbors:KNeighborsRegressor", "sklearn.datasets:fetch_openml",
    "sklearn.tree._tree:Tree", "sklearn._loss._loss:CyHuberLoss",
    "sklearn_causalrec.serving.files:save", "sklearn_causalrec.serving.files:container",
    "sklearn_causalrec._testing.fuzz.files:attack",
    "sklearn_causalrec.recommender:copy",
    "sklearn_causalrec.encoding.roles:__class__", "sklearn_causalrec..os:system",
    "sklearn_causalrec.policy:BaseEstimator", "../evil:Evil", "evil:Evil", ":", "a:b:c",
    "skorch.net:NeuralNet", "torch.utils.data:DataLoader", "torch.hub:load",
]  # fmt: skip
ODD = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**70), 0.5, -0.0, 1e308, "",
    "nan", "inf", "object", "array", "\ud800", [], [0], [1], [-1], [10**9], ["nan"],
    [[0]], [None], {}, {"a": 1}, {"__class__": [0]}, "__class__", "__dict__", "x" * 999,
]  # fmt: skip
KINDS = "list tuple set frozenset dict array objects name record made object".split()


def take_apart(data, key=None):
    """The manifest, the document of the state, and the arrays of a file's bytes.

    Parameters
    ----------
    data : bytes
        The file, as ``save`` wrote it.
    key : bytes or None, default=None
        What signed it.

    Returns
    -------
    manifest : dict
    document : dict
    arrays : bytes
    """
    manifest, part = container.unpack(container.opened(data, key, "file"), "file")
    return manifest, json.loads(part("state")), part("arrays")


def put_together(manifest, document, arrays, key=None):
    """The bytes of a file with these parts, sealed."""
    state = document if isinstance(document, bytes) else json.dumps(document).encode()
    return container.pack(manifest, {"state": state, "arrays": arrays}, key)


def _bytes(data, rng):
    """Bytes changed, cut, moved, repeated."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        a, b = sorted(rng.integers(0, len(data) + 1, 2).tolist())
        way = rng.integers(7)
        if way <= 1 and data:
            data[min(a, len(data) - 1)] ^= 1 << int(rng.integers(8))
        elif way == 2:
            del data[a : min(b, a + 64)]
        elif way == 3:
            data[a:a] = rng.bytes(int(rng.integers(1, 64)))
        elif way == 4:
            del data[a:]
        elif way == 5:
            data[a:a] = data[a : min(b, a + 4096)]
        else:
            data[a:b] = data[a:b][::-1]
    return bytes(data)


def _places(document):
    """Every place of a JSON document as (container, key)."""
    found, queue = [], [document]
    while queue:
        node = queue.pop()
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in list(items):
            found.append((node, key))
            if isinstance(value, dict | list):
                queue.append(value)
    return found


def _json(document, rng):
    """A document with some of its values replaced, exchanged or left out."""
    document = copy.deepcopy(document)
    for _ in range(rng.integers(1, 5)):
        places = _places(document)
        node, key = places[rng.integers(len(places))]
        other, other_key = places[rng.integers(len(places))]
        way = rng.integers(7)
        if way <= 1:
            node[key] = copy.deepcopy(ODD[rng.integers(len(ODD))])
        elif way == 2:
            node[key] = copy.deepcopy(other[other_key])
        elif way == 3:
            del node[key]
        elif way == 4 and isinstance(node, list):
            node.insert(int(rng.integers(len(node) + 1)), copy.deepcopy(node[key]))
        elif way == 5 and type(node[key]) is int:
            node[key] += int(rng.integers(-3, 4))
        elif isinstance(node[key], str):
            node[key] = KINDS[rng.integers(len(KINDS))]
    return document


def _hostile(document, rng):
    """A document that names what must never be found, and uses it."""
    document = copy.deepcopy(document)
    name = HOSTILE[rng.integers(len(HOSTILE))]
    names, nodes = document["names"], document["nodes"]
    way = rng.integers(3)
    if way == 0 and names:
        names[rng.integers(len(names))] = name
        return document
    names.append(name)
    first = len(nodes)
    used = [
        ["object", len(names) - 1, {"args": ["echo"], "__setstate__": [first + 1]}],
        ["name", len(names) - 1],
        ["made", "partial", [first + 1], [first + 3], [first + 4]],
        ["tuple", "touch hacked"],
        ["dict"],
        ["made", "defaultdict", [first + 1], [first + 4]],
    ]
    nodes += used
    objects = [n for n in nodes if n and n[0] == "object" and isinstance(n[2], dict)]
    target = objects[rng.integers(len(objects))][2]
    keys = [*target, "predict", "func", "__reduce__", "_forward_hooks", "__call__"]
    target[keys[rng.integers(len(keys))]] = [first + int(rng.choice([0, 1, 2, 5]))]
    return document


def _numbers(arrays, rng):
    """The numbers of arrays changed; their layout stays."""
    start = 8 + int.from_bytes(arrays[:8], "little")
    data = bytearray(arrays)
    for _ in range(rng.integers(1, 30)):
        at = int(rng.integers(start, len(data))) if start < len(data) else 0
        size = int(rng.integers(1, 9))
        fill = [b"\xff" * size, bytes(size), rng.bytes(size)][rng.integers(3)]
        data[at : at + size] = fill[: len(data) - at]
    return bytes(data)


def _order(manifest, document, arrays, rng):
    """Lists of the state, or places of arrays, in another order; all else is right."""
    document, way = copy.deepcopy(document), rng.integers(4)
    if way == 3:
        size = int.from_bytes(arrays[:8], "little")
        header = json.loads(arrays[8 : 8 + size])
        names = [name for name in header if name != "__metadata__"]
        places = [header[name]["data_offsets"] for name in names]
        for name, k in zip(names, rng.permutation(len(names))):
            header[name]["data_offsets"] = places[k]
        text = json.dumps(header).encode()
        arrays = len(text).to_bytes(8, "little") + text + arrays[8 + size :]
    else:
        listed = document[("names", "dtypes", "nodes")[way]]
        order = rng.permutation(len(listed))
        listed[:] = [listed[k] for k in order]
    return put_together(manifest, document, arrays)


def _size(data, rng):
    """A file that says it is larger, or has larger parts, or is: sealed anew."""
    head, body = data[: container.HEAD.size], data[container.HEAD.size :]
    (length,) = container.LENGTH.unpack_from(body)
    stop = container.LENGTH.size + length
    manifest, way = json.loads(body[container.LENGTH.size : stop]), rng.integers(5)
    if way == 0:
        claim = int(rng.choice([0, 1, 1 << 31, 1 << 62])).to_bytes(8, "little")
        return head[:16] + claim + head[24:] + body
    if way == 1:
        return container.sealed(body + bytes(int(rng.integers(1, 1 << 21))))
    if way == 2:
        manifest["note"] = "x" * int(rng.integers(1 << 19, 1 << 21))
    else:
        parts = list(manifest["parts"].values())
        field = ("start", "size", "expanded")[rng.integers(3)]
        by = int(rng.choice([1, 7, 1 << 10, 1 << 31, 1 << 62]))
        parts[rng.integers(len(parts))][field] += by
    text = json.dumps(manifest).encode()
    return container.sealed(container.LENGTH.pack(len(text)) + text + body[stop:])


@cache
def _strangers():
    """Files of other formats, which run code, burst, or write where they should not."""
    packed, found = io.BytesIO(), {}
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("../../../../tmp/hacked", "x")
        file.writestr("/tmp/hacked", "x")
        file.writestr("archive/data.pkl", b"cos\nsystem\n(S'touch hacked'\ntR.")
    found["zip"] = packed.getvalue()
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros", bytes(1 << 24))
    found["zip bomb"] = bomb.getvalue()
    found["gzip bomb"] = gzip.compress(bytes(1 << 24))
    tape = io.BytesIO()
    with tarfile.open(fileobj=tape, mode="w") as file:
        there = tarfile.TarInfo("../../tmp/hacked")
        there.type, there.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(there)
    found["tar"] = tape.getvalue()
    found["pickle"] = b"cos\nsystem\n(S'touch hacked'\ntR."
    found["pickle 4"] = (
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0ctouch hacked\x85R."
    )
    table = io.BytesIO()
    np.save(table, np.array([{}], dtype=object), allow_pickle=True)
    found["npy of objects"] = table.getvalue()
    found["script"] = b"#!/bin/sh\ntouch hacked\n"
    found["yaml"] = b"!!python/object/apply:os.system ['touch hacked']\n"
    return found


def _stranger(manifest, document, arrays, rng):
    """A file of another format: as the file, as its body, or as a part."""
    names = sorted(_strangers())
    data = _strangers()[names[rng.integers(len(names))]]
    way = rng.integers(5)
    if way == 0:
        return data
    if way == 1:
        return container.MAGIC + data
    if way == 2:
        return container.sealed(container.LENGTH.pack(len(data)) + data)
    if way == 3:
        return put_together(manifest, data, arrays)
    return put_together(manifest, document, data)


_ELSEWHERE = [
    "../../../../etc/passwd", "/etc/passwd", "..\\..\\secret", "file:///etc/passwd",
    "~/.ssh/id_rsa", "/dev/zero", "/proc/self/mem", "C:\\boot.ini", "\0", "//host/a",
]  # fmt: skip


def _elsewhere(document, rng):
    """A document whose words are paths of other files."""
    document = copy.deepcopy(document)
    words = [(n, k) for n, k in _places(document) if isinstance(n[k], str)]
    for _ in range(rng.integers(1, 4)):
        node, key = words[rng.integers(len(words))]
        node[key] = _ELSEWHERE[rng.integers(len(_ELSEWHERE))]
    return document


KINDS_OF_ATTACK = ["bytes", "seal", "manifest", "state", "name", "numbers", "layout",
                   "text", "order", "size", "stranger", "path", "swap"]  # fmt: skip


def attack(data, rng, other=None):
    """The bytes of a file after an attack on them.

    Parameters
    ----------
    data : bytes
        A file without a signature.
    rng : Generator
        What the attack is drawn from.
    other : bytes or None, default=None
        Another file, for attacks that exchange parts; by default the file itself.

    Returns
    -------
    kind : str
    bytes
    """
    kind = str(rng.choice(KINDS_OF_ATTACK))
    if kind == "bytes":
        return kind, _bytes(data, rng)
    if kind == "seal":
        return kind, container.sealed(_bytes(data[container.HEAD.size :], rng))
    if kind == "size":
        return kind, _size(data, rng)
    manifest, document, arrays = take_apart(data)
    if kind == "manifest":
        body = data[container.HEAD.size :]
        size = container.LENGTH.unpack_from(body)[0] + container.LENGTH.size
        text = json.dumps(_json(manifest, rng)).encode()
        return kind, container.sealed(
            container.LENGTH.pack(len(text)) + text + body[size:]
        )
    if kind == "order":
        return kind, _order(manifest, document, arrays, rng)
    if kind == "stranger":
        return kind, _stranger(manifest, document, arrays, rng)
    if kind == "state":
        document = _json(document, rng)
    elif kind == "name":
        document = _hostile(document, rng)
    elif kind == "path":
        document = _elsewhere(document, rng)
    elif kind == "numbers":
        arrays = _numbers(arrays, rng)
    elif kind == "layout":
        arrays = _bytes(arrays, rng)
    elif kind == "swap":
        _, others, bits = take_apart(other or data)
        way = rng.integers(3)  # the state, the arrays, or lists of the state
        if way == 0:
            document = others
        elif way == 1:
            arrays = bits
        else:
            document = {**document, "nodes": others["nodes"]}
    else:
        document = _bytes(json.dumps(document).encode(), rng)
    return kind, put_together(manifest, document, arrays)


def bombs():
    """Files made to burst: (name, bytes), each small and asking for much."""
    empty = {"root": [0], "names": [], "dtypes": [], "nodes": [["list"]]}
    manifest = {"format": "sklearn-causalrec model"}
    from safetensors.numpy import save

    none = save({})
    yield "deep JSON", put_together(manifest, b"[" * 10**6, none)
    yield "long number", put_together(manifest, b"1" * 10**6, none)
    deep = {**empty, "nodes": [["list", [j + 1]] for j in range(9999)] + [["list"]]}
    yield "deep lists", put_together(manifest, deep, none)
    circle = {**empty, "nodes": [["tuple", [1]], ["tuple", [0]]]}
    yield "circle of tuples", put_together(manifest, circle, none)
    bits = save({"0": np.zeros(8)})
    for shape in ([2**40], [2**62, 4], [-1], [8, 2**63], [0, 2**62], [8.0], ["8"]):
        node = [["list", [1]], ["array", 0, shape]]
        document = {**empty, "dtypes": ["<f8"], "nodes": node}
        yield f"array of {shape}", put_together(manifest, document, bits)
    for spec in ("O", "<O", "<U99999999", "|V0", "f8,f8", {"names": ["a"]}, "<f8 " * 9):
        node = [["list", [1]], ["array", 0, [1]]]
        document = {**empty, "dtypes": [spec], "nodes": node}
        yield f"dtype {spec!r:.20}", put_together(manifest, document, bits)
    same = {**empty, "dtypes": ["<f8"],
            "nodes": [["list", *([j] for j in range(1, 999))],
                      *[["array", 0, [8]]] * 998]}  # fmt: skip
    yield "the same bytes 998 times", put_together(manifest, same, bits)
    for code in ("<U999999999", "|S999999999", "<M8[999s]", "O"):
        node = ["made", "scalar", code, "x"]
        document = {**empty, "nodes": [["list", [1]], node]}
        yield f"scalar {code}", put_together(manifest, document, none)
    for name, content in [
        ("Fraction", [1, 10**400]), ("range", [0, 10**300, 1]), ("slice", ["a", 1, 1]),
        ("Decimal", ["1e999999999999999999"]), ("ZoneInfo", ["../../../etc/passwd"]),
        ("pandas.time", [1, "ns", "dateutil//etc/passwd"]), ("torch.dtype", ["load"]),
        ("pandas.dtype", ["name", "interval[object]"]), ("loss", ["CyLossFunction"]),
        ("pandas.index", ["range", 0, 10**18, 1, None]), ("timedelta", [10**12, 0, 0]),
    ]:  # fmt: skip
        document = {**empty, "nodes": [["list", [1]], ["made", name, *content]]}
        yield f"{name} {content!r:.30}", put_together(manifest, document, none)
    # Zeros pack a thousandfold, and the reader believes 64-fold.
    import zlib

    packed = zlib.compress(b" " * (1 << 28), 9)
    text = json.dumps({**manifest, "parts": {
        name: {"start": 0, "size": len(packed), "expanded": 1 << 28,
               "sha256": container.hashlib.sha256(packed).hexdigest()}
        for name in ("state", "arrays")
    }}).encode()  # fmt: skip
    yield "a bomb", container.sealed(container.LENGTH.pack(len(text)) + text + packed)
    yield "no manifest", container.sealed(b"")
    yield "a long manifest", container.sealed(container.LENGTH.pack(1 << 60) + b"{}")
    yield "a manifest of no parts", container.sealed(container.LENGTH.pack(2) + b"[]")
