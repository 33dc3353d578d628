"""Fetch what the site bundles and its tests use from npm: python docs/vendor.py

Pyodide is Python for browsers, which runs the playground. axe-core checks that pages
can be read by everybody. Both stay in docs/_build/vendor, outside of the repository.
Versions and checksums are pinned here; what differs is not unpacked.
"""

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent / "_build" / "vendor"
# name: (version, SHA-512 as npm states it, the files that are used)
PACKAGES = {
    "pyodide": (
        "0.29.4",
        "tCseTsqU3kSxZIjkue5zXxTMNEwrKZwOIIEQRBA/VzHxFN1hoCxe4w41phfCdHd9it9RcCNQb5K"
        "/Re0InqMgvA==",
        (
            *("pyodide.mjs", "pyodide.asm.js", "pyodide.asm.wasm"),
            *("python_stdlib.zip", "pyodide-lock.json"),
        ),
    ),
    "axe-core": (
        "4.14.1",
        "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuF"
        "ooJpZe37OgudVGtQ==",
        ("axe.min.js",),
    ),
}


def fetch(name, version, checksum, files):
    """Fetch a package, unless it is there, and unpack some of its files."""
    target = FOLDER / name
    stamp = target / "version"
    if stamp.is_file() and stamp.read_text() == version:
        return
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "pack", "--silent", f"{name}@{version}"],
            cwd=folder, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        (package,) = Path(folder).glob("*.tgz")
        found = base64.b64encode(hashlib.sha512(package.read_bytes()).digest())
        if found.decode() != checksum:
            raise SystemExit(f"{name} {version} is not what it was: {found.decode()}")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        with tarfile.open(package) as archive:
            for file in files:
                content = archive.extractfile(f"package/{file}")
                (target / file).write_bytes(content.read())
    stamp.write_text(version)


def main():
    if shutil.which("npm") is None:
        sys.exit("npm is not installed: nothing is fetched.")
    for name, package in PACKAGES.items():
        fetch(name, *package)
        print(f"{name} {package[0]} is in {FOLDER / name}")


if __name__ == "__main__":
    main()
