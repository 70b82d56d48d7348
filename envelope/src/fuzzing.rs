//! Bodies of the fuzz targets in `fuzz/`.
