"""Files of all versions so far: they open, and answer as they did."""

import importlib.util
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_causalrec import load
from sklearn_causalrec.serving import container, read_manifest

spec = importlib.util.spec_from_file_location(
    "make_fixtures", Path(__file__).with_name("make_fixtures.py")
)
make_fixtures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_fixtures)
FILES = sorted(make_fixtures.FOLDER.glob("*/*.crec"))


def test_there_are_files_of_every_version():
    versions = {int(path.parent.name) for path in FILES}
    assert versions == set(range(1, container.VERSION + 1))


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_a_file_of_an_earlier_version_answers_as_it_did(path):
    key = make_fixtures.KEY if path.stem == make_fixtures.SIGNED else None
    said = json.loads(path.with_name("answers.json").read_text())[path.stem]
    assert said
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of another version of scikit-learn
        model = load(path, key=key)
    found = make_fixtures.answers(model)
    assert found.keys() == said.keys()
    for name, values in said.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6)
    assert read_manifest(path, key=key)["version"] == int(path.parent.name)
    if hasattr(model, "get_params"):  # parameters that came later have their defaults
        clone(model)
        assert type(model).__name__ in repr(model)
