//! One turn of the loop: wait, take in what happened in order of urgency, see whether all is over.

use crate::control::{self, Standing};
use crate::daemon::{Daemon, TimerKey, now};
use crate::ending::{Finish, Progress};
use crate::log::Which;
use crate::options::Level;
use crate::output::Drained;
use crate::perform::exit_status;
use crate::reactor::{Happened, Source};
use crate::texts;
use dinit_graph::{Event, ExecFailure, ExecStage, Request, Role, RunId, ShutdownKind};
use dinit_sys::launch::ExecStatus;
use dinit_sys::poll::{Interest, Ready};
use dinit_sys::process::{self, Ended};
use dinit_sys::{Errno, descriptor, socket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// So many services loaded and launched are worth giving memory back for at once.
const MUCH: usize = 200;

/// When nothing has happened for so many nanoseconds, memory is given back: the pages of the program that starting took,
/// most of all, which the kernel keeps at hand for when they are needed again.
const QUIET: u64 = 1_000_000_000;

impl Daemon {
    /// Goes on until there is nothing left but a final action.
    pub(crate) fn run(&mut self) -> Finish {
        loop {
            if let Some(Some(finish)) = self.guarded(Self::turn) {
                return finish;
            }
        }
    }

    /// Goes round once; gives how to end, if it is time to.
    fn turn(&mut self) -> Option<Finish> {
        // Before the end, so that nobody misses the answer to what brought it about.
        self.send_to_clients();
        if let Some(finish) = self.look_for_the_end() {
            return Some(finish);
        }
        let happened = self.await_events();
        self.take_in(&happened);
        None
    }

    /// Does something; gives nothing if that brought a defect to light, which is survived.
    pub(crate) fn guarded<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let outcome = catch_unwind(AssertUnwindSafe(|| act(self)));
        if outcome.is_err() {
            self.survive();
        }
        outcome.ok()
    }

    /// Waits for something to happen, or for the next timer.
    fn await_events(&mut self) -> Vec<Happened> {
        self.log.write_out();
        self.update_log_waits();
        self.give_memory_back();
        let due = self.timers.next_deadline().map(|deadline| deadline.saturating_sub(now().0));
        let quiet = self.is_stirred.then_some(QUIET);
        let happened = self.reactor.wait(due.into_iter().chain(quiet).min());
        if !happened.is_empty() {
            self.is_stirred = true;
        } else if quiet.is_some() && due.is_none_or(|due| due > QUIET) {
            self.is_stirred = false;
            release_memory();
        }
        happened
    }

    /// Says that there is no memory left, at most once a second.
    pub(crate) fn tell_of_shortage(&mut self) {
        const PAUSE: Duration = Duration::from_secs(1);
        let now = now();
        if self.next_word_of_shortage <= now {
            self.next_word_of_shortage = now.after(PAUSE);
            self.log.message(Level::Error, "Out of memory: clients and services to be loaded are refused");
        }
    }

    /// Gives the memory of much work back to the kernel once the work is done, and says when there is none left.
    fn give_memory_back(&mut self) {
        if self.is_short_of_memory() {
            self.tell_of_shortage();
        }
        if self.launches_under_way == 0 && self.untrimmed >= MUCH {
            self.untrimmed = 0;
            release_memory();
        }
    }

    fn take_in(&mut self, happened: &[Happened]) {
        if self.is_wounded {
            // The defect may have kept some from being collected, and their signal does not come again.
            self.reap();
        }
        self.take_ends();
        for Happened { source, ready } in happened {
            match *source {
                Source::Signals => self.take_signals(),
                Source::ExecStatus(number) => self.take_exec_status(number),
                Source::Readiness(number) => self.take_readiness(number),
                Source::Output(number) => self.take_output(number),
                Source::ConsoleLog => self.pump_log(Which::Console),
                Source::MainLog => self.pump_log(Which::Main),
                Source::Prompt => self.take_key(),
                Source::Listener => self.take_connections(),
                Source::Client(number) => self.take_from_client(number, *ready),
            }
        }
        self.take_timers();
    }

    /// Goes on after a defect: says so, and serves nothing any more that is not needed to end.
    fn survive(&mut self) {
        self.is_wounded = true;
        self.effects.clear();
        self.events.clear();
        if let Some(number) = self.serving.take() {
            self.dismiss_client(number, Standing::Leaves);
        }
        self.log.message(
            Level::Error,
            "An internal error was caught; no requests but shutdown are served from now on",
        );
    }

    fn look_for_the_end(&mut self) -> Option<Finish> {
        loop {
            match self.progress() {
                Progress::Goes => return None,
                Progress::Again => {}
                Progress::Over(finish) => return Some(finish),
            }
        }
    }

    fn take_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.next() {
            match signal {
                libc::SIGCHLD => self.reap(),
                libc::SIGINT if self.settings.options.manager => self.shut_down(ShutdownKind::Reboot),
                libc::SIGINT | libc::SIGTERM => self.shut_down(ShutdownKind::Halt),
                libc::SIGQUIT => self.shut_down_at_once(),
                libc::SIGUSR1 => self.reopen_control_socket(),
                _ => {}
            }
        }
    }

    /// Collects all children that have ended, and only then tells what that means.
    ///
    /// A process id is free for another process once it was collected, so who is meant is found out first.
    fn reap(&mut self) {
        while let Ok(Some(child)) = process::reap() {
            let before = self.ended.len();
            self.ended.extend(self.runs.collected(child.pid).map(|run| (run, child)));
            if self.ended.len() == before {
                self.adopted.push(child);
            }
        }
        self.take_ends();
    }

    /// Tells what the ends that were collected mean; also those that a caught defect left over.
    fn take_ends(&mut self) {
        while let Some((run, child)) = self.ended.pop_front() {
            self.take_end(run, child);
        }
        self.adopted.clear();
    }

    fn take_end(&mut self, id: RunId, child: Ended) {
        if let Some(run) = self.runs.get_mut(id) {
            let readiness = run.readiness.take();
            if let Some(login) = run.login.take() {
                login.ended(child.pid);
            }
            if let Some(pipe) = readiness {
                self.reactor.remove(&pipe);
            }
        }
        self.feed(Event::Exited { run: id, status: exit_status(child) });
        self.forget_if_done(id);
    }

    /// Forgets a run whose process has ended and whose launch is known to have gone well or wrong.
    fn forget_if_done(&mut self, id: RunId) {
        if self.runs.get(id).is_some_and(|run| !run.is_alive && run.status.is_none()) {
            self.runs.forget(id);
            self.listen_again();
        }
    }

    /// Takes connections again after descriptors had run out and some were given back.
    fn listen_again(&mut self) {
        if std::mem::take(&mut self.is_full)
            && let Some(listener) = self.control.listener()
        {
            let _ = self.reactor.change(listener, Source::Listener, Interest::READ);
        }
    }

    fn take_exec_status(&mut self, number: u64) {
        let Some(id) = self.runs.of_number(number) else { return };
        let Some(run) = self.runs.get_mut(id) else { return };
        let Some(pipe) = &mut run.status else { return };
        let status = pipe.read();
        let (service, role) = (run.service, run.role);
        if status.is_last() {
            self.reactor.remove(&*pipe);
            run.status = None;
            self.launches_under_way = self.launches_under_way.saturating_sub(1);
        }
        match status {
            ExecStatus::Pending | ExecStatus::Over => {}
            ExecStatus::Executed => self.feed(Event::Executed { run: id }),
            ExecStatus::Failed(stage, error) => {
                let stage = ExecStage(stage as u16);
                let name = self.name_of(service);
                let what = format!("{}: {error}", texts::stage(stage));
                let text = match role {
                    Role::ServiceStopCommand => [
                        b"Service ",
                        name.as_slice(),
                        b": could not fork for stop command: ",
                        what.as_bytes(),
                    ]
                    .concat(),
                    Role::Main | Role::Launcher | Role::StartCommand | Role::ScriptedStopCommand => {
                        [name.as_slice(), b": execution failed - ", what.as_bytes()].concat()
                    }
                };
                self.log.message(Level::Error, text);
                self.feed(Event::ExecFailed { run: id, failure: ExecFailure { stage, errno: error.0 } });
            }
        }
        self.forget_if_done(id);
    }

    fn take_readiness(&mut self, number: u64) {
        let Some(id) = self.runs.of_number(number) else { return };
        let Some(run) = self.runs.get_mut(id) else { return };
        let Some(pipe) = &run.readiness else { return };
        match descriptor::read(pipe, &mut [0; 512]) {
            Err(Errno(libc::EAGAIN | libc::EINTR)) => {}
            Ok(1..) => {
                if !std::mem::replace(&mut run.is_ready, true) {
                    self.feed(Event::Ready { run: id });
                }
            }
            Ok(0) | Err(_) => {
                self.reactor.remove(pipe);
                run.readiness = None;
                if !run.is_ready {
                    self.feed(Event::ReadinessClosed { run: id });
                }
            }
        }
    }

    fn take_output(&mut self, number: u64) {
        // One read a turn and service, so that a flood keeps nobody else waiting.
        let (drained, name) = self.outputs.drain(number);
        let Some(name) = name else { return };
        let text = match drained {
            Drained::Empty | Drained::More => return,
            Drained::NoMemory => [&name, b": cannot increase log buffer; out-of-memory".as_slice()].concat(),
            Drained::Unreadable(error) => {
                if let Some(reader) = self.outputs.reader(number) {
                    self.reactor.remove(reader);
                }
                [b"Service ", name.as_slice(), b" output not readable: ", error.text().as_bytes()].concat()
            }
        };
        self.log.message(Level::Warn, text);
    }

    fn take_timers(&mut self) {
        let now = now().0;
        while let Some(key) = self.timers.take_due(now) {
            match key {
                TimerKey::Graph(service, timer) => self.feed(Event::TimerExpired { service, timer }),
                TimerKey::KillAll(service) => self.finish_kill_all(service),
                TimerKey::Listen => self.listen_again(),
            }
        }
    }

    /// Asks the graph to stop everything.
    pub(crate) fn shut_down(&mut self, kind: ShutdownKind) {
        self.ask(Request::Shutdown { kind });
    }

    fn pump_log(&mut self, which: Which) {
        self.log.pump(which);
        self.report_yielded_console();
        self.settle();
    }

    /// Waits for the streams of the log exactly while they have something to write.
    fn update_log_waits(&mut self) {
        let [console, main] = self.log_waits;
        self.log_waits = [
            self.update_log_wait(Which::Console, Source::ConsoleLog, console),
            self.update_log_wait(Which::Main, Source::MainLog, main),
        ];
    }

    fn update_log_wait(&self, which: Which, source: Source, waits: bool) -> bool {
        match (self.log.awaited(which), waits) {
            (Some(descriptor), false) => self.reactor.add(descriptor, source, Interest::WRITE).is_ok(),
            (None, true) => {
                if let Some(descriptor) = self.log.descriptor(which) {
                    self.reactor.remove(descriptor);
                }
                false
            }
            (Some(_), true) => true,
            (None, false) => false,
        }
    }

    fn take_connections(&mut self) {
        /// The most connections taken in one turn.
        const MOST: usize = 64;
        /// How long to wait before it is tried again when one could not be taken.
        const PAUSE: Duration = Duration::from_secs(1);
        for _ in 0..MOST {
            let Some(listener) = self.control.listener() else { return };
            match socket::accept(listener) {
                Ok(None) => return,
                Ok(Some(stream)) if self.is_short_of_memory() => drop(stream),
                Ok(Some(stream)) => self.admit_client(stream),
                Err(error) => {
                    let text = format!("Error accepting control connection: {error}");
                    // Without descriptors the listener stays ready; it waits until some are given back, or a moment.
                    let _ = self.reactor.change(listener, Source::Listener, Interest::NONE);
                    self.is_full = true;
                    self.timers.arm(TimerKey::Listen, now().after(PAUSE).0);
                    self.log.message(Level::Error, text);
                    return;
                }
            }
        }
    }

    /// Takes in a connection.
    pub(crate) fn admit_client(&mut self, stream: std::os::unix::net::UnixStream) {
        let number = self.reactor.fresh_number();
        match self.reactor.add(&stream, Source::Client(number), Interest::READ) {
            Ok(()) => self.control.admit(number, stream),
            Err(error) => {
                self.log.message(Level::Error, format!("Error accepting control connection: {error}"));
            }
        }
    }

    fn take_from_client(&mut self, number: u64, ready: Ready) {
        let Some(client) = self.control.client_mut(number) else { return };
        if ready.write {
            client.send();
        }
        if ready.gone && !ready.read {
            return self.dismiss_client(number, Standing::Leaves);
        }
        if ready.read
            && let Err(error) = client.receive()
        {
            self.log.message(Level::Error, format!("Error reading from control connection: {error}"));
        }
        self.serving = Some(number);
        loop {
            self.serve_client(number);
            let Some(client) = self.control.client_mut(number) else { break };
            let was_full = !client.takes_requests();
            client.send();
            // Nobody may ever say again that there are requests: they have been read already.
            if !was_full || !client.takes_requests() {
                break;
            }
        }
        self.serving = None;
        self.update_client(number);
    }

    /// Sends to all clients what was queued for them, and lets go of those who do not read.
    fn send_to_clients(&mut self) {
        for number in self.control.to_be_looked_after() {
            if let Some(client) = self.control.client_mut(number) {
                client.send();
            }
            // Room in the queue may be what further requests of this client waited for.
            self.serve_client(number);
            self.update_client(number);
        }
        while let Some(number) = self.control.greediest_beyond_limit() {
            self.dismiss_client(number, Standing::Overflows);
        }
    }

    fn update_client(&mut self, number: u64) {
        let Some(client) = self.control.client_mut(number) else { return };
        match client.standing() {
            Standing::Stays => {
                let wanted = client.wanted_interest();
                if wanted != client.interest {
                    client.interest = wanted;
                    let _ = self.reactor.change(&*client, Source::Client(number), wanted);
                }
            }
            standing => self.dismiss_client(number, standing),
        }
    }

    fn dismiss_client(&mut self, number: u64, standing: Standing) {
        if let Some(client) = self.control.client(number) {
            self.reactor.remove(client);
        }
        self.control.dismiss(number);
        if standing == Standing::Overflows {
            control::dropped(self, "the client does not read what it is sent");
        }
        self.listen_again();
    }
}

/// Gives back what was freed, and what only the work that is over has used.
fn release_memory() {
    dinit_sys::system::trim_heap();
    dinit_sys::system::unmap_code();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot;
    use crate::options::{Caller, Invocation, parse};
    use dinit_client::Connection;
    use dinit_protocol::{Reply, Request};
    use std::os::unix::ffi::OsStrExt;

    /// The daemon has a process to itself, since it sees to all signals and children of that.
    #[test]
    fn a_defect_is_survived_and_nothing_but_shutdown_is_served_after_it() {
        const ALONE: &str = "DINIT_TEST_ALONE";
        const NAME: &str = "turn::tests::a_defect_is_survived_and_nothing_but_shutdown_is_served_after_it";
        if std::env::var_os(ALONE).is_some() {
            return survive_a_defect();
        }
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let output = alone.args(["--exact", NAME, "--nocapture"]).env(ALONE, "").output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
        assert!(printed.contains("dinit: An internal error was caught"), "{printed}");
        assert!(printed.contains("[STOPPD] ok"), "{printed}");
    }

    fn survive_a_defect() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ok"), "type = internal\n").unwrap();
        let socket = directory.path().join("socket");
        let here = directory.path().as_os_str().as_bytes();
        let words = [b"-u", b"-d", here, b"-p", socket.as_os_str().as_bytes(), b"ok"].map(<[u8]>::to_vec);
        let caller = Caller { is_process_one: false, is_root: false };
        let Ok(Invocation::Run(options)) = parse(&words, caller, |_| true) else { panic!("it can be run") };
        let mut daemon = boot::start(*options, Vec::new()).unwrap();
        assert_eq!(daemon.guarded(|_| 1), Some(1));
        let outcome: Option<()> = daemon.guarded(|daemon| {
            daemon.events.push_back(Event::ConsoleYielded);
            panic!("a defect made by the test")
        });
        assert_eq!((outcome, daemon.is_wounded, daemon.events.len()), (None, true, 0));
        let client = std::thread::spawn(move || {
            assert!(Connection::open(&socket).unwrap().list().is_err());
            let kind = dinit_protocol::ShutdownKind::Halt;
            Connection::open(&socket).unwrap().request(&Request::Shutdown { kind }).unwrap()
        });
        assert_eq!(daemon.run(), Finish::Exit);
        assert_eq!(client.join().unwrap(), Reply::Ack);
    }
}
