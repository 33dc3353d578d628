"""What the package needs, as pinned in constraints.txt, and under which licences.

``python .ci/packages.py needs`` prints the runtime needs with their versions, for a
bill of materials; ``python .ci/packages.py licences`` checks all that is pinned and
installed, and ends with status 1 where a licence is not on the list, or not told.
"""

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
# Licences under which code may be used, changed and passed on without passing ours on.
ALLOWED = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|Python-2\.0|Zlib|HPND|MPL|"
    r"Mozilla Public|Unlicense|0BSD|CC0|Public Domain|Boost|BSL-1\.0",
    re.IGNORECASE,
)
# Packages that tell their licence in no field of their metadata, or in other words:
# name -> what their repository says.
BY_HAND: dict[str, str] = {}
# Programs that contributors run, of which nothing is shipped or imported.
PROGRAMS = {"codespell"}


def pinned():
    """Versions by name."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if "==" in line and line[0] != "#"]
    return {canonicalize_name(name): version for name, version in pairs}


def needs():
    """Names of all that an installation without extras brings, and their versions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found, queue = {}, [Requirement(text) for text in project["dependencies"]]
    direct = {canonicalize_name(requirement.name) for requirement in queue}
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate()):
            continue
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            if name in direct:
                sys.exit(f"{name} is not installed: pip install -c constraints.txt .")
            continue  # of another platform, or CUDA's
        found[name] = pinned().get(name, installed.version)
        for text in installed.requires or ():
            further = Requirement(text)
            if not further.marker or further.marker.evaluate({"extra": ""}):
                queue.append(further)
    return dict(sorted(found.items()))


def licence(name):
    """What the metadata of an installed package say of its licence."""
    about = distribution(name).metadata
    told = [about.get("License-Expression") or ""]
    told += [c.split("::")[-1] for c in about.get_all("Classifier") or ()
             if c.startswith("License ::")]  # fmt: skip
    told += (about.get("License") or "").strip().splitlines()[:1]
    return BY_HAND.get(name) or " | ".join(filter(None, map(str.strip, told)))


def check_licences():
    """Print licences that are not on the list; how many there are."""
    bad = seen = 0
    for name in pinned():
        try:
            told = licence(name)
        except PackageNotFoundError:
            continue
        seen += 1
        if name not in PROGRAMS and not ALLOWED.search(told):
            bad += 1
            print(f"{name}: {told or 'no licence is told'}")
    print(f"{seen} of {len(pinned())} pinned packages are installed, {bad} to look at")
    return bad


if __name__ == "__main__":
    if sys.argv[1:] == ["needs"]:
        print("\n".join(f"{name}=={version}" for name, version in needs().items()))
    elif sys.argv[1:] == ["licences"]:
        sys.exit(1 if check_licences() else 0)
    else:
        sys.exit(__doc__)
