"""Graphs, identification, estimation, and what would overturn an estimate."""

from sklearn_causalrec._utils.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    {
        "CausalGraph": "graph",
        "Estimand": "identification.estimand",
        "NotIdentifiableError": "identification.remedies",
        "Sensitivity": "checks.sensitivity",
        "balance": "checks.diagnostics",
        "e_value": "checks.risk",
        "influential_rows": "checks.diagnostics",
        "negative_control": "checks.refutation",
        "overlap": "checks.diagnostics",
        "refute": "checks.refutation",
        "risk_ratio": "checks.risk",
    },
)
