//! How long ago something was, for people.

use jiff::Timestamp;

/// `45s`, `12m`, `3h`, `5d`, as kubectl writes it.
pub(in crate::cli) fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_one_unit() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let ages = [0, 119, 120, 7_199, 7_200, 172_799, 172_800].map(|s| age(at(0), at(s)));
        assert_eq!(ages, ["0s", "119s", "2m", "119m", "2h", "47h", "2d"]);
        assert_eq!(age(at(5), at(0)), "0s", "clocks differ");
    }
}
