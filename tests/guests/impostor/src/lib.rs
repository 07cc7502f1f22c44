//! A guest of kind filter that calls itself as one of kind redact does.

hostile::hostile!("hostile-redact", Filter);
