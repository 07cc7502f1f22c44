//! `detect-behaviour`.
