//! Signed package archives: mirror, signatures, indices, downloads, cache.
