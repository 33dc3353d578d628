"""Whether an effect is identified is asked with the standard library alone."""

import subprocess
import sys

CODE = """
import sys
for name in ("numpy", "pandas", "scipy", "sklearn", "torch"):
    sys.modules[name] = None  # importing it raises
from sklearn_causalrec.causal import CausalGraph, NotIdentifiableError

front = CausalGraph("shown -> click -> bought; shown <-> bought")
found = front.identify("bought", "shown")
print(found.strategy, len(found.derivation._repr_html_()) > 500)
print("<svg" in front._repr_html_(), front.to_dot().count("->"))
print(list(map(sorted, CausalGraph("z -> x -> y; z -> y").adjustment_sets("y", "x"))))
try:
    CausalGraph("x -> y; x <-> y").identify("y", "x")
except NotIdentifiableError as error:
    print(error.remedies["measure"])
"""


def test_identification_needs_no_library():
    told = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True
    ).stdout
    assert told.splitlines() == [
        "frontdoor True",
        "True 3",
        "[['z']]",
        "[(('x', 'y'),)]",
    ]
