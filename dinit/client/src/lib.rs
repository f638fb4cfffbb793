//! A blocking connection to a dinit daemon.
//!
//! [`Connection`] sends requests and gives their answers; the events that a daemon sends in between are kept and
//! can be taken or waited for. [`address`] knows where a daemon's socket is. How a program prints, and what it
//! makes of an answer, is its own business.
//!
//! ```no_run
//! use dinit_client::protocol::{CommandFlags, Info, Reply, Request, ServiceEvent, ServiceName};
//! use dinit_client::{Connection, address};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut dinit = Connection::open(std::path::Path::new(address::SYSTEM_SOCKET))?;
//! for service in dinit.list()? {
//!     println!("{} is {:?}", String::from_utf8_lossy(&service.name), service.status.state);
//! }
//!
//! // Start a service and wait until it has started or failed.
//! let sshd = dinit.load(&ServiceName::new(b"sshd")?)?.expect("sshd can be loaded");
//! let start = Request::Start { service: sshd.handle, flags: CommandFlags::NONE };
//! if dinit.request(&start)? == Reply::Ack {
//!     while let Some(news) = dinit.event(None)? {
//!         match news {
//!             Info::ServiceEvent5 { service, event: ServiceEvent::Started, .. } if service == sshd.handle => break,
//!             Info::ServiceEvent5 { service, event: ServiceEvent::FailedStart, .. } if service == sshd.handle => {
//!                 return Err("sshd failed to start".into());
//!             }
//!             _ => {}
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Where the daemon is
//!
//! ```
//! use dinit_client::address::{self, Instance};
//!
//! // As `dinitctl` does it, with an environment that is made up.
//! let variable = |name: &str| (name == "XDG_RUNTIME_DIR").then(|| "/run/user/1000".into());
//! let path = address::socket_path(Instance::User, variable, || None);
//! assert_eq!(path, Some("/run/user/1000/dinitctl".into()));
//! assert_eq!(address::socket_path(Instance::System, |_| None, || None), Some(address::SYSTEM_SOCKET.into()));
//! ```
//!
//! # What to know
//!
//! - Handles belong to the connection they came from. As long as there is one, the daemon sends every event of its
//!   service, twice: as [`Info::ServiceEvent5`](protocol::Info::ServiceEvent5) and, for older clients, as
//!   [`Info::ServiceEvent`](protocol::Info::ServiceEvent). Act on one of them.
//! - An event can come before the answer to the request that caused it. Nothing is lost: [`Connection::request`] keeps
//!   it, and [`Connection::event`] gives it later.
//! - A daemon ends connections whose events nobody reads. Who keeps a connection open should wait for events, or close
//!   the handles.
//! - After an error a connection is of no more use, except that [`Connection::event`] may run into its deadline as
//!   often as you like.
//! - [`Connection::version`] is what both sides know. The methods here ask in the words of older daemons by
//!   themselves; of a [`Request`](protocol::Request) that you make, look up since when it exists.
//!
//! The only dependency is `dinit-protocol`, which is also here as [`protocol`]. Nothing here looks up users through the
//! system's name service, so it can be used in a static program.

pub mod address;
mod connection;
mod error;

pub use connection::{Connection, ListedService, LoadFailure, ServiceRecord};
pub use dinit_protocol as protocol;
pub use error::ClientError;
