//! File trees as values: layers, merge rules, readers and writers.
