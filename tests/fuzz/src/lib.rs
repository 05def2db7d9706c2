//! What the fuzz targets share: seeds from the fixtures, checks of what was
//! parsed, and scripts of deliveries.

#![forbid(unsafe_code)]

pub mod check;
pub mod script;
pub mod seeds;
