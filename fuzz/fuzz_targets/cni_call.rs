//! A runtime, or somebody who plays one, may set any variables and give any configuration: the call is read or refused by a number of
//! the specification, and what was read survives the way to the daemon.
//!
//! The input is one variable a line (`NAME=VALUE`), an empty line, and the configuration.

#![no_main]

use kuryr_cni::{Command, PodArgs, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (variables, config) = text.split_once("\n\n").unwrap_or((text, ""));
    let find = |name: &str| {
        variables
            .lines()
            .find_map(|line| line.split_once('=').filter(|(key, _)| *key == name))
            .map(|(_, value)| value.to_owned())
    };
    let Ok(config) = serde_json::from_str(config) else { return };
    let request = match Request::read(find, config) {
        Ok(request) => request,
        Err(error) => {
            assert!((1..100).contains(&error.code) && !error.msg.is_empty());
            return;
        }
    };
    let sent = serde_json::to_vec(&request).expect("a request can be written");
    let received: Request = serde_json::from_slice(&sent).expect("and read again");
    assert_eq!(received, request);
    assert!(received.complete().is_ok());
    let _ = PodArgs::parse(&request.args);
    match request.command {
        Command::Check => drop(request.previous_result()),
        Command::Gc => drop(request.valid_attachments()),
        _ => {}
    }
});
