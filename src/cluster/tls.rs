//! What a TLS server shows to its clients: version, certificates, and the oldest version that it
//! still takes.
//!
//! rustls speaks 1.2 and 1.3 only, and rightly so. Whether a server still takes older versions is
//! found out by a first message in each of them, and by what comes back: the handshake is never
//! finished.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, CertificateError, ClientConfig, DigitallySignedStruct, ProtocolVersion,
        RootCertStore, SignatureScheme,
        client::{
            WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        },
        crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    },
};

use crate::analysis::{
    certificates::Certificate,
    tls::{Shown, Target, TlsVersion},
};

/// For a connection, and for a handshake.
const DEADLINE: Duration = Duration::from_secs(5);

/// Looks at a server. With `roots`, whether its chain leads to one of them is found out as well.
pub async fn look(target: &Target, roots: Option<Arc<RootCertStore>>) -> Result<Shown, String> {
    let recorder = Arc::new(Recorder::new(roots)?);
    let shaken = handshake(target, Arc::clone(&recorder)).await;
    let chain = recorder.chain();
    let version = match shaken {
        Ok(version) => version,
        // It asks its clients for certificates, and showed its own before it refused us.
        Err(_) if !chain.is_empty() => TlsVersion::V1_2,
        Err(why) => return Err(why),
    };
    let chain: Option<Vec<Certificate>> = chain.iter().map(|der| Certificate::read(der)).collect();
    let chain = chain.filter(|chain| !chain.is_empty());
    let chain = chain.ok_or("the server's certificate can't be decoded")?;
    Ok(Shown {
        version,
        oldest: oldest(target, version).await,
        chain,
        distrust: recorder.distrust(),
    })
}

async fn connect(target: &Target) -> Result<TcpStream, String> {
    let address = (target.host.as_str(), target.port);
    let failed = |why: &dyn std::fmt::Display| {
        format!("can't connect to {}:{}: {why}", target.host, target.port)
    };
    match timeout(DEADLINE, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(failed(&error)),
        Err(_) => Err(failed(&"no answer in time")),
    }
}

async fn handshake(target: &Target, recorder: Arc<Recorder>) -> Result<TlsVersion, String> {
    let failed = |why: &dyn std::fmt::Display| format!("no TLS handshake: {why}");
    let provider = Arc::clone(&recorder.provider);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .dangerous()
        .with_custom_certificate_verifier(recorder)
        .with_no_client_auth();
    let name = ServerName::try_from(target.name.clone()).map_err(|error| failed(&error))?;
    let stream = connect(target).await?;
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = match timeout(DEADLINE, connecting).await {
        Ok(stream) => stream.map_err(|error| failed(&error))?,
        Err(_) => return Err(failed(&"no answer in time")),
    };
    let (_, session) = stream.get_ref();
    Ok(match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => TlsVersion::V1_3,
        _ => TlsVersion::V1_2,
    })
}

/// The authorities that browsers trust, and those in `more` (PEM).
pub fn authorities(more: &[String]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    for pem in more {
        let certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
        roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    }
    roots
}

/// Lets every certificate through, and notes what a careful client would have said.
#[derive(Debug)]
struct Recorder {
    provider: Arc<CryptoProvider>,
    careful: Option<Arc<WebPkiServerVerifier>>,
    distrust: Mutex<Option<String>>,
    chain: Mutex<Vec<CertificateDer<'static>>>,
}

impl Recorder {
    fn new(roots: Option<Arc<RootCertStore>>) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let careful = roots.map(|roots| {
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()
        });
        Ok(Self {
            careful: careful
                .transpose()
                .map_err(|error| format!("no authority to trust: {error}"))?,
            provider,
            distrust: Mutex::new(None),
            chain: Mutex::default(),
        })
    }

    fn distrust(&self) -> Option<String> {
        let distrust = self.distrust.lock();
        distrust.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        let chain = self.chain.lock();
        chain.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, why: &str) {
        let distrust = self.distrust.lock();
        let mut distrust = distrust.unwrap_or_else(PoisonError::into_inner);
        distrust.get_or_insert_with(|| why.to_owned());
    }

    /// What is wrong with the chain. Times and names are judged by ourselves, and when they are
    /// wrong nothing else was looked at.
    fn complaint(error: &rustls::Error) -> String {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                "no authority that clients trust has issued it".to_owned()
            }
            rustls::Error::InvalidCertificate(CertificateError::BadSignature) => {
                "a signature of its chain is wrong".to_owned()
            }
            other => other.to_string(),
        }
    }

    fn signed(&self, verified: &Result<HandshakeSignatureValid, rustls::Error>) {
        if verified.is_err() {
            self.note("the server did not prove that it has the key of its certificate");
        }
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = std::iter::once(leaf).chain(intermediates);
        let shown = shown.map(|der| der.clone().into_owned()).collect();
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = shown;
        if let Some(careful) = &self.careful
            && let Err(error) = careful.verify_server_cert(leaf, intermediates, name, ocsp, now)
        {
            self.note(&Self::complaint(&error));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.signed(&verify_tls12_signature(
            message, leaf, signature, algorithms,
        ));
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.signed(&verify_tls13_signature(
            message, leaf, signature, algorithms,
        ));
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// The oldest version that a server takes, which a modern client agreed with on `agreed`.
async fn oldest(target: &Target, agreed: TlsVersion) -> Option<TlsVersion> {
    for version in [TlsVersion::V1_0, TlsVersion::V1_1, TlsVersion::V1_2] {
        match offer(target, version).await {
            Ok(Some(taken)) => return Some(taken),
            Ok(None) => {}
            Err(_) => return None,
        }
    }
    Some(agreed)
}

/// Offers one version and none newer; `None` where the server refuses.
async fn offer(target: &Target, version: TlsVersion) -> Result<Option<TlsVersion>, String> {
    let mut stream = connect(target).await?;
    let talk = async {
        stream.write_all(&hello(version, &target.name)).await?;
        let mut answer = [0; 11];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    };
    let talked: io::Result<[u8; 11]> = match timeout(DEADLINE, talk).await {
        Ok(talked) => talked,
        Err(_) => return Err("no answer in time".to_owned()),
    };
    match talked {
        Ok(answer) => Ok(taken(&answer)),
        // An alert is shorter than that, and some servers just hang up.
        Err(error) => match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Ok(None),
            _ => Err(error.to_string()),
        },
    }
}

/// The version of a server's hello; `None` where the answer is none.
fn taken(answer: &[u8; 11]) -> Option<TlsVersion> {
    const HANDSHAKE: u8 = 22;
    const SERVER_HELLO: u8 = 2;
    if answer[0] != HANDSHAKE || answer[5] != SERVER_HELLO || answer[9] != 3 {
        return None;
    }
    match answer[10] {
        1 => Some(TlsVersion::V1_0),
        2 => Some(TlsVersion::V1_1),
        3 => Some(TlsVersion::V1_2),
        _ => None,
    }
}

/// A client's hello for one version, with the ciphers that clients of its time offered.
fn hello(version: TlsVersion, name: &str) -> Vec<u8> {
    const CIPHERS: [u16; 16] = [
        0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc023, 0xc027, 0xc009, 0xc013, 0xc00a,
        0xc014, 0x009c, 0x002f, 0x0035, 0x000a,
    ];
    const SCHEMES: [u16; 11] = [
        0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201,
    ];
    let minor: u8 = match version {
        TlsVersion::V1_0 => 1,
        TlsVersion::V1_1 => 2,
        TlsVersion::V1_2 | TlsVersion::V1_3 => 3,
    };
    let mut body = vec![3, minor];
    for _ in 0..4 {
        body.extend(super::random().to_be_bytes());
    }
    body.push(0); // no session
    body.extend(counted(&words(&CIPHERS)));
    body.extend([1, 0]); // no compression
    let mut extensions = Vec::new();
    let mut extension = |id: u16, content: &[u8]| {
        extensions.extend(id.to_be_bytes());
        extensions.extend(counted(content));
    };
    if name.parse::<std::net::IpAddr>().is_err() {
        let mut entry = vec![0];
        entry.extend(counted(name.as_bytes()));
        extension(0, &counted(&entry));
    }
    extension(10, &counted(&words(&[29, 23, 24])));
    extension(11, &[1, 0]);
    if version >= TlsVersion::V1_2 {
        extension(13, &counted(&words(&SCHEMES)));
    }
    extension(0xff01, &[0]);
    body.extend(counted(&extensions));
    let mut message = vec![1, 0];
    message.extend(counted(&body));
    let mut record = vec![22, 3, 1];
    record.extend(counted(&message));
    record
}

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Bytes with their number before them. Nothing here is longer than a name of a host.
fn counted(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let mut all = length.to_be_bytes().to_vec();
    all.extend(bytes.iter().take(usize::from(length)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_hello_of_a_server_takes_a_version() {
        let mut answer = [22, 3, 1, 0, 80, 2, 0, 0, 76, 3, 2];
        assert_eq!(taken(&answer), Some(TlsVersion::V1_1));
        answer[10] = 3;
        assert_eq!(taken(&answer), Some(TlsVersion::V1_2));
        answer[5] = 11;
        assert_eq!(taken(&answer), None);
        // An alert, and a server that speaks something else.
        assert_eq!(taken(&[21, 3, 1, 0, 2, 2, 70, 0, 0, 0, 0]), None);
        assert_eq!(taken(b"HTTP/1.1 40"), None);
    }

    #[test]
    fn a_hello_is_as_long_as_it_says() {
        for name in ["shop.example", "10.0.0.1"] {
            let hello = hello(TlsVersion::V1_1, name);
            let number = |at: usize| usize::from(hello[at]) << 8 | usize::from(hello[at + 1]);
            assert_eq!(number(3), hello.len() - 5);
            assert_eq!(number(7), hello.len() - 9);
            let named = hello.windows(name.len()).any(|w| w == name.as_bytes());
            assert_eq!(named, name == "shop.example");
        }
    }
}
