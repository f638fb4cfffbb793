use super::*;

const REPORT: Report<'_> = Report { name: b"web", status: b"started", value: b"a \"b\" %n" };

fn words(command: &str) -> Vec<String> {
    let template = Template::new(command.as_bytes()).unwrap();
    template.fill_in(REPORT).into_iter().map(|word| String::from_utf8(word).unwrap()).collect()
}

fn errors(words: &[&str]) -> String {
    let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    let mut err = Vec::new();
    run(&words, &mut err);
    String::from_utf8(err).unwrap()
}

#[test]
fn words_are_separated_by_the_white_space_of_the_c_locale() {
    assert_eq!(words(" a\tb\nc\x0bd\x0ce\rf  g "), ["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(words("a\u{a0}b"), ["a\u{a0}b"]);
}

#[test]
fn a_quote_goes_on_to_the_next_or_to_the_end_and_nothing_escapes_it() {
    assert_eq!(words(r#"a" "b "c d"#), ["a b", "c d"]);
    assert_eq!(words(r#"a\" b\"#), [r"a\ b\"]);
}

#[test]
fn a_word_of_nothing_but_quotes_is_an_empty_argument() {
    assert_eq!(words(r#"a "" b"#), ["a", "", "b"]);
    assert_eq!(words(r#""""#), [""]);
}

#[test]
fn a_command_without_a_word_is_none() {
    assert!(Template::new(b"").is_none());
    assert!(Template::new(b" \t\x0b").is_none());
}

#[test]
fn what_is_put_in_stays_as_it_is() {
    assert_eq!(words("%n:%s %v"), ["web:started", "a \"b\" %n"]);
}

#[test]
fn a_percent_sign_stands_for_itself_unless_a_placeholder_follows() {
    assert_eq!(words("100%%x %q %%n %"), ["100%x", "%q", "%n", "%"]);
}

#[test]
fn a_percent_sign_before_a_closing_quote_does_not_keep_the_quote() {
    assert_eq!(words("\"100%\" \"%\"n"), ["100%", "%n"]);
}

#[test]
fn a_command_that_ends_well_is_not_mentioned() {
    assert_eq!(errors(&["true"]), "");
}

#[test]
fn the_end_of_a_command_is_told_with_its_number() {
    let status =
        |number| format!("dinit-monitor: notification command terminated with exit status {number}\n");
    assert_eq!(errors(&["sh", "-c", "exit 7"]), status(7));
    assert_eq!(
        errors(&["sh", "-c", "kill -15 $$"]),
        "dinit-monitor: notification command terminated due to signal 15\n"
    );
}

#[test]
fn a_command_that_cannot_be_executed_counts_as_ended_with_127() {
    let told = |cause| {
        format!(
            "dinit-monitor: exec: {cause}\ndinit-monitor: notification command terminated with exit status 127\n"
        )
    };
    assert_eq!(errors(&["no-such-program-anywhere"]), told("No such file or directory"));
    assert_eq!(errors(&[""]), told("No such file or directory"));
    assert_eq!(errors(&["/"]), told("Permission denied"));
}
