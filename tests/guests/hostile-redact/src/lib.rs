//! A guest of kind redact that does as its configuration says.

hostile::hostile!("hostile-redact", Redact);
