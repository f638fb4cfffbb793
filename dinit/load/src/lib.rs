//! Turns service names into records: search order, includes, cycles, reload rules.
