//! What TLS servers show to their clients.

use super::certificates::Certificate;

/// A TLS server, and the name by which it is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Name or address that is connected to.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Name that the client asks for.
    pub name: String,
}

/// Versions of TLS, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// 1.0
    V1_0,
    /// 1.1
    V1_1,
    /// 1.2
    V1_2,
    /// 1.3
    V1_3,
}

impl TlsVersion {
    /// As people write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

/// What a TLS server showed to a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The version that was agreed on.
    pub version: TlsVersion,
    /// The oldest version that the server still takes; `None` where that could not be found out.
    pub oldest: Option<TlsVersion>,
    /// Its certificate, and those that it sent with it.
    pub chain: Vec<Certificate>,
    /// Why the chain does not lead to an authority that clients trust; `None` where it does.
    pub distrust: Option<String>,
}
