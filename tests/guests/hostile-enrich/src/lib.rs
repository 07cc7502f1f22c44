//! A guest of kind enrich that does as its configuration says.

hostile::hostile!("hostile-enrich", Enrich);
