//! What real daemons and clients said to each other, read from `tests/exchanges.txt`.

use dinit_protocol::Version;

const EXCHANGES: &str = include_str!("../exchanges.txt");

/// One exchange.
pub(crate) struct Exchange {
    /// Its number in the protocol's specification.
    pub(crate) number: usize,
    /// What it is about.
    pub(crate) title: String,
    /// What was said, in order.
    pub(crate) steps: Vec<Step>,
}

/// One line of an exchange.
pub(crate) enum Step {
    /// The client sends this.
    Client(Vec<u8>),
    /// The daemon sends this, and whether the packet goes on with anything.
    Server(Vec<u8>, bool),
    /// The daemon closes the connection.
    End,
}

impl Exchange {
    /// Gives the version of the daemon.
    pub(crate) fn daemon_version(&self) -> Version {
        if self.number == 34 { Version(6) } else { Version::CURRENT }
    }
}

/// Gives all exchanges.
pub(crate) fn exchanges() -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    for line in EXCHANGES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix("  ") {
            Some(step) => exchanges.last_mut().unwrap().steps.push(parse_step(step)),
            None => {
                let (number, title) = line.split_once(' ').unwrap();
                let (number, title) = (number.parse().unwrap(), title.into());
                exchanges.push(Exchange { number, title, steps: Vec::new() });
            }
        }
    }
    exchanges
}

fn parse_step(line: &str) -> Step {
    let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (rest, is_open) = rest.strip_suffix("..").map_or((rest, false), |rest| (rest, true));
    let bytes = rest.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    match kind {
        "C" => Step::Client(bytes),
        "S" => Step::Server(bytes, is_open),
        "END" => Step::End,
        other => panic!("unknown line {other}"),
    }
}
