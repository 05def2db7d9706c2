//! The real binary against real nodes, a real broker, a real database file.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

#[cfg(target_os = "linux")]
mod api_abuse;
mod api_v1;
mod broker;
#[cfg(unix)]
mod broker_away;
#[cfg(unix)]
mod broker_killed;
mod cli;
mod client_page;
mod clocks;
mod commands;
#[cfg(target_os = "linux")]
mod commit_cost;
mod config;
#[cfg(unix)]
mod database_place;
mod demo;
mod events;
#[cfg(target_os = "linux")]
mod exports;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod file_size;
#[cfg(target_os = "linux")]
mod flood;
mod golden;
#[cfg(target_os = "linux")]
mod hostile_broker;
#[cfg(target_os = "linux")]
mod hostile_nodes;
mod import_legacy;
mod locked;
mod log_lines;
#[cfg(target_os = "linux")]
mod long_logs;
mod map_tiles;
mod node_counts;
#[cfg(target_os = "linux")]
mod power_cut;
#[cfg(target_os = "linux")]
mod pruning;
#[cfg(target_os = "linux")]
mod receipts;
mod requests;
#[cfg(unix)]
mod salvage;
mod second_writer;
mod sentry;
mod serve;
mod static_files;
mod support;
mod telemetry;
#[cfg(target_os = "linux")]
mod trouble_at_start;
#[cfg(target_os = "linux")]
mod unread;
#[cfg(target_os = "linux")]
mod unwritten;
mod update_data;
