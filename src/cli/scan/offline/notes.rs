//! What is told of files apart from verdicts.

use std::collections::BTreeMap;

use crate::{
    cli::scan::manifests::Place,
    inventory::Kind,
    words::{either, many},
};

/// Fields that a kind has not: the first object that has one, and how many more do. A cluster that is newer than this program
/// has some in every object.
pub(super) type Surplus = BTreeMap<(Kind, String), (String, usize)>;

/// What is said of fields that a kind has not.
pub(super) fn surplus(found: &Surplus) -> impl Iterator<Item = String> + use<'_> {
    found.iter().map(|((_, field), (first, more))| {
        let who = match more {
            0 => format!("{first} has"),
            _ => format!("{first} and {more} more of its kind have"),
        };
        format!("{who} a field {field}, which the kind has not: an API server drops it, or refuses the object")
    })
}

/// Documents named in the note about those that hold no object.
const MOST_NAMED: usize = 5;

/// What is said of documents that hold no object, such as a chart's values.
pub(super) fn passed_over(places: &[Place], files: usize) -> Option<String> {
    let count = places.len();
    let named = places.iter().take(MOST_NAMED).map(Place::to_string);
    let named = named.collect::<Vec<_>>().join(", ");
    let more = match count.saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (count > 0).then(|| {
        format!(
            "{} in {} {} no Kubernetes object and {} passed over: {named}{more}",
            many(count, "document"),
            many(files, "file"),
            either(count, "holds", "hold"),
            either(count, "was", "were")
        )
    })
}
