"""The bar that says what ``fit`` is doing."""

from typing import Any, Self

from tqdm.auto import tqdm


class Progress:
    """One bar for the stages of a fit: networks, folds, effects.

    Parameters
    ----------
    verbose : int
        0: nothing is shown.
    """

    def __init__(self, verbose: int) -> None:
        self.bar = tqdm(total=0, unit="step", disable=not verbose)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def stage(self, name: str, steps: int) -> None:
        """Begin a stage of at most so many steps."""
        if not self.bar.disable:
            self.bar.set_postfix_str("", refresh=False)
            self.bar.reset(steps)
            self.bar.set_description(name)

    def step(self, record: dict[str, Any] | None = None) -> None:
        """One step is done: an epoch, where there is a ``record`` of it."""
        if record is not None:
            loss = record.get("valid_loss", record["train_loss"])
            self.bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        self.bar.update()
