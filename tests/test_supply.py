"""What is handed on: the wheel is the same in every build, and licences are told."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("packages", ROOT / ".ci" / "packages.py")
packages = importlib.util.module_from_spec(spec)
spec.loader.exec_module(packages)


def builds_here():
    try:
        return int(version("setuptools").split(".")[0]) >= 77 and shutil.which("bash")
    except ImportError:
        return False


@pytest.mark.skipif(not builds_here(), reason="needs setuptools 77 and bash")
def test_two_builds_of_the_wheel_are_the_same(tmp_path):
    epoch = 1_700_000_000
    done = subprocess.run(
        ["bash", str(ROOT / ".ci" / "wheel"), str(tmp_path)],
        env={**os.environ, "PYTHON": sys.executable, "NO_ISOLATION": "1",
             "SOURCE_DATE_EPOCH": str(epoch)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.whl")
    told = path.with_name(path.name + ".sha256").read_text()
    assert told.split() == [hashlib.sha256(path.read_bytes()).hexdigest(), path.name]
    built = datetime.fromtimestamp(epoch, UTC).timetuple()[:6]
    with ZipFile(path) as wheel:
        names = wheel.namelist()
        assert {entry.date_time for entry in wheel.infolist()} == {built}
        modes = {entry.external_attr >> 16 & 0o777 for entry in wheel.infolist()}
        assert modes <= {0o644, 0o664, 0o755}
        assert not any("=" not in name and name.startswith("tests") for name in names)
    assert "sklearn_causalrec/datasets/data/acic2016_x.csv.gz" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_licences_of_what_is_installed_are_on_the_list(capsys):
    assert packages.check_licences() == 0, capsys.readouterr().out


def test_a_licence_that_is_not_on_the_list_is_told(monkeypatch, capsys):
    monkeypatch.setattr(packages, "BY_HAND", {"numpy": "AGPL-3.0", "scipy": " "})
    assert packages.check_licences() == 2
    assert "numpy: AGPL-3.0" in capsys.readouterr().out


def test_the_needs_of_an_installation_are_pinned():
    found, pinned = packages.needs(), packages.pinned()
    assert {"scikit-learn", "torch", "numpy", "safetensors"} <= found.keys()
    assert not {"pytest", "matplotlib", "fastapi", "onnx"} & found.keys()
    assert found["scikit-learn"] == pinned["scikit-learn"]
    # setuptools comes with the environment.
    assert set(found) - set(pinned) <= {"setuptools"}
