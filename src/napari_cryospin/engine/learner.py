"""Base of all parts that may learn by gradients."""

from __future__ import annotations

from typing import Any

import torch


class Learner:
    """Part of the engine with an optimiser of its own; without one, it does not learn and its methods do nothing."""

    optimiser: torch.optim.Optimizer | None = None

    def zero_gradients(self) -> None:
        """Clear the gradients before a step."""
        if self.optimiser is not None:
            self.optimiser.zero_grad(set_to_none=True)

    def descend(self) -> None:
        """Make one step of the optimiser along the gradients."""
        if self.optimiser is not None:
            self.optimiser.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the state that `load_state_dict` needs beside the fit's."""
        return {"optimiser": None if self.optimiser is None else self.optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state of a learner of the same class."""
        if self.optimiser is not None:
            self.optimiser.load_state_dict(state["optimiser"])
