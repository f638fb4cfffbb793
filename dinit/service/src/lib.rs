//! The dinit service description language.
//!
//! [`parse`] turns the text of a description into a [`ServiceDescription`] and *all* of its problems, each
//! with the text, the layout and the place that the reference implementation reports; the first of them is
//! what keeps a service from loading. What can only be done when the whole description is known follows:
//! the checks of [`consistency`], and the substitution of variables in commands and paths by
//! [`ServiceDescription::substitute`]. [`print`](print()) writes a description back as canonical text.
//!
//! ```
//! use dinit_service::{NoSources, NoVariables, ServiceName, Source, ServiceType, parse};
//!
//! let name = ServiceName::new("getty@tty1");
//! let source = Source::new("/etc/dinit.d/getty", "type = process\ncommand = /sbin/agetty $1\n");
//! let mut parsed = parse(&name, source, &NoVariables, &mut NoSources);
//! assert!(parsed.problems.is_empty());
//! assert_eq!(parsed.description.service_type, ServiceType::Process);
//!
//! let faults = parsed.description.substitute(&NoVariables, name.argument());
//! assert!(faults.is_empty());
//! assert_eq!(parsed.description.command, [b"/sbin/agetty".to_vec(), b"tty1".to_vec()]);
//! ```
//!
//! The crate knows no files, directories, users, processes or time. Who includes files gives them as a
//! [`Sources`]; users and groups stay names here, and [`Parsed::lookups`] lists where they were written.
//!
//! Nothing in here panics, recurses deeper than [`parse::MAX_INCLUDE_DEPTH`], or grows without a bound on any
//! input.

#![no_std]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

extern crate alloc;

pub mod consistency;
mod description;
pub mod environment;
mod lexer;
mod name;
pub mod parse;
mod place;
mod print;
mod problem;
pub mod settings;
mod substitute;
pub mod value;

pub use description::{
    CommandLine, Dependency, DependencyKind, LogType, Options, Readiness, Restart, ServiceDescription,
    ServiceType, Target,
};
pub use environment::Environment;
pub use name::ServiceName;
pub use parse::{IncludeFault, Lookup, LookupKind, NoSources, Parsed, Source, SourceFile, Sources, parse};
pub use place::{At, FileId, Place};
pub use print::print;
pub use problem::{Layout, Level, Problem};
pub use substitute::{NoVariables, SubstitutionError, Variables};
