//! `sample-data-events`.
