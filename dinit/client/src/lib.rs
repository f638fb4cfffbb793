//! A blocking connection to a dinit daemon.
//!
//! [`Connection`] sends requests and gives their answers; the events that a daemon sends in between are kept and
//! can be taken or waited for. [`address`] knows where a daemon's socket is. How a program prints, and what it
//! makes of an answer, is its own business.
//!
//! ```no_run
//! use dinit_client::{Connection, address};
//! use dinit_protocol::{CommandFlags, Info, Reply, Request, ServiceEvent, ServiceName};
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
//! The only dependency is `dinit-protocol`. Nothing here looks up users through the system's name service, so it
//! can be used in a static program.

pub mod address;
mod connection;
mod error;

pub use connection::{Connection, ListedService, LoadFailure, ServiceRecord};
pub use error::ClientError;
