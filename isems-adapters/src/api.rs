//! The HTTP API: the old one that isems-app reads, API v1, the collector's own
//! page, and the files of a built isems-app.
//!
//! It speaks HTTP/1 over hyper and knows of the rest only the core's
//! [`Query`] and [`MeasurementReader`]: a repository's reading side. A request's way:
//! `server` accepts, `connections` decides who may stay, `connection` speaks
//! HTTP within the limits, `service` finds the `route` and answers (`v1` what
//! is below `/api/v1/`), `view` writes the JSON.
//!
//! What a client can do to this server is bounded by [`ApiLimits`]; nothing
//! here holds anything that taking in measurements would wait for.

mod accept;
mod app_files;
mod assets;
mod body;
mod client;
mod connection;
mod connections;
mod draft;
mod episode;
mod etag;
mod guarded_io;
mod gzip;
mod iso_time;
mod map_tiles;
mod page;
mod respond;
mod route;
mod scarce;
mod server;
mod service;
mod settings;
mod sources_view;
mod trouble;
mod turns;
mod v1;
mod view;

pub use map_tiles::{ArchiveError, MapTiles, MapTilesError, TileArchive, TileFolder};
pub use server::{ApiError, ApiServer};
pub use settings::{ApiLimits, ApiSettings, CorsOrigin, CorsOriginError};

#[cfg(doc)]
use isems_core::{MeasurementReader, Query};
