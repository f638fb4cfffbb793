//! The one form in which a diagnostic is shown.

use alloc::string::{String, ToString};
use core::fmt::{self, Write};

use crate::{Diagnostic, Excerpt};

impl Diagnostic {
    /// Returns `file:line:column: severity: message`, on one line whatever the message holds.
    ///
    /// Without a place the line and the column are left out. This line alone goes to the daemon's log.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        push_visible(&mut text, &self.file);
        if let Some(excerpt) = &self.excerpt {
            // Writing to a `String` cannot fail.
            let _ = write!(text, ":{}:{}", excerpt.position.line, excerpt.position.column);
        }
        text.push_str(": ");
        text.push_str(self.severity.word());
        text.push_str(": ");
        push_visible(&mut text, &self.message);
        if let Some(lint) = self.lint {
            let _ = write!(text, " [{lint}]");
        }
        text
    }

    /// Returns the summary, the quoted line with a marker, and the help; every line ends with a newline.
    pub fn render(&self) -> String {
        let mut text = self.summary();
        text.push('\n');
        if let Some(excerpt) = &self.excerpt {
            push_excerpt(&mut text, excerpt);
        }
        if let Some(help) = &self.help {
            text.push_str("help: ");
            text.push_str(help);
            text.push('\n');
        }
        text
    }
}

impl fmt::Display for Diagnostic {
    /// Writes the full rendering without its last newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render().trim_end_matches('\n'))
    }
}

/// Appends the quoted line and the marker below it.
fn push_excerpt(text: &mut String, excerpt: &Excerpt) {
    let number = excerpt.position.line.to_string();
    let before = usize::try_from(excerpt.position.column).unwrap_or(1).saturating_sub(1);
    let _ = write!(text, "{number:>5} | ");
    for character in excerpt.line.chars() {
        text.push(visible(character));
    }
    let _ = write!(text, "\n{:>5} | ", "");
    // Tabs are kept under tabs, so that the marker stands where the terminal shows the text.
    let mut shown = 0;
    for character in excerpt.line.chars().take(before) {
        text.push(if character == '\t' { '\t' } else { ' ' });
        shown += 1;
    }
    for _ in shown..before {
        text.push(' ');
    }
    for _ in 0..excerpt.width.max(1) {
        text.push('^');
    }
    text.push('\n');
}

/// Appends text that is to stay on its line and must not drive the terminal.
fn push_visible(text: &mut String, shown: &str) {
    for character in shown.chars() {
        match character {
            '\n' => text.push_str("\\n"),
            _ => text.push(visible(character)),
        }
    }
}

/// Replaces a control character by one that can be seen.
fn visible(character: char) -> char {
    if character.is_control() && character != '\t' { '\u{fffd}' } else { character }
}
