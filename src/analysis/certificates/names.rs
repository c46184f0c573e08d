//! Names of hosts in certificates.

/// Whether a name of a certificate holds a host: exactly, or by a wildcard for the first label,
/// as in RFC 6125.
pub fn holds(name: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.');
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    let Some((first, rest)) = host.split_once('.') else {
        return false;
    };
    let parent = name.strip_prefix("*.");
    // `*.com` is nobody's.
    parent.is_some_and(|parent| {
        !first.is_empty() && parent.contains('.') && parent.eq_ignore_ascii_case(rest)
    })
}
