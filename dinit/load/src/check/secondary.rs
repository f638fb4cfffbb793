//! How services belong together: consumers, depth, cycles. In the order of the reference, over all that loaded.

use std::collections::{BTreeMap, BTreeSet};

use diagnostics::Diagnostic;
use dinit_graph::DependencyKind;
use dinit_service::{LogType, Problem};

use super::{Finding, Record, Role, lint};
use crate::load::base_of;

/// The deepest layer that a service may be in.
const MAX_LAYER: usize = 32;

/// Checks all services that loaded; `named` are those that the check began with.
pub(super) fn check(records: &BTreeMap<Vec<u8>, Record>, named: &[Vec<u8>]) -> Vec<Finding> {
    let mut findings = consumers(records);
    let links = links(records);
    findings.extend(depth(&links));
    findings.extend(cycle(&links, named));
    findings
}

fn finding(service: &[u8], line: Vec<u8>, lint: &'static str, counts: bool) -> Finding {
    let severity = if counts { diagnostics::Severity::Error } else { diagnostics::Severity::Warning };
    let shown = String::from_utf8_lossy(&line).replace("\n    ", " ");
    let diagnostic = Diagnostic::whole(String::from_utf8_lossy(service), severity, shown).with_lint(lint);
    Finding { problem: Problem::plain(line.clone()), line, counts, diagnostic }
}

fn consumers(records: &BTreeMap<Vec<u8>, Record>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, record) in records {
        let base = base_of(name);
        for reference in record.references.iter().filter(|reference| reference.role == Role::Producer) {
            let other = reference.name.as_slice();
            let (start, end, counts): (&[u8], &[u8], bool) = match records.get(other) {
                None => (b"Warning: Service '", b"' which was not found.", false),
                Some(producer) if !producer.service_type.runs_commands() => {
                    (b"Service '", b"' which is not a process-based service.", true)
                }
                Some(producer) if producer.log_type != LogType::Pipe => {
                    (b"Service '", b"' which has log-type that is not 'pipe'.", true)
                }
                Some(_) => continue,
            };
            let middle: &[u8] = if counts {
                b"': specified as consumer of service '"
            } else {
                b"' specified as consumer of service '"
            };
            let line = [start, base, middle, other, end].concat();
            findings.push(finding(name, line, lint::BAD_PRODUCER, counts));
        }
    }
    findings
}

/// A link from a dependent to what it needs.
struct Link<'r> {
    to: &'r [u8],
    kind: DependencyKind,
}

/// All links between services that loaded: the dependencies first, then those that ordering makes.
fn links(records: &BTreeMap<Vec<u8>, Record>) -> BTreeMap<&[u8], Vec<Link<'_>>> {
    let mut links: BTreeMap<&[u8], Vec<Link<'_>>> =
        records.keys().map(|name| (name.as_slice(), Vec::new())).collect();
    for is_ordering in [false, true] {
        for (name, record) in records {
            for reference in &record.references {
                let Role::Link(kind) = reference.role else { continue };
                let Some((other, _)) = records.get_key_value(&reference.name) else { continue };
                if kind.is_ordering() != is_ordering {
                    continue;
                }
                let (from, to) = if kind == DependencyKind::Before { (other, name) } else { (name, other) };
                links.entry(from).or_default().push(Link { to, kind });
            }
        }
    }
    links
}

/// Finds services that are too many links below those that nobody depends on.
fn depth(links: &BTreeMap<&[u8], Vec<Link<'_>>>) -> Vec<Finding> {
    let real = |name: &[u8]| {
        let links = links.get(name).map(Vec::as_slice).unwrap_or_default();
        links.iter().filter(|link| !link.kind.is_ordering()).map(|link| link.to)
    };
    let mut unplaced_dependents: BTreeMap<&[u8], usize> = BTreeMap::new();
    for name in links.keys() {
        unplaced_dependents.entry(name).or_default();
        for to in real(name) {
            let count = unplaced_dependents.entry(to).or_default();
            *count = count.saturating_add(1);
        }
    }
    let mut layer: Vec<&[u8]> =
        unplaced_dependents.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
    let mut too_deep = BTreeSet::new();
    let mut number = 0usize;
    while !layer.is_empty() {
        let mut next = Vec::new();
        for name in &layer {
            if number > MAX_LAYER {
                too_deep.insert(*name);
            }
            for to in real(name) {
                if let Some(count) = unplaced_dependents.get_mut(to) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        next.push(to);
                    }
                }
            }
        }
        layer = next;
        number = number.saturating_add(1);
    }
    let line = |name: &[u8]| {
        [b"Service '".as_slice(), base_of(name), b"' exceeds maximum allowed dependency depth (32)."].concat()
    };
    too_deep.into_iter().map(|name| finding(name, line(name), lint::TOO_DEEP, true)).collect()
}

/// Finds one cycle. The search and what it prints are the reference's, quirks included.
fn cycle(links: &BTreeMap<&[u8], Vec<Link<'_>>>, named: &[Vec<u8>]) -> Option<Finding> {
    let mut visited: BTreeSet<&[u8]> = BTreeSet::new();
    let mut finished: BTreeSet<&[u8]> = BTreeSet::new();
    for start in named {
        let Some((start, _)) = links.get_key_value(start.as_slice()) else { continue };
        if visited.contains(start) {
            continue;
        }
        // Each entry: a service, and how many of its links were followed.
        let mut path: Vec<(&[u8], usize)> = vec![(start, 0)];
        while let Some((name, followed)) = path.last_mut() {
            let link = links.get(name).and_then(|links| links.get(*followed));
            *followed = followed.saturating_add(1);
            match link {
                None => {
                    finished.insert(name);
                    path.pop();
                }
                Some(link) if !visited.contains(link.to) => {
                    visited.insert(link.to);
                    path.push((link.to, 0));
                }
                Some(link) if finished.contains(link.to) => {}
                Some(link) => return Some(cycle_found(links, &path, link.to)),
            }
        }
    }
    None
}

fn cycle_found(links: &BTreeMap<&[u8], Vec<Link<'_>>>, path: &[(&[u8], usize)], last: &[u8]) -> Finding {
    let mut line = b"Found dependency cycle:".to_vec();
    for (name, followed) in path.iter().skip_while(|(name, _)| *name != last) {
        let link = links.get(name).and_then(|links| links.get(followed.saturating_sub(1)));
        let via: &[u8] = match link.map(|link| link.kind) {
            Some(DependencyKind::Before) => b" (via 'before')",
            Some(DependencyKind::After) => b" (via 'after')",
            _ => b"",
        };
        line.extend_from_slice(&[b"\n    ".as_slice(), name, b" ->", via].concat());
    }
    line.extend_from_slice(&[b"\n    ".as_slice(), last, b"."].concat());
    finding(last, line, lint::CYCLE, true)
}
