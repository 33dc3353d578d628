"""Graphs, identification, estimation, and what would overturn an estimate."""

from typing import TYPE_CHECKING

from sklearn_causalrec._utils.lazy import lazily

if TYPE_CHECKING:  # what type checkers see: the names below
    from sklearn_causalrec.causal.bounds import EffectBounds as EffectBounds
    from sklearn_causalrec.causal.checks.diagnostics import balance as balance
    from sklearn_causalrec.causal.checks.diagnostics import (
        influential_rows as influential_rows,
    )
    from sklearn_causalrec.causal.checks.diagnostics import overlap as overlap
    from sklearn_causalrec.causal.checks.refutation import (
        negative_control as negative_control,
    )
    from sklearn_causalrec.causal.checks.refutation import refute as refute
    from sklearn_causalrec.causal.checks.risk import e_value as e_value
    from sklearn_causalrec.causal.checks.risk import risk_ratio as risk_ratio
    from sklearn_causalrec.causal.checks.sensitivity import Sensitivity as Sensitivity
    from sklearn_causalrec.causal.graph import CausalGraph as CausalGraph
    from sklearn_causalrec.causal.identification.estimand import Estimand as Estimand
    from sklearn_causalrec.causal.identification.identify import (
        NotIdentifiableError as NotIdentifiableError,
    )
    from sklearn_causalrec.causal.identification.remedies import (
        UndecidedError as UndecidedError,
    )
    from sklearn_causalrec.causal.partial import PartialGraph as PartialGraph
    from sklearn_causalrec.causal.selection_bounds import lee_bounds as lee_bounds
    from sklearn_causalrec.causal.transport import (
        NotTransportableError as NotTransportableError,
    )
    from sklearn_causalrec.causal.transport import Transport as Transport

__getattr__, __dir__, __all__ = lazily(
    __name__,
    {
        "CausalGraph": "graph",
        "EffectBounds": "bounds",
        "Estimand": "identification.estimand",
        "NotIdentifiableError": "identification.remedies",
        "NotTransportableError": "transport",
        "PartialGraph": "partial",
        "Sensitivity": "checks.sensitivity",
        "Transport": "transport",
        "UndecidedError": "identification.remedies",
        "balance": "checks.diagnostics",
        "e_value": "checks.risk",
        "influential_rows": "checks.diagnostics",
        "lee_bounds": "selection_bounds",
        "negative_control": "checks.refutation",
        "overlap": "checks.diagnostics",
        "refute": "checks.refutation",
        "risk_ratio": "checks.risk",
    },
)
