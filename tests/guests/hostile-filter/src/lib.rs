//! A guest of kind filter that does as its configuration says.

hostile::hostile!("hostile-filter", Filter);
