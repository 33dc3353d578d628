"""People's data: pseudonyms, anonymity, forgetting, and what a model holds of them."""

from typing import TYPE_CHECKING

from sklearn_causalrec._utils.lazy import lazily

if TYPE_CHECKING:  # what type checkers see: the names below
    from sklearn_causalrec.privacy.anonymity import AnonymityReport as AnonymityReport
    from sklearn_causalrec.privacy.anonymity import anonymity_report as anonymity_report
    from sklearn_causalrec.privacy.generalizer import Generalizer as Generalizer
    from sklearn_causalrec.privacy.keys import Key as Key
    from sklearn_causalrec.privacy.pseudonyms import Pseudonymizer as Pseudonymizer

__getattr__, __dir__, __all__ = lazily(
    __name__,
    {
        "AnonymityReport": "anonymity",
        "Generalizer": "generalizer",
        "Key": "keys",
        "Pseudonymizer": "pseudonyms",
        "anonymity_report": "anonymity",
    },
)
