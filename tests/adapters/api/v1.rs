//! API v1, as `openapi.json` describes it.

mod document;
mod documentation;
mod events;
mod exports;
mod history;
mod nodes;
mod requests;
mod schema;
mod support;
