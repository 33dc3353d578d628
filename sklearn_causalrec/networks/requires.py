"""What an objective or an encoder needs of a log."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Requires:
    """What a component needs of the log it is fitted to, and how to say so.

    Parameters
    ----------
    arms : tuple of (int, int or None), default=(1, None)
        The least and the largest number of arms. None stands for no upper limit.
    binary : bool, default=False
        Whether the outcome has to be binary, ``task="classification"``.
    numeric : bool, default=False
        Whether the outcome has to be a number, ``task="regression"``.
    control_first : bool, default=False
        Whether the control has to be the first of the sorted arms, as 0 is before 1.
    roles : tuple of str, default=()
        Column roles that have to be named, such as ``("user", "item")``.
    words : str, default=""
        What is lacking and what to do about it. It ends the sentence of the error
        message, which has no period after it yet.

    See Also
    --------
    sklearn_causalrec.networks.Objective : What the networks minimise.
    sklearn_causalrec.networks.Encoder : What the networks make of a row.

    Examples
    --------
    >>> from sklearn_causalrec.networks import Requires
    >>> two_arms = Requires(arms=(2, 2), words="two arms")
    >>> two_arms.met(n_arms=3, binary=True, roles=())
    False
    """

    arms: tuple = (1, None)
    binary: bool = False
    numeric: bool = False
    control_first: bool = False
    roles: tuple = ()
    words: str = ""

    def met(self, *, n_arms=None, binary=True, roles=(), control_first=True):
        """Whether a log has all that is needed.

        Parameters
        ----------
        n_arms : int or None, default=None
            Number of arms. None: it is not known yet, and any number will do.
        binary : bool, default=True
            Whether the outcome is binary.
        roles : collection of str, default=()
            Roles that have a column.
        control_first : bool, default=True
            Whether the control is the first of the arms.

        Returns
        -------
        bool
            True where nothing is lacking.
        """
        least, most = self.arms
        enough = n_arms is None or (
            least <= n_arms and (most is None or n_arms <= most)
        )
        ordered = control_first or not self.control_first
        known = set(self.roles) <= set(roles)
        kind = not (self.numeric if binary else self.binary)
        return enough and ordered and known and kind
