//! Answers inside a guest under test: runs commands, moves files, tells how the boot stands, ends the guest.
//!
//! It runs as an ordinary service of dinit (see `agent_protocol::seed`) and depends on nothing, so that it is there
//! from the start and until the end. One thread reads what the host asks; each command runs on a thread of its own.
//! All of them answer through one [`Link`](link::Link), which blocks while the host does not read: that is the
//! back-pressure. A signal ends the program wherever it is, so it never holds up a shutdown.

mod boot;
mod exec;
mod files;
mod link;

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use agent_protocol::frame::Decoder;
use agent_protocol::message::{ToGuest, ToHost, VERSION};

use crate::exec::Running;
use crate::files::Writing;
use crate::link::Link;

/// How often the host hears from us when there is nothing else to say.
const BEAT: Duration = Duration::from_secs(1);
/// How often the host may be found away, with [`AWAY`] between, before it is taken to be gone.
const PATIENCE: u32 = 100;
/// How long to wait for a host that is away.
const AWAY: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where even this cannot be said, the status must do.
            let _ = writeln!(io::stderr(), "guest-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until the host is gone.
fn run() -> io::Result<()> {
    let mut port = link::open_port()?;
    let link = Arc::new(Link::new(port.try_clone()?)?);
    let beating = Arc::clone(&link);
    thread::Builder::new().spawn(move || {
        while beating.send(0, &ToHost::Beat { version: VERSION }).is_ok() {
            thread::sleep(BEAT);
        }
    })?;
    let mut desk = Desk { link, running: Arc::default(), writing: None };
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; 16 << 10];
    let mut away = 0;
    while away < PATIENCE {
        match port.read(&mut buffer) {
            // A port whose other end is not open reads as ended; it may open yet.
            Ok(0) => {
                away += 1;
                thread::sleep(AWAY);
            }
            Ok(count) => {
                away = 0;
                decoder.push(&buffer[..count]);
                while let Some(frame) = decoder.next_frame() {
                    if frame.session == desk.link.session() {
                        desk.serve(frame.request, ToGuest::read(&frame))?;
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Where requests arrive.
struct Desk {
    link: Arc<Link>,
    running: Arc<Running>,
    /// The file that the host is sending.
    writing: Option<Writing>,
}

impl Desk {
    /// Carries out one request, or starts it on its own thread; an error means that the host cannot be answered.
    fn serve(&mut self, request: u32, message: Option<ToGuest>) -> io::Result<()> {
        let link = Arc::clone(&self.link);
        match message {
            None => link.refuse(request, "this is no request that the agent knows"),
            Some(ToGuest::Exec { words }) => {
                let running = Arc::clone(&self.running);
                self.apart(request, move || exec::run(&link, &running, request, &words))
            }
            Some(ToGuest::Kill) => {
                self.running.kill(request);
                Ok(())
            }
            Some(ToGuest::Put { path, mode }) => {
                self.writing = None;
                match Writing::begin(request, &path, mode) {
                    Ok(writing) => self.writing = Some(writing),
                    Err(reason) => link.refuse(request, &reason)?,
                }
                Ok(())
            }
            Some(ToGuest::PutData(bytes)) => self.write(request, |writing| writing.add(&bytes)),
            Some(ToGuest::PutEnd) => match self.writing.take() {
                Some(writing) if writing.request == request => link.send(request, &ToHost::Done),
                // It was refused before.
                _ => Ok(()),
            },
            Some(ToGuest::Get { path }) => self.apart(request, move || files::send(&link, request, &path)),
            Some(ToGuest::Boot { service, wait }) => {
                self.apart(request, move || boot::answer(&link, request, &service, wait))
            }
            Some(ToGuest::Shutdown(how)) => self.apart(request, move || boot::shut_down(&link, request, how)),
        }
    }

    /// Goes on with the file of this request; one that was refused takes no more.
    fn write(
        &mut self,
        request: u32,
        deed: impl FnOnce(&mut Writing) -> Result<(), String>,
    ) -> io::Result<()> {
        let Some(writing) = self.writing.as_mut().filter(|writing| writing.request == request) else {
            return Ok(());
        };
        if let Err(reason) = deed(writing) {
            self.writing = None;
            self.link.refuse(request, &reason)?;
        }
        Ok(())
    }

    /// Does what may take long on a thread of its own.
    fn apart(&self, request: u32, deed: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
        let deed = move || {
            // Mostly the host is lost, which the reading thread learns by itself; else the console is left to tell.
            if let Err(error) = deed() {
                let _ = writeln!(io::stderr(), "guest-agent: {error}");
            }
        };
        match thread::Builder::new().spawn(deed) {
            Ok(_) => Ok(()),
            Err(error) => self.link.refuse(request, &format!("cannot start a thread: {error}")),
        }
    }
}
