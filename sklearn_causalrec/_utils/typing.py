"""Types that public signatures share."""

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import polars as pl

    Frame: TypeAlias = pd.DataFrame | pl.DataFrame
else:
    Frame = pd.DataFrame  # polars is optional

Arm: TypeAlias = Any  # a value of the treatment, whatever the log has
Column: TypeAlias = str | int  # a name, or a position in an array
Seed: TypeAlias = int | np.random.RandomState | None
Task: TypeAlias = Literal["regression", "classification"]
