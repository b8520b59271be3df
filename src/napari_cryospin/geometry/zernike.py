"""Zernike polynomials in RELION's order and scale, by which aberrations are described: which they are, and their terms.

`Z(n, m) = R(n, |m|) cos(m theta)` for `m >= 0`, and `R(n, |m|) sin(|m| theta)` for `m < 0`, unnormalised. The radius is
a frequency in 1/A, without an aperture: coefficients are in radian times A to the powers of each term.
"""

from __future__ import annotations

from math import factorial


def zernike_orders(count: int, first: int) -> list[tuple[int, int]]:
    """List the orders (n, m) of the first `count` polynomials in RELION's order.

    Parameters
    ----------
    count
        Number of polynomials.
    first
        Order of the first one: 0 for symmetric polynomials (rlnEvenZernike), 1 for antisymmetric ones (rlnOddZernike).
    """
    orders: list[tuple[int, int]] = []
    n = first
    while len(orders) < count:
        orders += [(n, m) for m in range(-n, n + 1, 2)]
        n += 2
    return orders[:count]


def radial_terms(n: int, m: int) -> dict[int, int]:
    """Return the terms of `R(n, |m|) / r^|m|`: power of `r^2` -> coefficient."""
    m = abs(m)
    above, below = (n + m) // 2, (n - m) // 2
    return {
        below - k: (-1) ** k * factorial(n - k) // (factorial(k) * factorial(above - k) * factorial(below - k))
        for k in range(below + 1)
    }
