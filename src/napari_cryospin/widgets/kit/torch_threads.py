"""Number of processors that torch uses for a thread of the window: one while a run needs the others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor


def compute_alone(alone: bool) -> None:
    """Set whether torch computes in the calling thread alone, or with its usual number of threads."""
    import torch

    with ThreadPoolExecutor(1) as fresh:
        usual = fresh.submit(torch.get_num_threads).result()
        wanted = 1 if alone else usual
        if torch.get_num_threads() != wanted:
            torch.set_num_threads(wanted)
            # What was set last is also what threads that are yet to come begin with; one of them may drive a run.
            fresh.submit(torch.set_num_threads, usual).result()
