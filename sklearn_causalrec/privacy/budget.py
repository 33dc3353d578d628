"""The budgets of differential privacy, under the name of this room."""

from sklearn_causalrec.networks.budget import PrivacyBudget, PrivacySpent, total_spent

__all__ = ["PrivacyBudget", "PrivacySpent", "total_spent"]
