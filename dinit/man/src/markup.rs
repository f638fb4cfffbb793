//! The markup of the sources, and roff made of it.
//!
//! A source is lines: `# TITLE` and `## TITLE` begin sections, `: TERM` a definition whose text follows, four
//! blanks keep a line as it is, an empty line ends a paragraph, and what begins with `@` is filled in by the
//! caller. Within a line `` `x` `` is what is typed, and `<x>` what stands for something else.

/// A line of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A section.
    Section(&'a str),
    /// A part of a section.
    Subsection(&'a str),
    /// The term of a definition.
    Term(&'a str),
    /// What is kept as it is.
    Verbatim(&'a str),
    /// The end of a paragraph.
    Blank,
    /// A word to be filled in, and its argument.
    Fill(&'a str, &'a str),
    /// Text.
    Text(&'a str),
}

impl<'a> Line<'a> {
    /// Says what a line is.
    #[must_use]
    pub fn of(line: &'a str) -> Self {
        if let Some(rest) = line.strip_prefix("    ") {
            return Self::Verbatim(rest);
        }
        let line = line.trim_end();
        let after = |prefix| line.strip_prefix(prefix);
        match (after("## "), after("# "), after(": "), after("@")) {
            (Some(title), ..) => Self::Subsection(title),
            (_, Some(title), ..) => Self::Section(title),
            (_, _, Some(term), _) => Self::Term(term),
            (.., Some(fill)) => {
                let (word, argument) = fill.split_once(' ').unwrap_or((fill, ""));
                Self::Fill(word, argument)
            }
            _ if line.is_empty() => Self::Blank,
            _ => Self::Text(line),
        }
    }
}

/// Writes roff, line by line.
#[derive(Debug, Default)]
pub struct Writer {
    text: String,
    /// Whether a paragraph has to be begun before more text.
    gap: bool,
    verbatim: bool,
    /// Whether what follows belongs to a definition.
    defines: bool,
}

impl Writer {
    /// Adds a line of a source; what is to be filled in is not known here.
    pub fn line(&mut self, line: &Line<'_>) {
        if let Line::Verbatim(text) = line {
            self.verbatim(text);
            return;
        }
        self.end_verbatim();
        match line {
            Line::Section(title) => self.heading("SH", title),
            Line::Subsection(title) => self.heading("SS", title),
            Line::Term(term) => self.term(&inline(term)),
            Line::Blank => self.gap = true,
            Line::Text(text) => {
                self.begin_paragraph();
                self.plain(&inline(text));
            }
            Line::Verbatim(_) | Line::Fill(..) => {}
        }
    }

    /// Adds a definition's term, which is roff already.
    pub fn term(&mut self, term: &str) {
        self.end_verbatim();
        self.request(".TP");
        self.plain(term);
        self.gap = false;
        self.defines = true;
    }

    /// Adds roff as it is, on lines of its own.
    pub fn request(&mut self, request: &str) {
        self.text.push_str(request);
        self.text.push('\n');
    }

    /// Adds text in the markup.
    pub fn text(&mut self, text: &str) {
        self.line(&Line::Text(text));
    }

    /// Ends definitions: the next paragraph is one of the section.
    pub fn end_definitions(&mut self) {
        self.defines = false;
        self.gap = true;
    }

    /// Gives what was written.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.end_verbatim();
        self.text
    }

    fn heading(&mut self, request: &str, title: &str) {
        self.request(&format!(".{request} \"{}\"", escaped(title)));
        self.gap = false;
        self.defines = false;
    }

    fn begin_paragraph(&mut self) {
        if self.gap {
            // Within a definition a paragraph is set in like the definition.
            self.request(if self.defines { ".IP" } else { ".PP" });
        }
        self.gap = false;
    }

    fn verbatim(&mut self, text: &str) {
        if !self.verbatim {
            if self.gap && self.defines {
                self.request(".sp");
                self.gap = false;
            }
            self.begin_paragraph();
            self.request(".RS 4");
            self.request(".nf");
            self.verbatim = true;
        } else if self.gap {
            self.request("");
        }
        self.gap = false;
        self.plain(&escaped(text));
    }

    fn end_verbatim(&mut self) {
        if self.verbatim {
            self.request(".fi");
            self.request(".RE");
            self.verbatim = false;
            self.gap = true;
        }
    }

    fn plain(&mut self, text: &str) {
        // What begins with one of these would be a request.
        if text.starts_with(['.', '\'']) || text.starts_with("\\(aq") {
            self.text.push_str("\\&");
        }
        self.text.push_str(text);
        self.text.push('\n');
    }
}

/// Makes roff of a text with markup.
#[must_use]
pub fn inline(text: &str) -> String {
    let mut roff = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let (open, close, font) = match character {
            '`' => ('`', '`', "\\fB"),
            '<' => ('<', '>', "\\fI"),
            other => {
                roff.push_str(&escaped(other.encode_utf8(&mut [0; 4])));
                rest = &rest[other.len_utf8()..];
                continue;
            }
        };
        let inner = rest[open.len_utf8()..].split_once(close);
        match inner.filter(|(inner, _)| !inner.is_empty() && (open == '`' || !inner.contains(' '))) {
            Some((inner, after)) => {
                roff.push_str(&format!("{font}{}\\fR", escaped(inner)));
                rest = after;
            }
            None => {
                roff.push(open);
                rest = &rest[open.len_utf8()..];
            }
        }
    }
    roff
}

/// Makes roff of a text without markup.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut roff = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => roff.push_str("\\e"),
            '-' => roff.push_str("\\-"),
            '\'' => roff.push_str("\\(aq"),
            '`' => roff.push_str("\\(ga"),
            '"' => roff.push_str("\\(dq"),
            '^' => roff.push_str("\\(ha"),
            '~' => roff.push_str("\\(ti"),
            other => roff.push(other),
        }
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_taken_for_roff() {
        let mut writer = Writer::default();
        writer.text(".so it is");
        writer.text("'quoted' \\fB -x");
        assert_eq!(writer.finish(), "\\&.so it is\n\\&\\(aqquoted\\(aq \\efB \\-x\n");
    }

    #[test]
    fn what_is_typed_and_what_stands_for_something_look_different() {
        assert_eq!(inline("run `-p <x>` or <name>"), "run \\fB\\-p <x>\\fR or \\fIname\\fR");
        assert_eq!(inline("a < b, `unclosed"), "a < b, `unclosed");
    }

    #[test]
    fn paragraphs_definitions_and_what_is_kept_have_their_requests() {
        let mut writer = Writer::default();
        let source = "# TITLE\none\n\ntwo\n\n    kept  as\n\n    it is\n\n: term\ntext\n\nmore\n";
        source.lines().for_each(|line| writer.line(&Line::of(line)));
        let expected = ".SH \"TITLE\"\none\n.PP\ntwo\n.PP\n.RS 4\n.nf\nkept  as\n.fi\n.RE\n.PP\n.RS 4\n.nf\nit is\n\
                        .fi\n.RE\n.TP\nterm\ntext\n.IP\nmore\n";
        assert_eq!(writer.finish(), expected);
    }
}
