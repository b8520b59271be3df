"""HEALPix functions from the library that is there: healpy, or astropy-healpix where healpy has no wheel (Windows)."""

try:
    from healpy import ang2pix, boundaries, nside2npix, pix2ang
except ImportError:
    from astropy_healpix.healpy import ang2pix, boundaries, nside2npix, pix2ang

__all__ = ["ang2pix", "boundaries", "nside2npix", "pix2ang"]
