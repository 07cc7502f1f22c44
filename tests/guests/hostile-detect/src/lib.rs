//! A guest of kind detect that does as its configuration says.

hostile::hostile!("hostile-detect", Detect);
