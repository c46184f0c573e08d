//! RFC 3161: when a head existed, says somebody else. Requests are written and responses checked; nothing is sent here.
//!
//! What is checked of a response: that the authority granted it, for this head; that its signature is over that; that the
//! certificate leads to an authority that the auditor trusts, was valid then and is for timestamps. What is not: whether the
//! certificate was revoked, and the attribute in which the authority repeats its certificate (RFC 5816).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use cms::cert::CertificateChoices;
use cms::cert::x509::Certificate;
use cms::cert::x509::der::asn1::{Int, ObjectIdentifier, OctetString};
use cms::cert::x509::der::{Any, Decode, Encode};
use cms::cert::x509::ext::pkix::SubjectKeyIdentifier;
use cms::cert::x509::spki::AlgorithmIdentifier;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use jiff::Timestamp;
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_tsp::{MessageImprint, TimeStampReq, TimeStampResp, TspVersion, TstInfo};

const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");

/// The purpose `timeStamping`, 1.3.6.1.5.5.7.3.8.
const TIME_STAMPING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];

/// What is asked of an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The request as it is sent, of media type `application/timestamp-query`.
    pub bytes: Vec<u8>,
    nonce: Int,
    digest: [u8; 32],
}

/// Asks for a timestamp over a file. The nonce is a random number.
pub fn question(file: &[u8], nonce: u64) -> Result<Question, String> {
    let digest: [u8; 32] = Sha256::digest(file).into();
    // A positive number without leading zeros.
    let nonce = ((nonce >> 1) | (1 << 62)).to_be_bytes();
    let nonce = Int::new(&nonce).map_err(|error| error.to_string())?;
    let imprint = OctetString::new(digest).map_err(|error| error.to_string())?;
    let request = TimeStampReq {
        version: TspVersion::V1,
        message_imprint: MessageImprint {
            hash_algorithm: AlgorithmIdentifier {
                oid: SHA_256,
                parameters: Some(Any::null()),
            },
            hashed_message: imprint,
        },
        req_policy: None,
        nonce: Some(nonce.clone()),
        cert_req: true,
        extensions: None,
    };
    let bytes = request.to_der().map_err(|error| error.to_string())?;
    Ok(Question {
        bytes,
        nonce,
        digest,
    })
}

impl Question {
    /// Whether a response answers this. Whose it is, the auditor checks.
    pub fn is_answered_by(&self, response: &[u8]) -> Result<(), String> {
        let token = Token::read(response)?;
        token.is_over(&self.digest)?;
        if token.said.nonce.as_ref() == Some(&self.nonce) {
            Ok(())
        } else {
            Err("the timestamp answers another request".to_owned())
        }
    }
}

/// The authorities that an auditor trusts to tell the time.
#[derive(Clone, Debug)]
pub struct Authorities {
    anchors: Vec<TrustAnchor<'static>>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// Reads certificates in PEM. Those of roots are trusted; those between are used as they come.
    pub fn read(pem: &str) -> Result<Self, String> {
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let certificates = certificates.map_err(|error| error.to_string())?;
        if certificates.is_empty() {
            return Err("it holds no certificate in PEM".to_owned());
        }
        let mut anchors = Vec::new();
        for certificate in &certificates {
            let explain =
                |error: &dyn std::fmt::Display| format!("a certificate can't be used: {error}");
            let parsed = Certificate::from_der(certificate).map_err(|error| explain(&error))?;
            let parsed = parsed.tbs_certificate;
            if parsed.subject == parsed.issuer {
                let anchor =
                    anchor_from_trusted_cert(certificate).map_err(|error| explain(&error))?;
                anchors.push(anchor.to_owned());
            }
        }
        if anchors.is_empty() {
            return Err(
                "it holds no root, a certificate that its own subject issued: add it".to_owned(),
            );
        }
        Ok(Self {
            anchors,
            certificates,
        })
    }

    /// When an authority saw a file, if the response is over that file and one of these authorities vouches for it.
    pub fn check(&self, response: &[u8], file: &[u8]) -> Result<Timestamp, String> {
        let token = Token::read(response)?;
        token.is_over(&Sha256::digest(file).into())?;
        let signer = token.signer()?;
        let content = token.signed_content(signer)?;
        let certificate = self.certificate_of(&token, signer)?;
        let certificate = EndEntityCert::try_from(&certificate)
            .map_err(|error| format!("the authority's certificate can't be read: {error}"))?;
        let signature = signer.signature.as_bytes();
        // A key fits few of them; whichever it is, what it says is the same.
        let is_signed = webpki::ALL_VERIFICATION_ALGS.iter().any(|with| {
            certificate
                .verify_signature(*with, &content, signature)
                .is_ok()
        });
        if !is_signed {
            return Err(
                "its signature is wrong, or of a kind that can't be checked here".to_owned(),
            );
        }
        let others: Vec<CertificateDer<'_>> = token.certificates()?;
        let between: Vec<CertificateDer<'_>> = others
            .into_iter()
            .chain(self.certificates.iter().cloned())
            .collect();
        let time = token.said.gen_time.to_unix_duration();
        certificate
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &self.anchors,
                &between,
                UnixTime::since_unix_epoch(time),
                KeyUsage::required(TIME_STAMPING),
                None,
                None,
            )
            .map_err(|error| format!("no authority that you trust vouches for it: {error}"))?;
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_second(seconds).map_err(|error| error.to_string())
    }

    fn certificate_of(
        &self,
        token: &Token,
        signer: &SignerInfo,
    ) -> Result<CertificateDer<'static>, String> {
        let all = token
            .certificates()?
            .into_iter()
            .chain(self.certificates.iter().cloned());
        let is_it = |der: &CertificateDer<'_>| {
            Certificate::from_der(der).is_ok_and(|certificate| is_named(&certificate, &signer.sid))
        };
        let mut all = all.filter(is_it);
        all.next().ok_or_else(|| {
            "the certificate that signed it is neither in it nor among those that you gave"
                .to_owned()
        })
    }
}

fn is_named(certificate: &Certificate, by: &SignerIdentifier) -> bool {
    let certificate = &certificate.tbs_certificate;
    match by {
        SignerIdentifier::IssuerAndSerialNumber(name) => {
            certificate.issuer == name.issuer && certificate.serial_number == name.serial_number
        }
        SignerIdentifier::SubjectKeyIdentifier(id) => {
            let found = certificate.get::<SubjectKeyIdentifier>();
            matches!(found, Ok(Some((_, found))) if found == *id)
        }
    }
}

/// A granted timestamp, not yet checked.
struct Token {
    signed: SignedData,
    /// What is signed, as bytes and as it reads.
    content: Vec<u8>,
    said: TstInfo,
}

impl Token {
    fn read(response: &[u8]) -> Result<Self, String> {
        let unreadable = |error: cms::cert::x509::der::Error| {
            format!("it is no response of a timestamp authority: {error}")
        };
        let response = TimeStampResp::from_der(response).map_err(unreadable)?;
        let status = response.status.status as u8;
        let token = match response.time_stamp_token {
            Some(token) if status <= 1 => token,
            _ => return Err(format!("the authority refused: status {status}")),
        };
        if token.content_type != SIGNED_DATA {
            return Err("what the authority granted is not signed".to_owned());
        }
        let signed: SignedData = token.content.decode_as().map_err(unreadable)?;
        let inside = &signed.encap_content_info;
        let content = match &inside.econtent {
            Some(content) if inside.econtent_type == TST_INFO => content.value().to_vec(),
            _ => return Err("what the authority signed is no timestamp".to_owned()),
        };
        let said = TstInfo::from_der(&content).map_err(unreadable)?;
        Ok(Self {
            signed,
            content,
            said,
        })
    }

    fn is_over(&self, digest: &[u8; 32]) -> Result<(), String> {
        let imprint = &self.said.message_imprint;
        if imprint.hash_algorithm.oid == SHA_256 && imprint.hashed_message.as_bytes() == digest {
            Ok(())
        } else {
            Err("the timestamp is over something else".to_owned())
        }
    }

    fn signer(&self) -> Result<&SignerInfo, String> {
        let mut signers = self.signed.signer_infos.0.iter();
        match (signers.next(), signers.next()) {
            (Some(signer), None) => Ok(signer),
            _ => Err("a timestamp has one signature, and this one has not".to_owned()),
        }
    }

    /// The bytes that the signature is over: attributes that say what and whose digest.
    fn signed_content(&self, signer: &SignerInfo) -> Result<Vec<u8>, String> {
        let attributes = signer.signed_attrs.as_ref();
        let attributes = attributes.ok_or("its signature is not over a timestamp's attributes")?;
        let value = |oid: ObjectIdentifier| {
            let attribute = attributes.iter().find(|attribute| attribute.oid == oid)?;
            attribute.values.get(0)
        };
        let kind = value(CONTENT_TYPE).and_then(|kind| kind.decode_as::<ObjectIdentifier>().ok());
        let digest =
            value(MESSAGE_DIGEST).and_then(|digest| digest.decode_as::<OctetString>().ok());
        let content = self.digest(signer)?;
        let agrees = digest.is_some_and(|digest| digest.as_bytes() == content);
        if kind != Some(TST_INFO) || !agrees {
            return Err("its signature is over another timestamp".to_owned());
        }
        attributes.to_der().map_err(|error| error.to_string())
    }

    fn digest(&self, signer: &SignerInfo) -> Result<Vec<u8>, String> {
        match signer.digest_alg.oid {
            SHA_256 => Ok(Sha256::digest(&self.content).to_vec()),
            SHA_384 => Ok(Sha384::digest(&self.content).to_vec()),
            SHA_512 => Ok(Sha512::digest(&self.content).to_vec()),
            other => Err(format!(
                "its digest is of a kind that can't be checked here: {other}"
            )),
        }
    }

    /// The certificates that came with it.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let certificates = self.signed.certificates.iter().flat_map(|set| set.0.iter());
        certificates
            .filter_map(|certificate| match certificate {
                CertificateChoices::Certificate(certificate) => Some(certificate),
                CertificateChoices::Other(_) => None,
            })
            .map(|certificate| {
                let der = certificate.to_der().map_err(|error| error.to_string())?;
                Ok(CertificateDer::from(der))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn questions_differ_by_their_nonce_alone_and_want_the_certificate() {
        let ask = |nonce| {
            let question = question(b"head", nonce).unwrap();
            TimeStampReq::from_der(&question.bytes).unwrap()
        };
        let (one, other) = (ask(0), ask(u64::MAX));
        assert!(one.cert_req && one.nonce != other.nonce);
        assert_eq!(one.message_imprint, other.message_imprint);
        let digest: [u8; 32] = Sha256::digest(b"head").into();
        assert_eq!(one.message_imprint.hashed_message.as_bytes(), digest);
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        assert!(Authorities::read("").is_err());
        assert!(
            Authorities::read("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(question(b"head", 1).unwrap().is_answered_by(&bytes).is_err());
        }
    }
}
