//! `detect-sigma`.
