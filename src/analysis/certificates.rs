//! What certificates say: how long they are valid, for which names, and how strong they are.
//!
//! ```text
//! PEM bundle ─► read_bundle() ─► Bundle ─► state(now) ─► judged by its best member
//! DER chain  ─► Certificate::read() each ─► chain_fault(), holds(host)
//! ```
//!
//! Certificates are public data. What is kept of them is only what a verdict needs: never the
//! certificate itself.

mod names;
mod strength;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    pem::Pem,
    prelude::FromDer,
};

pub use self::{names::holds, strength::Weakness};

/// Bytes of a bundle that are looked at: the largest public bundle is a quarter of that.
const BUNDLE_LIMIT: usize = 1 << 20;
/// Members of a bundle, and certificates of a chain, that are looked at.
const MEMBERS: usize = 256;

/// How long a certificate is valid, and what makes it weak.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Seconds since the epoch at which it begins to be valid.
    pub not_before: i64,
    /// The last second in which it is valid.
    pub not_after: i64,
    /// What makes it weak; `None` where it is strong.
    pub weakness: Option<Weakness>,
}

/// A certificate of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Validity and strength.
    pub member: Member,
    /// Names of hosts that it holds.
    pub dns_names: Vec<String>,
    /// Addresses that it holds.
    pub addresses: Vec<std::net::IpAddr>,
    /// Whom it is of, as DER.
    subject: Vec<u8>,
    /// Who signed it, as DER.
    issuer: Vec<u8>,
}

/// A bundle of certificate authorities.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bundle {
    /// None is given.
    #[default]
    Empty,
    /// Nothing but white space is given, as in manifests of a tool that is to fill it in.
    Blank,
    /// No certificate can be read from it.
    Undecodable,
    /// These can be read.
    Members(Box<[Member]>),
}

/// What a bundle is worth at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleState {
    /// None is given.
    Empty,
    /// Nothing but white space is given.
    Blank,
    /// No certificate can be read from it.
    Undecodable,
    /// No member is valid yet; the first will be at this time.
    NotYet(Timestamp),
    /// Every member has ended, the last at this time.
    Expired(Timestamp),
    /// Members are valid, and each of them is weak.
    Weak(Weakness),
    /// The best member is valid until this time.
    Valid(Timestamp),
}

impl Member {
    /// When it begins to be valid.
    pub fn begins(&self) -> Timestamp {
        time(self.not_before)
    }

    /// When it ends.
    pub fn ends(&self) -> Timestamp {
        time(self.not_after)
    }

    /// Whether it is valid at a time. Both ends are included, as in RFC 5280.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        let now = now.as_second();
        self.not_before <= now && now <= self.not_after
    }
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

impl Certificate {
    /// Reads one from DER; `None` where it is none.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        // The common name counts for nothing: no client reads it any more.
        let mut dns_names = Vec::new();
        let mut addresses = Vec::new();
        for extension in certificate.extensions() {
            let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension()
            else {
                continue;
            };
            for name in &names.general_names {
                match name {
                    GeneralName::DNSName(name) => dns_names.push(name.to_ascii_lowercase()),
                    GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                    _ => {}
                }
            }
        }
        Some(Self {
            member: member(&certificate),
            dns_names,
            addresses,
            subject: certificate.subject().as_raw().to_vec(),
            issuer: certificate.issuer().as_raw().to_vec(),
        })
    }

    /// Whether it names itself as its issuer, as roots do.
    pub fn is_root(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether it holds a host: a name, or an address.
    pub fn holds(&self, host: &str) -> bool {
        if let Ok(address) = host.parse() {
            return self.addresses.contains(&address);
        }
        self.dns_names.iter().any(|name| holds(name, host))
    }
}

fn address(bytes: &[u8]) -> Option<std::net::IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(four.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(Into::into)
}

fn member(certificate: &X509Certificate<'_>) -> Member {
    let validity = certificate.validity();
    Member {
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
        weakness: strength::weakness(certificate),
    }
}

/// The first certificate of a chain, as it was sent, that did not sign the one before it.
pub fn chain_fault(chain: &[Certificate]) -> Option<usize> {
    let pairs = chain.windows(2).enumerate();
    pairs
        .filter(|(_, pair)| matches!(pair, [below, above] if below.issuer != above.subject))
        .map(|(at, _)| at + 1)
        .next()
}

/// Reads a bundle as Go's `AppendCertsFromPEM` does: blocks that are no certificate are skipped.
pub fn read_bundle(pem: &[u8]) -> Bundle {
    if pem.is_empty() {
        return Bundle::Empty;
    }
    if pem.trim_ascii().is_empty() {
        return Bundle::Blank;
    }
    let pem = pem.get(..BUNDLE_LIMIT).unwrap_or(pem);
    let blocks = Pem::iter_from_buffer(pem)
        .take(MEMBERS)
        .filter_map(Result::ok);
    let members: Box<[Member]> = blocks
        .filter(|block| block.label == "CERTIFICATE")
        .filter_map(|block| {
            let (rest, certificate) = X509Certificate::from_der(&block.contents).ok()?;
            rest.is_empty().then(|| member(&certificate))
        })
        .collect();
    if members.is_empty() {
        Bundle::Undecodable
    } else {
        Bundle::Members(members)
    }
}

impl Bundle {
    /// What it is worth: its best member that is valid now decides.
    pub fn state(&self, now: Timestamp) -> BundleState {
        let members = match self {
            Self::Empty => return BundleState::Empty,
            Self::Blank => return BundleState::Blank,
            Self::Undecodable => return BundleState::Undecodable,
            Self::Members(members) => members,
        };
        let valid = members.iter().filter(|member| member.is_valid(now));
        let strong = valid.clone().filter(|member| member.weakness.is_none());
        if let Some(best) = strong.max_by_key(|member| member.not_after) {
            return BundleState::Valid(best.ends());
        }
        if let Some(weakness) = valid.filter_map(|member| member.weakness).min() {
            return BundleState::Weak(weakness);
        }
        let coming = members.iter().filter(|member| member.begins() > now);
        let ended = members.iter().map(Member::ends).max();
        match (coming.map(Member::begins).min(), ended) {
            (Some(begins), _) => BundleState::NotYet(begins),
            (None, Some(ended)) => BundleState::Expired(ended),
            (None, None) => BundleState::Undecodable,
        }
    }

    /// The next moment at which [`Bundle::state`] may be different.
    pub fn changes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let Self::Members(members) = self else {
            return None;
        };
        let second = jiff::SignedDuration::from_secs(1);
        let ends = |member: &Member| member.ends().saturating_add(second).ok();
        let moments = members.iter().flat_map(|m| [Some(m.begins()), ends(m)]);
        moments.flatten().filter(|moment| *moment > now).min()
    }
}
