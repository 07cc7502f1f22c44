//! Configurations: whatever the text, either everything in it is right or the problems are told.
//!
//! Below a line `---` stand variables of the environment, `KEY=value`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate::config::Config;

fuzz_target!(|input: &str| {
    let (toml, variables) = input.split_once("\n---\n").unwrap_or((input, ""));
    let variables = variables
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    match Config::parse(toml, variables) {
        Ok(config) => assert!(!config.sinks.is_empty()),
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            for line in problems.lines() {
                assert!(!line.is_empty() && !line.contains('\n'), "{line:?}");
            }
        }
    }
});
