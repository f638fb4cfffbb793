//! What holds for every text and every description.

use std::borrow::Cow;
use std::time::Duration;

use dinit_service::value::{Bound, Capabilities, Group, IoPriority, Limits, SecureBits, TermSignal, User};
use dinit_service::{
    At, Dependency, DependencyKind, FileId, IncludeFault, LogType, NoSources, NoVariables, Options, Parsed,
    Restart, ServiceDescription, ServiceName, ServiceType, Source, Sources, Target, Variables, parse, print,
    settings,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Every file includes whatever it was told to, for ever.
struct Itself(Vec<u8>);

impl Sources for Itself {
    fn include(&mut self, _: FileId, _: FileId, _: &[u8]) -> Result<Vec<u8>, IncludeFault> {
        Ok(self.0.clone())
    }
}

/// Every variable has a value that is long and has white space.
struct Long;

impl Variables for Long {
    fn variable(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        (name.len() % 2 == 1).then(|| Cow::Owned(vec![b' '; name.len() * 3]))
    }
}

fn read(text: &[u8]) -> Parsed {
    parse(&ServiceName::new("svc"), Source::new("svc", text), &NoVariables, &mut NoSources)
}

/// Text that is more like a description than random bytes are.
fn likely_text() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<Vec<u8>> = settings::SETTINGS
        .iter()
        .map(|setting| setting.name.as_bytes().to_vec())
        .chain(
            [
                "=",
                ":",
                "+=",
                "\n",
                "\\",
                "\\\n ",
                "\"",
                "#",
                " ",
                "$",
                "${",
                "}",
                "$/",
                "$1",
                ":-",
                "@include x",
                "@meta",
                "process",
                "a",
                "0x7",
                "-1",
                "\r",
                "\u{e9}",
                "\0",
                "18446744073709551616",
                ".",
                ",",
            ]
            .into_iter()
            .map(|piece| piece.as_bytes().to_vec()),
        )
        .collect();
    vec(proptest::sample::select(pieces), 0..60).prop_map(|pieces| pieces.concat())
}

fn check_places(parsed: &Parsed) {
    for problem in parsed.problems.iter().chain(&parsed.warnings) {
        let rendered = problem.diagnostic(&parsed.files).render();
        assert!(rendered.ends_with('\n'));
        if let Some(place) = problem.place {
            let file = &parsed.files[place.file.index()];
            assert!(place.span.start <= place.span.end && place.span.end <= file.text.len(), "{problem:?}");
            assert!(place.line >= 1);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_can_be_read(text in vec(any::<u8>(), 0..2000)) {
        let mut parsed = parse(&ServiceName::new("s@a"), Source::new("s", text.clone()), &Long, &mut Itself(text));
        check_places(&parsed);
        parsed.description.substitute(&Long, Some(b"a b"));
    }

    #[test]
    fn anything_like_a_description_can_be_read(text in likely_text()) {
        let mut parsed = parse(&ServiceName::new("s"), Source::new("s", text.clone()), &Long, &mut Itself(text));
        check_places(&parsed);
        parsed.description.substitute(&Long, None);
    }

    #[test]
    fn what_was_read_and_printed_reads_the_same(text in likely_text()) {
        let first = read(&text);
        // A name may have got a newline from nowhere but a continued line, which can be printed again.
        let printed = print(&first.description).unwrap();
        let again = read(&printed);
        prop_assert_eq!(&again.problems, &[], "{}", String::from_utf8_lossy(&printed));
        prop_assert_eq!(again.description, first.description, "{}", String::from_utf8_lossy(&printed));
    }

    #[test]
    fn what_is_printed_reads_the_same(description in description()) {
        let printed = print(&description).unwrap();
        let parsed = read(&printed);
        prop_assert_eq!(&parsed.problems, &[], "{}", String::from_utf8_lossy(&printed));
        prop_assert_eq!(parsed.description, description, "{}", String::from_utf8_lossy(&printed));
    }

    #[test]
    fn environment_files_of_any_bytes_can_be_read(text in vec(any::<u8>(), 0..500)) {
        let mut environment = dinit_service::Environment::new();
        let faults = environment.apply_file(&text);
        prop_assert!(faults.len() <= text.len() + 1);
    }
}

/// Bytes without a newline, which only continued lines can have.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>().prop_filter("no newline", |byte| *byte != b'\n'), 1..12)
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    bytes()
        .prop_filter("a valid name that is not its own", |name| ServiceName::is_valid(name) && name != b"svc")
}

fn names() -> impl Strategy<Value = Vec<At<Vec<u8>>>> {
    vec(name().prop_map(At::from), 0..3)
}

fn user() -> impl Strategy<Value = User> {
    prop_oneof![(0..u32::MAX).prop_map(User::Id), "[a-z]{1,8}".prop_map(|name| User::Name(name.into_bytes()))]
}

fn dependency() -> impl Strategy<Value = At<Dependency>> {
    let kinds = |settings: &'static [(&'static str, DependencyKind)]| {
        proptest::sample::select(settings).prop_map(|(_, kind)| kind)
    };
    prop_oneof![
        (kinds(DependencyKind::SETTINGS), name())
            .prop_map(|(kind, name)| At::from(Dependency { kind, target: Target::Service(name) })),
        (kinds(DependencyKind::DIRECTORY_SETTINGS), bytes())
            .prop_map(|(kind, path)| At::from(Dependency { kind, target: Target::Directory(path) })),
    ]
}

fn bound() -> impl Strategy<Value = Bound> {
    prop_oneof![Just(Bound::Unset), Just(Bound::Unlimited), any::<u64>().prop_map(Bound::At)]
}

fn limits() -> impl Strategy<Value = Option<Limits>> {
    option::of((bound(), bound()).prop_map(|(soft, hard)| Limits { soft, hard }))
}

fn word<T: Copy + std::fmt::Debug + 'static>(
    words: &'static [(&'static str, T)],
) -> impl Strategy<Value = T> {
    proptest::sample::select(words).prop_map(|(_, value)| value)
}

fn options() -> impl Strategy<Value = Options> {
    vec(word(Options::WORDS), 0..4).prop_map(|words| {
        let mut options = Options::NONE;
        words.into_iter().for_each(|word| options.add(word));
        options
    })
}

fn description() -> impl Strategy<Value = ServiceDescription> {
    let what = (word(ServiceType::WORDS), vec(vec(any::<u8>().prop_filter("", |b| *b != b'\n'), 0..6), 0..4));
    let paths = (option::of(bytes()), option::of(bytes()), option::of(bytes()), option::of(bytes()));
    let owners = (option::of(user()), option::of(user()), option::of(user()), option::of(any::<u16>()));
    let relations = (vec(dependency(), 0..5), names(), names(), option::of(name()), option::of(name()));
    let limits = (limits(), limits(), limits(), limits());
    let numbers = (0u32..=2147483647, 0u32..=2147483647, any::<u32>(), any::<u32>(), 0u32..0o100000);
    let words = (word(Restart::WORDS), word(LogType::WORDS), word(TermSignal::WORDS), options(), any::<u8>());
    let rest = (option::of(-1000i32..=1000), option::of(0u8..8), option::of(bytes()), vec(any::<u8>(), 0..5));
    (what, paths, owners, relations, limits, numbers, words, rest).prop_map(
        |(what, paths, owners, relations, limits, numbers, words, rest)| {
            let mut d = ServiceDescription { service_type: what.0, command: what.1, ..Default::default() };
            (d.working_dir, d.pid_file, d.logfile, d.socket_listen) = paths;
            (d.run_as, d.socket_uid, d.logfile_uid) = (owners.0, owners.1, owners.2);
            d.socket_gid = owners.3.map(|gid| Group::Id(gid.into()));
            (d.dependencies, d.before, d.after) = (relations.0, relations.1, relations.2);
            d.chain_to = relations.3.map(At::from);
            d.consumer_of = relations.4.map(At::from);
            (d.limits.nofile, d.limits.core, d.limits.data, d.limits.addrspace) = limits;
            (d.restart_limit_count, d.log_buffer_size) = (numbers.0, numbers.1);
            d.start_timeout = Duration::new(numbers.2.into(), numbers.3 % 1_000_000_000);
            d.socket_permissions = numbers.4;
            (d.restart, d.log_type, d.term_signal, d.options) = (words.0, words.1, words.2, words.3);
            for (index, (_, bit)) in SecureBits::WORDS.iter().enumerate() {
                if words.4 & 1 << index != 0 {
                    d.secure_bits |= *bit;
                }
            }
            (d.export_passwd_vars, d.smooth_recovery) = (words.4 & 64 != 0, words.4 & 128 != 0);
            (d.nice, d.oom_score_adj) = (rest.0, rest.0.map(|score| -score));
            d.io_priority = rest.1.map(IoPriority::BestEffort);
            d.capabilities = rest.1.and_then(|_| Capabilities::parse(b"^cap_chown,!cap_kill").ok());
            d.readiness.descriptor = rest.1.map(u32::from);
            d.readiness.variable = rest.2;
            d.inittab_id = rest.3.into_iter().filter(|byte| *byte != b'\n').take(4).collect();
            d
        },
    )
}

#[test]
fn includes_that_double_at_every_level_come_to_an_end() {
    let text = b"@include x\n@include x\n".to_vec();
    let parsed =
        parse(&ServiceName::new("s"), Source::new("s", text.clone()), &NoVariables, &mut Itself(text));
    let text = String::from_utf8_lossy(&parsed.problems[0].text).into_owned();
    assert_eq!((parsed.problems.len(), text.as_str()), (1, "x: cannot open: includes nested too deeply"));
}

#[test]
fn many_includes_side_by_side_are_counted() {
    struct Empty;
    impl Sources for Empty {
        fn include(&mut self, _: FileId, _: FileId, _: &[u8]) -> Result<Vec<u8>, IncludeFault> {
            Ok(Vec::new())
        }
    }
    let text = "@include x\n".repeat(2000);
    let parsed = parse(&ServiceName::new("s"), Source::new("s", text), &NoVariables, &mut Empty);
    let text = String::from_utf8_lossy(&parsed.problems[0].text).into_owned();
    assert_eq!(text, "x: cannot open: too many included files");
}

#[test]
fn values_cannot_grow_without_end() {
    struct Mega;
    impl Variables for Mega {
        fn variable(&self, _: &[u8]) -> Option<Cow<'_, [u8]>> {
            Some(Cow::Owned(vec![b'x'; 1 << 20]))
        }
    }
    let text = "depends-on: $X\n".repeat(1000);
    let parsed = parse(&ServiceName::new("s"), Source::new("s", text), &Mega, &mut NoSources);
    assert_eq!(parsed.description.dependencies.len(), 15);
    assert_eq!(parsed.problems[0].text, b"value too long (after substitution)");
}

#[test]
fn a_newline_that_nothing_indents_cannot_be_printed() {
    let description = ServiceDescription { working_dir: Some(b"a\nb".to_vec()), ..Default::default() };
    assert_eq!(print(&description).unwrap_err().setting, "working-dir");
    let description = ServiceDescription { working_dir: Some(b"a\n b".to_vec()), ..Default::default() };
    let printed = print(&description).unwrap();
    assert_eq!(read(&printed).description, description);
}
