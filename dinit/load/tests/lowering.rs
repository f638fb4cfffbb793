//! What launching is told, and what never makes the loader wait.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::rc::Rc;

use dinit_graph::Graph;
use dinit_load::{Context, ExecSpec, LogFile, LogTarget, RunAs, RunAsGroup, Socket, SystemHost};
use tempfile::TempDir;

use support::{Variable, loader};

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:7:70:web:/srv:/bin/false\n";
const GROUP: &str = "root:x:0:\nweb:x:70:\nlog:x:4:web,root\nadm:x:5:root\nssl:x:6:web\n";

fn root() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in [("etc/passwd", PASSWD), ("etc/group", GROUP)] {
        write(&root, path, text);
    }
    root
}

fn write(root: &TempDir, path: &str, text: &str) {
    let path = root.path().join(path);
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
    fs::write(path, text).unwrap();
}

/// Loads `svc` inside a root.
fn load(root: &TempDir) -> Result<Rc<ExecSpec>, String> {
    let host = SystemHost::below(root.path());
    let (variables, directories) = (Variable::default(), [b"/etc/dinit.d".to_vec()]);
    let loading = loader(&host, &variables, &directories).load(&mut Graph::new(), b"svc@arg");
    match loading.outcome {
        Ok(_) => Ok(loading.services.into_iter().next().unwrap().exec),
        Err(error) => Err(String::from_utf8(error.message(Context::StartUp)).unwrap()),
    }
}

fn load_text(text: &str) -> Rc<ExecSpec> {
    let root = root();
    write(&root, "etc/dinit.d/svc", text);
    load(&root).unwrap()
}

#[test]
fn a_user_by_name_brings_all_groups_and_a_user_by_number_none() {
    let named = load_text("type = process\ncommand = /x\nrun-as = web");
    let groups = RunAsGroup::OfUser { gid: 70, groups: vec![70, 4, 6] };
    assert_eq!(named.run_as, Some(RunAs { uid: 7, group: groups }));

    let numbered = load_text("type = process\ncommand = /x\nrun-as = web\nrun-as = 7");
    assert_eq!(numbered.run_as, Some(RunAs { uid: 7, group: RunAsGroup::OfDaemon }));

    let unset = load_text("type = process\ncommand = /x\nrun-as = 4294967295");
    assert_eq!(unset.run_as, None);
}

#[test]
fn owners_of_sockets_and_log_files_come_from_their_settings_or_the_user() {
    let exec = load_text(
        "type = process\ncommand = /x\nsocket-listen = /s.$1\nsocket-uid = web\nlogfile = /l\nlogfile-uid = web\n\
         logfile-gid = log",
    );
    let socket = Socket { path: b"/s.arg".to_vec(), permissions: 0o666, uid: Some(7), gid: Some(70) };
    assert_eq!(exec.socket, Some(socket));
    let file = LogFile { path: b"/l".to_vec(), permissions: 0o600, uid: 7, gid: 4 };
    assert_eq!(exec.log, LogTarget::File(file));
}

#[test]
fn a_log_type_of_file_without_a_file_discards() {
    assert_eq!(load_text("type = process\ncommand = /x\nlog-type = file").log, LogTarget::Discard);
}

#[test]
fn processes_start_in_the_directory_of_the_description_unless_told_otherwise() {
    assert_eq!(load_text("type = process\ncommand = /x").working_dir, b"/etc/dinit.d");
    assert_eq!(load_text("type = process\ncommand = /x\nworking-dir = /w").working_dir, b"/w");
}

#[test]
fn nice_is_brought_into_the_range_of_the_kernel() {
    assert_eq!(load_text("type = process\ncommand = /x\nnice = -100").nice, Some(-20));
    assert_eq!(load_text("type = process\ncommand = /x\nnice = 100").nice, Some(19));
}

#[test]
fn a_chain_target_and_a_pid_file_are_kept() {
    let exec = load_text("type = bgprocess\ncommand = /x\npid-file = /p\nchain-to = next-$1");
    assert_eq!(exec.pid_file.as_deref(), Some(b"/p".as_slice()));
    assert_eq!(exec.chain_to.as_deref(), Some(b"next-arg".as_slice()));
}

#[test]
fn an_endless_device_a_pipe_and_a_huge_file_are_errors_at_once() {
    let root = root();
    fs::create_dir_all(root.path().join("etc/dinit.d")).unwrap();
    let description = root.path().join("etc/dinit.d/svc");

    let listener = std::os::unix::net::UnixListener::bind(&description).unwrap();
    assert_eq!(load(&root).unwrap_err(), "svc: error loading: /etc/dinit.d/svc: Not a regular file");
    drop(listener);
    fs::remove_file(&description).unwrap();

    fs::File::create(&description).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(load(&root).unwrap_err(), "svc: error loading: /etc/dinit.d/svc: File too large");
    fs::remove_file(&description).unwrap();

    symlink("svc", &description).unwrap();
    let text = "svc: error loading: /etc/dinit.d/svc: Too many levels of symbolic links";
    assert_eq!(load(&root).unwrap_err(), text);
}

#[test]
fn an_unsearchable_directory_is_remembered_but_a_later_one_wins() {
    let root = root();
    write(&root, "file", "");
    write(&root, "etc/dinit.d/svc", "");
    let host = SystemHost::below(root.path());
    let variables = Variable::default();
    let directories = [b"/file".to_vec(), b"/etc/dinit.d".to_vec()];
    let loader = loader(&host, &variables, &directories);
    assert!(loader.load(&mut Graph::new(), b"svc").outcome.is_ok());
    let error = loader.load(&mut Graph::new(), b"other").outcome.unwrap_err();
    assert_eq!(error.message(Context::Load), b"Could not load service other: /file/other: Not a directory");
}

#[test]
fn users_that_were_added_later_are_found() {
    let root = root();
    write(&root, "etc/dinit.d/svc", "type = process\ncommand = /x\nrun-as = late");
    let host = SystemHost::below(root.path());
    let (variables, directories) = (Variable::default(), [b"/etc/dinit.d".to_vec()]);
    let loader = loader(&host, &variables, &directories);
    assert!(loader.load(&mut Graph::new(), b"svc").outcome.is_err());
    write(&root, "etc/passwd", &format!("{PASSWD}late:x:9:9::/:/bin/sh\n"));
    assert!(loader.load(&mut Graph::new(), b"svc").outcome.is_ok());
}

#[test]
fn an_instance_may_be_named_by_a_service_of_the_same_base() {
    let root = root();
    write(&root, "etc/dinit.d/svc", "type = process\ncommand = /x\nafter: svc\nconsumer-of = svc");
    load(&root).expect("the full names differ");
}

#[test]
fn a_dependency_directory_of_an_included_file_is_found_beside_that_file() {
    let root = root();
    write(&root, "etc/dinit.d/svc", "@include parts/more");
    write(&root, "etc/dinit.d/parts/more", "waits-for.d: wants");
    write(&root, "etc/dinit.d/parts/wants/dep", "");
    write(&root, "etc/dinit.d/dep", "");
    let host = SystemHost::below(root.path());
    let (variables, directories) = (Variable::default(), [b"/etc/dinit.d".to_vec()]);
    let mut graph = Graph::new();
    let loading = loader(&host, &variables, &directories).load(&mut graph, b"svc");
    assert!(loading.messages.is_empty(), "{:?}", loading.messages);
    assert!(graph.find(b"dep").is_some());
}

#[test]
fn a_cycle_through_a_placeholder_of_an_earlier_load_is_found() {
    let root = root();
    write(&root, "etc/dinit.d/first", "after: second");
    write(&root, "etc/dinit.d/second", "depends-on: first");
    let host = SystemHost::below(root.path());
    let (variables, directories) = (Variable::default(), [b"/etc/dinit.d".to_vec()]);
    let loader = loader(&host, &variables, &directories);
    let mut graph = Graph::new();
    assert!(loader.load(&mut graph, b"first").outcome.is_ok());
    let loading = loader.load(&mut graph, b"second");
    assert!(loading.messages.is_empty(), "{:?}", loading.messages);
    let error = loading.outcome.unwrap_err();
    assert_eq!(error.message(Context::Load), b"Could not load service second: has cyclic dependency.");
    assert!(graph.find(b"second").is_none());
}
