"""HEALPix functions of healpy, or of astropy-healpix where healpy has no wheel (Windows)."""

try:
    from healpy import ang2pix, boundaries, nside2npix, pix2ang, pix2vec, vec2pix
except ImportError:
    from astropy_healpix.healpy import ang2pix, boundaries, nside2npix, pix2ang, pix2vec, vec2pix

__all__ = ["ang2pix", "boundaries", "nside2npix", "pix2ang", "pix2vec", "vec2pix"]
