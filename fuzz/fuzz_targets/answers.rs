//! Answers to what the sinks sent: whatever comes back, nothing counts as delivered that the service does
//! not say it has.
//!
//! The first line is the status, the second `Retry-After`, the third the name of an error, as Security Hub
//! gives it in a header; what follows is the body.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use sluicegate::sink::answers;

fuzz_target!(|input: &[u8]| -> Corpus {
    let mut lines = input.splitn(4, |&byte| byte == b'\n');
    let (Some(status), Some(wait), Some(kind), Some(body)) =
        (lines.next(), lines.next(), lines.next(), lines.next())
    else {
        return Corpus::Reject;
    };
    // Those that HTTP has.
    let status = std::str::from_utf8(status).ok().and_then(|status| status.parse().ok());
    let Some(status) = status.filter(|status| (100..1000).contains(status)) else {
        return Corpus::Reject;
    };
    let named = |(_, value): &(&str, &[u8])| !value.is_empty();
    let headers = [("retry-after", wait), ("x-amzn-errortype", kind)];
    let headers: Vec<_> = headers.into_iter().filter(named).collect();
    answers::hold(status, &headers, body);
    Corpus::Keep
});
