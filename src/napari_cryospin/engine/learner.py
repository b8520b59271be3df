"""What learns by gradients, with an optimiser of its own."""

from __future__ import annotations

from typing import Any

import torch


class Learner:
    """Descends along gradients by its optimiser; without one, it learns nothing and all of this does nothing."""

    optimiser: torch.optim.Optimizer | None = None

    def zero_gradients(self) -> None:
        """Forget the gradients before a step."""
        if self.optimiser is not None:
            self.optimiser.zero_grad(set_to_none=True)

    def descend(self) -> None:
        """Learn from the gradients."""
        if self.optimiser is not None:
            self.optimiser.step()

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs beside the fit."""
        return {"optimiser": None if self.optimiser is None else self.optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state of a learner of the same class."""
        if self.optimiser is not None:
            self.optimiser.load_state_dict(state["optimiser"])
