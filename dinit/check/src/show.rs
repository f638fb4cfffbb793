//! Prints a report: in the lines of the reference, with quoted lines, or as JSON.

use std::io::{self, Write};

use dinit_json::{Value, list, object};
use dinit_load::check::{Finding, Report};

/// Prints the report as the reference does. Problems go to `err`.
pub(crate) fn plain(report: &Report, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
    with_progress(report, out, err, |finding, err| {
        err.write_all(&finding.line)?;
        err.write_all(b"\n")
    })
}

/// Prints the report with the lines that the problems are in.
pub(crate) fn text(report: &Report, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<()> {
    with_progress(report, out, err, |finding, err| err.write_all(finding.diagnostic.render().as_bytes()))
}

fn with_progress(
    report: &Report,
    out: &mut dyn Write,
    err: &mut dyn Write,
    show: impl Fn(&Finding, &mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    for service in &report.services {
        out.write_all(&[b"Checking service: ".as_slice(), service.name.as_bytes(), b"...\n"].concat())?;
        for finding in &service.findings {
            show(finding, err)?;
        }
    }
    out.write_all(b"Performing secondary checks...\n")?;
    for finding in &report.secondary {
        show(finding, err)?;
    }
    err.write_all(b"Secondary checks complete.\n")?;
    let verdict: &[u8] =
        if report.is_clean() { b"No problems found.\n" } else { b"One or more errors/warnings issued.\n" };
    out.write_all(verdict)
}

/// Prints the report as one JSON document.
///
/// The keys are `services` (names, in the order of checking), `findings` and `clean`. A finding has `service`
/// (`null` if it is about several), `file`, `line`, `column`, `severity`, `message`, `help`, `lint` and
/// `counts`; what is unknown is `null`.
pub(crate) fn json(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let of_services = report.services.iter().flat_map(|service| {
        service.findings.iter().map(|finding| shown(Some(service.name.as_bytes()), finding))
    });
    let findings = of_services.chain(report.secondary.iter().map(|finding| shown(None, finding)));
    let document = object([
        ("services", list(report.services.iter().map(|service| Value::bytes(service.name.as_bytes())))),
        ("findings", list(findings)),
        ("clean", report.is_clean().into()),
    ]);
    writeln!(out, "{document}")
}

fn shown(service: Option<&[u8]>, finding: &Finding) -> Value {
    let diagnostic = &finding.diagnostic;
    object([
        ("service", service.map(Value::bytes).into()),
        ("file", diagnostic.file.as_str().into()),
        ("line", diagnostic.line().into()),
        ("column", diagnostic.column().into()),
        ("severity", diagnostic.severity.word().into()),
        ("message", diagnostic.message.as_str().into()),
        ("help", diagnostic.help.as_deref().into()),
        ("lint", diagnostic.lint.into()),
        ("counts", finding.counts.into()),
    ])
}
