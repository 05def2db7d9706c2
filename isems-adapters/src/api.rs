//! The HTTP API, which isems-app reads, and the files of a built isems-app.
//!
//! It speaks HTTP/1 over hyper and knows of the rest only the core's
//! [`Query`]: a repository's reading side under the activity rule. A request's way:
//! `server` accepts, `connections` decides who may stay, `connection` speaks
//! HTTP within the limits, `service` finds the `route` and answers, `view`
//! writes the JSON.
//!
//! What a client can do to this server is bounded by [`ApiLimits`]; nothing
//! here holds anything that taking in measurements would wait for.

mod accept;
mod app_files;
mod body;
mod connection;
mod connections;
mod episode;
mod etag;
mod guarded_io;
mod iso_time;
mod respond;
mod route;
mod server;
mod service;
mod settings;
mod sources_view;
mod view;

pub use server::{ApiError, ApiServer};
pub use settings::{ApiLimits, ApiSettings, CorsOrigin, CorsOriginError};

#[cfg(doc)]
use isems_core::Query;
