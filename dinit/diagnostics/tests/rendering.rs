//! What a diagnostic looks like.

use diagnostics::{Diagnostic, Position, Severity, Span};

const SOURCE: &[u8] = b"[image]\nname = \"base\"\npackages = [\"openssh-srver\", \"less\"]\n";

fn misspelt() -> Diagnostic {
    Diagnostic::at("base.toml", SOURCE, 34..49, Severity::Error, "no package named `openssh-srver`")
        .with_help("a package with a similar name exists: `openssh-server`")
}

#[test]
fn the_summary_is_what_an_editor_can_jump_to() {
    assert_eq!(misspelt().summary(), "base.toml:3:13: error: no package named `openssh-srver`");
}

#[test]
fn the_rendering_quotes_the_line_and_marks_what_is_meant() {
    let expected = "\
base.toml:3:13: error: no package named `openssh-srver`
    3 | packages = [\"openssh-srver\", \"less\"]
      |             ^^^^^^^^^^^^^^^
help: a package with a similar name exists: `openssh-server`
";
    assert_eq!(misspelt().render(), expected);
}

#[test]
fn a_problem_of_the_whole_file_has_no_line() {
    let diagnostic = Diagnostic::whole("boot", Severity::Warning, "nothing here").with_lint("empty-file");
    assert_eq!(diagnostic.render(), "boot: warning: nothing here [empty-file]\n");
    assert_eq!((diagnostic.line(), diagnostic.column()), (None, None));
}

#[test]
fn columns_count_characters_and_not_bytes() {
    assert_eq!(Position::of("é = ü".as_bytes(), 5), Position { line: 1, column: 5 });
}

#[test]
fn a_span_over_several_lines_is_marked_to_the_end_of_its_first() {
    let diagnostic = Diagnostic::at("f", b"ab\ncd\r\nef", 4..9, Severity::Error, "m");
    assert_eq!(diagnostic.render(), "f:2:2: error: m\n    2 | cd\n      |  ^\n");
}

#[test]
fn a_span_behind_the_end_marks_one_column() {
    let diagnostic = Diagnostic::at("f", b"ab", Span::new(7, 3), Severity::Note, "m");
    assert_eq!(diagnostic.render(), "f:1:3: note: m\n    1 | ab\n      |   ^\n");
}

#[test]
fn tabs_stay_above_the_marker_and_control_characters_are_not_sent_to_the_terminal() {
    let diagnostic = Diagnostic::at("f\n", b"\t\x1b[31mx", 6..7, Severity::Error, "a\nb");
    assert_eq!(diagnostic.render(), "f\\n:1:7: error: a\\nb\n    1 | \t\u{fffd}[31mx\n      | \t     ^\n");
}
