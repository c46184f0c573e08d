//! The smallest part of something large that still fails.

/// The part of `all` that is left when nothing more can be left out without `fails` being over: at
/// first halves are tried, at last single ones. Equal answers give equal parts.
pub(crate) fn smallest<T: Clone>(all: &[T], mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut rest = all.to_vec();
    let mut size = rest.len().div_ceil(2);
    while size > 0 {
        let mut start = 0;
        let mut shrunk = false;
        while start < rest.len() {
            let end = (start + size).min(rest.len());
            let without = [&rest[..start], &rest[end..]].concat();
            if fails(&without) {
                rest = without;
                shrunk = true;
            } else {
                start = end;
            }
        }
        // What could not be left out before may be, once others are gone.
        size = if shrunk && size == 1 { 1 } else { size / 2 };
    }
    rest
}

#[test]
fn what_is_left_fails_and_no_part_of_it_does() {
    let all: Vec<u32> = (0..97).collect();
    for (wanted, at_least) in [
        (&[3, 4, 96][..], 3),
        (&[0], 1),
        (&[], 0),
        (&[10, 20, 30, 40, 50], 5),
    ] {
        let mut asked = 0;
        let found = smallest(&all, |part| {
            asked += 1;
            wanted.iter().all(|one| part.contains(one))
        });
        assert_eq!(found, wanted);
        assert!(asked >= at_least);
    }
    // Either of two is enough: one is left.
    let found = smallest(&all, |part| part.contains(&7) || part.contains(&70));
    assert_eq!(found.len(), 1);
}
