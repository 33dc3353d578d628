"""People's data: pseudonyms, anonymity, forgetting, budgets, and what a model holds."""

from typing import TYPE_CHECKING

from sklearn_causalrec._utils.lazy import lazily

if TYPE_CHECKING:  # what type checkers see: the names below
    from sklearn_causalrec.privacy.anonymity import AnonymityReport as AnonymityReport
    from sklearn_causalrec.privacy.anonymity import anonymity_report as anonymity_report
    from sklearn_causalrec.privacy.budget import PrivacyBudget as PrivacyBudget
    from sklearn_causalrec.privacy.budget import PrivacySpent as PrivacySpent
    from sklearn_causalrec.privacy.budget import total_spent as total_spent
    from sklearn_causalrec.privacy.card import model_card as model_card
    from sklearn_causalrec.privacy.generalizer import Generalizer as Generalizer
    from sklearn_causalrec.privacy.groups import effects_by_group as effects_by_group
    from sklearn_causalrec.privacy.groups import exposure_by_group as exposure_by_group
    from sklearn_causalrec.privacy.inventory import data_inventory as data_inventory
    from sklearn_causalrec.privacy.keys import Key as Key
    from sklearn_causalrec.privacy.pseudonyms import Pseudonymizer as Pseudonymizer
    from sklearn_causalrec.privacy.release import public_copy as public_copy
    from sklearn_causalrec.privacy.spreadsheets import (
        spreadsheet_safe as spreadsheet_safe,
    )

__getattr__, __dir__, __all__ = lazily(
    __name__,
    {
        "AnonymityReport": "anonymity",
        "Generalizer": "generalizer",
        "Key": "keys",
        "PrivacyBudget": "budget",
        "PrivacySpent": "budget",
        "Pseudonymizer": "pseudonyms",
        "anonymity_report": "anonymity",
        "data_inventory": "inventory",
        "effects_by_group": "groups",
        "exposure_by_group": "groups",
        "model_card": "card",
        "public_copy": "release",
        "total_spent": "budget",
        "spreadsheet_safe": "spreadsheets",
    },
)
