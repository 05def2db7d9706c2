//! The real binary against real nodes, a real broker, a real database file.
