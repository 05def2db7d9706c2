//! The MQTT adapter against a real broker.

mod broker;
mod delivery;
mod durability;
mod failures;
mod login;
mod scripted;
mod support;
