//! Prints a report: in the lines of the reference, with quoted lines, or as JSON.

use std::io::{self, Write};

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
/// (absent if it is about several), `file`, `line`, `column`, `severity`, `message`, `help`, `lint` and
/// `counts`; what is unknown is `null`.
pub(crate) fn json(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let names: Vec<String> =
        report.services.iter().map(|service| string(&service.name.to_string())).collect();
    let mut findings = Vec::new();
    for service in &report.services {
        findings
            .extend(service.findings.iter().map(|finding| object(Some(&service.name.to_string()), finding)));
    }
    findings.extend(report.secondary.iter().map(|finding| object(None, finding)));
    writeln!(
        out,
        "{{\"services\":[{}],\"findings\":[{}],\"clean\":{}}}",
        names.join(","),
        findings.join(","),
        report.is_clean()
    )
}

fn object(service: Option<&str>, finding: &Finding) -> String {
    let shown = &finding.diagnostic;
    let number =
        |number: Option<u32>| number.map_or_else(|| String::from("null"), |number| number.to_string());
    let text = |text: Option<&str>| text.map_or_else(|| String::from("null"), string);
    format!(
        "{{\"service\":{},\"file\":{},\"line\":{},\"column\":{},\"severity\":{},\"message\":{},\"help\":{},\
         \"lint\":{},\"counts\":{}}}",
        text(service),
        string(&shown.file),
        number(shown.line()),
        number(shown.column()),
        string(shown.severity.word()),
        string(&shown.message),
        text(shown.help.as_deref()),
        text(shown.lint),
        finding.counts
    )
}

/// Returns a text as a JSON string.
fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
