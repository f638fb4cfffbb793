//! QMP, QEMU's machine protocol: lines of JSON on a socket that QEMU connects to.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::Failure;

/// How long QEMU may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// A connection to the monitor, ready for commands.
pub(crate) struct Monitor {
    reader: BufReader<UnixStream>,
}

impl Monitor {
    /// Takes the greeting and leaves the negotiation behind.
    pub(crate) fn new(stream: UnixStream) -> Result<Monitor, Failure> {
        let mut monitor = Monitor { reader: BufReader::new(stream) };
        let greeted = monitor.prepare().map_err(|error| refused("the greeting", &error))?;
        if greeted.get("QMP").is_none() {
            return Err(Failure::Monitor { command: "the greeting".to_owned(), reason: greeted.to_string() });
        }
        monitor.execute("qmp_capabilities", Value::Null)?;
        Ok(monitor)
    }

    /// Carries out a command; events that come before its answer are passed over.
    pub(crate) fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, Failure> {
        let mut request = json!({ "execute": command });
        if !arguments.is_null() {
            request["arguments"] = arguments;
        }
        let answer = self.exchange(&request).map_err(|error| refused(command, &error))?;
        if let Some(value) = answer.get("return") {
            return Ok(value.clone());
        }
        let reason = answer["error"]["desc"].as_str().unwrap_or("it answered with neither result nor error");
        Err(Failure::Monitor { command: command.to_owned(), reason: reason.to_owned() })
    }

    fn prepare(&mut self) -> io::Result<Value> {
        self.reader.get_ref().set_read_timeout(Some(ANSWER_LIMIT))?;
        self.read()
    }

    fn exchange(&mut self, request: &Value) -> io::Result<Value> {
        self.reader.get_mut().write_all(format!("{request}\n").as_bytes())?;
        loop {
            let answer = self.read()?;
            if answer.get("event").is_none() {
                return Ok(answer);
            }
        }
    }

    fn read(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

fn refused(command: &str, error: &io::Error) -> Failure {
    let reason = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
        io::ErrorKind::WouldBlock => format!("it did not answer within {} s", ANSWER_LIMIT.as_secs()),
        _ => error.to_string(),
    };
    Failure::Monitor { command: command.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::thread;

    const GREETING: &str = "{\"QMP\": {\"version\": {}}}\n";

    /// Connects to a peer that says all of `lines` at once and then reads until the end.
    fn connected(lines: &str) -> (Result<Monitor, Failure>, thread::JoinHandle<String>) {
        let (ours, mut theirs) = UnixStream::pair().expect("socket pair");
        theirs.write_all(lines.as_bytes()).expect("fits the socket");
        let peer = thread::spawn(move || {
            let mut heard = String::new();
            theirs.read_to_string(&mut heard).expect("readable");
            heard
        });
        (Monitor::new(ours), peer)
    }

    #[test]
    fn events_before_an_answer_are_passed_over() {
        let lines = format!(
            "{GREETING}{{\"return\": {{}}}}\n{{\"event\": \"RESUME\"}}\n{{\"return\": {{\"status\": \"running\"}}}}\n"
        );
        let (monitor, peer) = connected(&lines);
        let mut monitor = monitor.expect("greeted");
        let answer = monitor.execute("query-status", Value::Null).expect("answered");
        assert_eq!(answer["status"], "running");
        drop(monitor);
        let heard = peer.join().expect("no panic");
        assert_eq!(heard, "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"query-status\"}\n");
    }

    #[test]
    fn an_error_answer_is_given_with_the_command() {
        let lines =
            format!("{GREETING}{{\"return\": {{}}}}\n{{\"error\": {{\"desc\": \"no such display\"}}}}\n");
        let (monitor, _peer) = connected(&lines);
        let error =
            monitor.expect("greeted").execute("screendump", json!({"filename": "/x"})).expect_err("refused");
        assert_eq!(error.to_string(), "QEMU did not carry out `screendump`: no such display");
    }

    #[test]
    fn something_else_than_qmp_is_refused() {
        let (monitor, _peer) = connected("{\"hello\": 1}\n");
        assert!(monitor.is_err());
    }
}
