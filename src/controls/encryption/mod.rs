//! Controls of the family `encryption`.
