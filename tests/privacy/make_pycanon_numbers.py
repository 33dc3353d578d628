"""What pycanon says of some tables: python make_pycanon_numbers.py > pycanon.json

pycanon pins old versions of numpy and pandas, so it runs in an environment of its own:
python -m venv env && env/bin/pip install pycanon.
"""

import json
from importlib.metadata import version

import numpy as np
import pandas as pd
from pycanon import anonymity

QUASI = ["age", "town", "sex"]
SENSITIVE = ["salary", "illness"]


def table(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 80))
    towns, illnesses = ["Bonn", "Ulm", "Kiel"], ["flu", "cold", "gout", "none"]
    return pd.DataFrame(
        {
            "age": 10 * rng.integers(2, 2 + rng.integers(2, 5), n),
            "town": rng.choice(towns[: rng.integers(1, 4)], n),
            "sex": rng.choice(["f", "m"], n),
            "salary": 100 * rng.integers(3, 3 + rng.integers(2, 30), n),
            "illness": rng.choice(illnesses[: rng.integers(2, 5)], n),
        }
    )


def numbers(frame):
    found = {"k": int(anonymity.k_anonymity(frame, QUASI))}
    for name in SENSITIVE:
        given = frame, QUASI, [name]
        found[f"l {name}"] = int(anonymity.l_diversity(*given))
        # a whole number: pycanon rounds the exponential of the entropy down
        found[f"l_entropy {name}"] = int(anonymity.entropy_l_diversity(*given))
        found[f"t {name}"] = float(anonymity.t_closeness(*given))
    return found


if __name__ == "__main__":
    cases = []
    for seed in range(12):
        frame = table(seed)
        columns = {name: frame[name].tolist() for name in frame}
        cases.append({"columns": columns, "numbers": numbers(frame)})
    print(json.dumps({"pycanon": version("pycanon"), "cases": cases}))
