use super::*;

fn parsed(arguments: &[&str]) -> Options {
    match parse(arguments.iter().map(|argument| argument.as_bytes().to_vec())) {
        Ok(Parsed::Run(options)) => options,
        other => panic!("{arguments:?} gave {other:?}"),
    }
}

fn names(options: &Options) -> Vec<&str> {
    let (Watched::Services(names) | Watched::Environment(names)) = &options.watched;
    names.iter().map(|name| std::str::from_utf8(name).unwrap()).collect()
}

#[test]
fn options_and_names_may_be_mixed_and_unknown_options_are_passed_over() {
    let options = parsed(&["a", "-i", "--no-such", "b", "-c", "x", "-ie", "--command=y", "-", "c"]);
    assert_eq!(names(&options), ["a", "b", "c"]);
    assert!(options.initial && !options.once);
}

#[test]
fn two_dashes_are_an_unknown_option() {
    let options = parsed(&["-c", "x", "--", "a", "-e"]);
    assert_eq!(names(&options), ["a"]);
    assert!(options.once);
}

#[test]
fn an_argument_of_an_option_may_be_empty_or_look_like_an_option() {
    let options = parsed(&["a", "-c", "--help", "--str-set", "", "--str-unset", "-e"]);
    assert_eq!((options.texts.set.as_slice(), options.texts.unset.as_slice()), (&b""[..], &b"-e"[..]));
    assert!(!options.once);
}

#[test]
fn the_last_of_several_values_counts() {
    let options = parsed(&["a", "-c", "x", "-p", "s1", "-s", "-p", "s2", "-u", "--str-started", "1"]);
    assert_eq!(options.socket_path.as_deref(), Some(&b"s2"[..]));
    assert_eq!(options.instance, Some(Instance::User));
    assert_eq!(options.texts.started, b"1");
}

#[test]
fn an_empty_socket_path_is_none() {
    assert_eq!(parsed(&["a", "-c", "x", "-p", ""]).socket_path, None);
    assert_eq!(parsed(&["a", "-c", "x", "-p", "s", "--socket-path", ""]).socket_path, None);
}

#[test]
fn the_environment_can_be_watched_whole() {
    assert_eq!(parsed(&["-E", "-c", "x"]).watched, Watched::Environment(Vec::new()));
}

#[test]
fn help_ends_the_scan_and_a_missing_argument_is_found_before_a_missing_name() {
    let scan = |arguments: &[&str]| parse(arguments.iter().map(|argument| argument.as_bytes().to_vec()));
    assert!(matches!(scan(&["--help", "-p"]), Ok(Parsed::Help(_))));
    assert!(matches!(scan(&["-c", "x", "--version", "-p"]), Ok(Parsed::Version(_))));
    assert!(
        matches!(scan(&["-p", "--help", "-c"]), Err(Failure::CommandLine(text)) if text.starts_with("--command"))
    );
    assert!(matches!(scan(&["--bogus"]), Err(Failure::CommandLine(text)) if text.starts_with("specify")));
}
