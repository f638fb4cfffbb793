//! One problem of a description, with the words and the layout of the reference.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use diagnostics::{Diagnostic, Severity};

use crate::{Place, SourceFile};

/// Which of the reference's layouts a problem is reported in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// With file and line (the reference's D1).
    Line,
    /// With file, line and setting (D2).
    LineAndSetting,
    /// With the setting, and without file and line (D3).
    Setting,
    /// The text alone (L); what stands around it depends on who wanted the service.
    Plain,
}

/// How much of the language one must know to see a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What lines there are: their shape, meta-commands and included files; and the description as a whole.
    Structure,
    /// What is assigned to what: the names of settings, operators and quotation marks.
    Assignment,
    /// What the value of a setting means.
    Value,
}

/// One reason why a description cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The text of the reference, byte by byte: names and values in it need not be UTF-8.
    pub text: Vec<u8>,
    /// How the reference presents it.
    pub layout: Layout,
    /// The setting, where one is concerned. The layout decides whether it is shown.
    pub setting: Option<&'static str>,
    /// Where it is, as far as a place exists. There may be one even where the layout does not show it.
    pub place: Option<Place>,
    /// Whether the reference's checker gives up on the service here.
    pub ends_reading: bool,
    /// Where in the language it lies, for programs that read a description for a part of what it says.
    pub level: Level,
    /// What to do about it.
    pub help: Option<Cow<'static, str>>,
}

impl Problem {
    /// Makes a problem that has no place: one of the description as a whole.
    pub fn plain(text: impl Into<Vec<u8>>) -> Problem {
        Problem {
            text: text.into(),
            layout: Layout::Plain,
            setting: None,
            place: None,
            ends_reading: false,
            level: Level::Structure,
            help: None,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<Cow<'static, str>>) -> Problem {
        self.help = Some(help.into());
        self
    }

    /// Adds the place.
    #[must_use]
    pub fn with_place(mut self, place: Option<Place>) -> Problem {
        self.place = place;
        self
    }

    /// Returns the line that the reference's daemon logs, or `None` for [`Layout::Plain`].
    ///
    /// `base` is the base name of the service and `files` are those of the [`Parsed`](crate::Parsed)
    /// description.
    pub fn log_line(&self, base: &[u8], files: &[SourceFile]) -> Option<Vec<u8>> {
        let (file, line) = self.file_and_line(files);
        let setting = self.setting.unwrap_or_default().as_bytes();
        let head = b"Error in service description for '".as_slice();
        Some(match self.layout {
            Layout::Line => [head, base, b"' (file ", file, b", line ", &line, b"): ", &self.text].concat(),
            Layout::LineAndSetting => [
                head,
                base,
                b"': setting '",
                setting,
                b"' (file ",
                file,
                b", line ",
                &line,
                b"): ",
                &self.text,
            ]
            .concat(),
            Layout::Setting => [head, base, b"' setting '", setting, b"': ", &self.text].concat(),
            Layout::Plain => return None,
        })
    }

    /// Returns the name of the file and the line as decimal digits, as far as the problem has a place.
    pub fn file_and_line<'f>(&self, files: &'f [SourceFile]) -> (&'f [u8], Vec<u8>) {
        let Some(place) = self.place else { return (b"", Vec::new()) };
        let file = files.get(place.file.index()).map(|file| file.name.as_slice()).unwrap_or_default();
        (file, alloc::format!("{}", place.line).into_bytes())
    }

    /// Returns the problem as a diagnostic that quotes the line.
    pub fn diagnostic(&self, files: &[SourceFile]) -> Diagnostic {
        let mut message = String::from_utf8_lossy(&self.text).into_owned();
        if let (Some(setting), Layout::LineAndSetting | Layout::Setting) = (self.setting, self.layout) {
            message = alloc::format!("setting `{setting}`: {message}");
        }
        let file = self.place.and_then(|place| files.get(place.file.index())).or(files.first());
        let file_name = file.map(|file| String::from_utf8_lossy(&file.name).into_owned()).unwrap_or_default();
        let mut diagnostic = match (self.place, file) {
            (Some(place), Some(file)) => {
                Diagnostic::at(file_name, &file.text, place.span, Severity::Error, message)
            }
            _ => Diagnostic::whole(file_name, Severity::Error, message),
        };
        diagnostic.help = self.help.as_ref().map(|help| help.clone().into_owned());
        diagnostic
    }
}
