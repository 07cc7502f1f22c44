//! Prints `docs/detections.md`.
#![allow(clippy::print_stdout, reason = "it is what this program is for")]

fn main() {
    print!("{}", detections::manual());
}
