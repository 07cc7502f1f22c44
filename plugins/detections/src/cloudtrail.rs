//! The rules of `detect-cloudtrail`: each is decided by one event.

pub mod access;
pub mod calls;
pub mod compute;
pub mod identity;
pub mod logging;
pub mod storage;

use crate::Rule;

/// All of them, in the order of the manual.
pub const CLOUDTRAIL: &[&Rule] = &joined();

const THEMES: [&[&Rule]; 6] = [
    calls::ALL,
    access::ALL,
    identity::ALL,
    logging::ALL,
    storage::ALL,
    compute::ALL,
];

const COUNT: usize = {
    let (mut theme, mut count) = (0, 0);
    while theme < THEMES.len() {
        count += THEMES[theme].len();
        theme += 1;
    }
    count
};

const fn joined() -> [&'static Rule; COUNT] {
    let mut all = [THEMES[0][0]; COUNT];
    let (mut theme, mut count) = (0, 0);
    while theme < THEMES.len() {
        let mut rule = 0;
        while rule < THEMES[theme].len() {
            all[count] = THEMES[theme][rule];
            count += 1;
            rule += 1;
        }
        theme += 1;
    }
    all
}
