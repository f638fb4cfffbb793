//! Fuzzes what a daemon may get, against all that must hold for any bytes.
#![no_main]

#[path = "../../tests/wire/streams.rs"]
#[allow(dead_code)]
mod streams;

use dinit_protocol::Version;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for version in [Version::OLDEST, Version(4), Version::CURRENT] {
        let whole = streams::check_requests(bytes, version);
        assert_eq!(streams::requests(bytes.chunks(3), version), whole);
    }
});
