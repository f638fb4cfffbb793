//! Fuzzes what a client may get, against all that must hold for any bytes.
#![no_main]

#[path = "../../tests/wire/streams.rs"]
#[allow(dead_code)]
mod streams;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for layout in streams::LAYOUTS {
        let whole = streams::check_answers(bytes, layout);
        assert_eq!(streams::answers(bytes.chunks(3), layout), whole);
    }
});
