"""Stage one: the encoder proposes, the winner takes all (paper, section 4.1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from napari_cryospin.engine.fit import Batch, Fit
from napari_cryospin.engine.losses import candidate_errors, take, teaching_loss, winner_takes_all, with_candidate
from napari_cryospin.engine.near_symmetry import near_symmetries, with_mates
from napari_cryospin.engine.sampling import sample_poses
from napari_cryospin.models.hartley_volume import HartleyVolume
from napari_cryospin.models.wiener_volume import WienerVolume
from napari_cryospin.physics.slicing import shift_phases

GROWTH = ((0, 0.0), (1 / 6, 0.28), (1 / 3, 0.57), (2 / 3, 1.0))
"""Share of the growth's steps after which the band has grown by a share of its way."""
FIRST_STEPS = 30
"""Steps during which the Wiener average forgets faster: what it learned from random poses must not last."""


class AutoEncoding:
    """Steps of the first stage on one fit.

    Of the M heads (and, where it is asked for, a pose drawn from the posterior) the one that explains the image best
    decides the loss, and only its graph is built: the same gradient as of the plain minimum over heads, for a fraction
    of the work.
    """

    def __init__(self, fit: Fit) -> None:
        self.fit, self.settings = fit, fit.settings
        self.steps = 0
        groups: list[dict[str, Any]] = []
        if fit.encoder is not None:
            rate = self.settings.encoder.encoder_learning_rate
            groups.append({"params": list(fit.encoder.parameters()), "lr": rate})
        if isinstance(fit.volume, HartleyVolume):
            rate = self.settings.volume.volume_learning_rate
            groups.append({"params": list(fit.volume.parameters()), "lr": rate})
        self.optimiser = torch.optim.Adam(groups) if groups else None

    def step(self, rows: Tensor) -> dict[str, float]:
        """One step on the particles `rows` `(b,)`: metrics."""
        fit = self.fit
        self._grow_band()
        batch = fit.batch(rows)
        sampled = sample_poses(fit, batch) if self.settings.posterior.posterior_sample else None
        size = self.settings.encoder.encoder_batch if isinstance(fit.volume, WienerVolume) else len(rows)
        rotations, shifts = [], []
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            chosen = None if sampled is None else (sampled[0][part], sampled[1][part])
            rotation, shift = self._encode(batch.part(part), chosen)
            rotations.append(rotation)
            shifts.append(shift)
        if isinstance(fit.volume, WienerVolume):
            self._average(batch, torch.cat(rotations), torch.cat(shifts))
        self.steps += 1
        return {"loss": float(fit.error[rows].mean()), "band": float(fit.band)}

    def _grow_band(self) -> None:
        """First a few steps on few shells, then more: what is seen first must be right before more is looked at."""
        first = self.settings.volume.first_band
        if first is None:
            return
        fit = self.fit
        last = fit.encoding_band
        part = max(part for start, part in GROWTH if self.steps >= start * self.settings.volume.growth_steps)
        fit.band = min(first + round(part * (last - first)), last)
        if isinstance(fit.volume, WienerVolume) and fit.volume.band != fit.band:
            fit.volume.set_band(fit.band)

    def _encode(self, batch: Batch, sampled: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """Propose, compare, learn: the winning poses `(b, 3, 3)`, `(b, 2)`."""
        fit, kind = self.fit, self.settings.volume.loss
        if fit.encoder is None:
            assert sampled is not None, "a method without heads needs the posterior sample"
            with torch.no_grad():
                models = fit.project(batch, *sampled)[:, None]
                errors = candidate_errors(models, batch.images, batch.weights, kind)
            self._note(batch, models, errors, *sampled)
            return sampled
        fit.encoder.train()
        rotations, shifts = fit.encoder(fit.encoder_images(batch.rows))
        all_rotations, all_shifts = with_candidate(rotations, shifts, sampled)
        with torch.no_grad():
            models = fit.project(batch, all_rotations, all_shifts)
            errors = candidate_errors(models, batch.images, batch.weights, kind)
            _, winner = winner_takes_all(errors)
        loss = self._reconstruction_loss(batch, all_rotations, all_shifts, winner)
        if sampled is not None and self.settings.posterior.teaching:
            targets = with_mates(sampled[0], fit.near_symmetries)
            taught = teaching_loss(rotations, shifts, targets, sampled[1], fit.max_shift)
            loss = loss + self.settings.posterior.teaching * taught
        assert self.optimiser is not None
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        fit.note_candidates(batch.rows, rotations, shifts)
        best_rotations, best_shifts = take(all_rotations.detach(), winner), take(all_shifts.detach(), winner)
        self._note(batch, models, errors, best_rotations, best_shifts)
        return best_rotations, best_shifts

    def _reconstruction_loss(self, batch: Batch, rotations: Tensor, shifts: Tensor, winner: Tensor) -> Tensor:
        """Mean error of the winners; where the volume learns by gradients too, it learns from the same graph.

        The squared error is divided by the number of points: Adam does not mind, and it can be weighed with teaching.
        """
        fit = self.fit
        assert fit.encoder is not None
        if isinstance(fit.volume, HartleyVolume):
            chosen = torch.arange(len(winner), device=winner.device)
        else:  # A posterior sample has nothing to teach an encoder by its error.
            chosen = (winner < fit.encoder.heads).nonzero()[:, 0]
        if not len(chosen):
            return rotations.sum() * 0
        head = winner[chosen]
        images, ctf = batch.images[chosen], batch.ctf[chosen]
        part = Batch(rows=batch.rows, images=images, ctf=ctf, points=batch.points, weights=batch.weights)
        model = fit.project(part, rotations[chosen, head], shifts[chosen, head])
        errors = candidate_errors(model[:, None], images, batch.weights, self.settings.volume.loss)
        points = len(batch.points) if self.settings.volume.loss == "squared" else 1
        return errors.sum() / (len(winner) * points)

    @torch.no_grad()
    def _average(self, batch: Batch, rotations: Tensor, shifts: Tensor) -> None:
        """Closed-form volume step: add the images at their winning poses to the running average."""
        fit = self.fit
        assert isinstance(fit.volume, WienerVolume)
        fit.observe_residual(batch, fit.project(batch, rotations, shifts))
        fit.volume.forget(0.8 if self.steps < FIRST_STEPS else 0.9)
        insert_images(fit, batch, rotations, shifts)
        fit.volume.solve()

    def _note(self, batch: Batch, models: Tensor, errors: Tensor, rotations: Tensor, shifts: Tensor) -> None:
        """Write down who won, and with what."""
        fit, rows = self.fit, batch.rows
        heads = 0 if fit.encoder is None else fit.encoder.heads
        winner = errors.argmin(-1)
        fit.note_error(batch, take(models, winner))
        if heads:
            both = torch.stack((winner, errors[:, :heads].argmin(-1)))
            fit.winner[rows], fit.best_head[rows] = both.to(fit.winner)  # one wait for the device
        else:
            fit.winner[rows] = winner.to(fit.winner)
        fit.poses.set(rows.to(fit.device), rotations, shifts)

    def end_epoch(self) -> dict[str, float]:
        """Put the map where the particles' shifts are least: those of an eccentric map may lie out of range. Then look
        for its near-symmetries, as soon as it shows all that this stage looks at."""
        fit = self.fit
        metrics = {}
        if fit.max_shift and isinstance(fit.volume, WienerVolume):
            metrics["centred"] = centre_map(fit)
        if fit.encoder is not None and fit.band == fit.encoding_band:
            lattice = fit.volume.hartley(fit.band).detach()
            fit.near_symmetries = near_symmetries(lattice, fit.settings.volume.padding, fit.band)
        return metrics

    def state_dict(self) -> dict[str, Any]:
        optimiser = self.optimiser.state_dict() if self.optimiser is not None else None
        return {"steps": self.steps, "optimiser": optimiser}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]
        if self.optimiser is not None:
            self.optimiser.load_state_dict(state["optimiser"])


@torch.no_grad()
def centre_map(fit: Fit) -> float:
    """Move the map, and all shifts with it, to where the shifts are least: by how far, Angstrom.

    A map at `u` from there is explained by shifts that differ by `(A u)_xy`: least squares.
    """
    assert isinstance(fit.volume, WienerVolume)
    seen = fit.poses.rotations[:, :2]  # (n, 2, 3)
    normal = torch.einsum("nik,nil->kl", seen, seen)
    normal += 0.01 * len(seen) * torch.eye(3, device=fit.device)  # a direction that no image shows stays 0
    offset = torch.linalg.solve(normal, torch.einsum("nik,ni->k", seen, fit.poses.shifts))
    fit.poses.shifts -= seen @ offset
    fit.candidate_shifts -= fit.candidates[:, :, :2] @ offset.cpu()
    fit.volume.move(-offset / fit.images.extent)
    return float(offset.norm())


@torch.no_grad()
def insert_images(fit: Fit, batch: Batch, rotations: Tensor, shifts: Tensor) -> None:
    """Add images at given poses to a Wiener volume's sums."""
    assert isinstance(fit.volume, WienerVolume)
    images = batch.images
    if fit.max_shift:
        images = images * shift_phases(shifts, batch.points, fit.images.extent).conj()
    values, weights = images * (batch.ctf * batch.weights), batch.ctf.square() * batch.weights
    fit.volume.insert(rotations, batch.points, values, weights, fit.folds[batch.rows.to(fit.device)])
