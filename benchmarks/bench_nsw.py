"""The job training of LaLonde: experiment, observational controls, refuters.

The National Supported Work programme was randomised: the difference of means, 1,794
dollars, is known to be right. Its treated against survey controls (CPS) are the classic
test of adjustment: all that can be adjusted for is age, education, race, marriage and
past earnings.

Run ``python benchmarks/bench_nsw.py``.
"""

import argparse
import warnings
from pathlib import Path

import pandas as pd

from sklearn_causalrec import DoCalculusEffect

DATA = Path(__file__).parent / "data" / "nsw"
COVARIATES = "age educ black hisp marr nodegree re74 re75".split()


def fitted(frame, covariates=COVARIATES):
    model = DoCalculusEffect(
        treatment="treat", outcome="re78", effect_model=None, random_state=0
    )
    X = frame[[*covariates, "treat"]]
    return X, frame["re78"], model.fit(X, frame["re78"])


def show(name, estimate, interval):
    low, high = interval
    print(f"{name:44}{estimate:10,.0f}   ({low:,.0f} to {high:,.0f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--simulations", type=int, default=10)
    simulations = parser.parse_args().simulations
    warnings.filterwarnings("ignore", message="poor overlap")
    experiment = pd.read_csv(DATA / "nsw.csv")
    controls = pd.read_csv(DATA / "cps_controls.csv.gz")
    treated = experiment[experiment.treat == 1]
    survey = pd.concat([treated, controls], ignore_index=True)
    # controls whose past earnings are in the range of the programme's
    poor = (survey.re74 <= treated.re74.max()) & (survey.re75 <= treated.re75.max())
    young = survey.age <= treated.age.max()
    trimmed = survey[poor & young].reset_index(drop=True)

    arms = experiment.groupby("treat").re78
    print(f"experiment, difference of means: {arms.mean().diff().iloc[1]:,.2f}\n")
    print(f"{'effect on earnings in 1978, dollars':44}{'estimate':>10}   95 %")
    X, y, model = fitted(experiment)
    show("experiment, average effect", model.ate(), model.ate_interval())
    models = {}
    for name, frame in (("survey controls", survey), ("the same, trimmed", trimmed)):
        X, y, model = models[name] = fitted(frame)
        show(f"{name}, average effect", model.ate(), model.ate_interval())
        show(f"{name}, on the treated", model.att(), model.att_interval())

    for name, (X, y, model) in models.items():
        print(f"\n{name}: {len(X)} rows, {int(X.treat.sum())} treated")
        print(model.diagnostics_["overlap"].round(4).to_string())
        print(model.diagnostics_["balance"].round(3).to_string())
        print(model.refute(X, y, n_simulations=simulations))
        found = model.sensitivity(X, y, benchmarks=["re75"])
        print(found)
        # earnings in 1975 came before the programme: its effect on them is zero
        earlier = [c for c in COVARIATES if c not in ("re75",)]
        blind = DoCalculusEffect(treatment="treat", effect_model=None, random_state=0)
        blind.fit(X[[*earlier, "treat"]], y)
        print("negative control, earnings of 1975, adjusted for all but these:")
        print(blind.negative_control(X[[*earlier, "treat"]], {"re75": X["re75"]}))


if __name__ == "__main__":
    main()
