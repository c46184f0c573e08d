//! The in-toto statement over the pack: what it is about, and the sum of each of its files.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    Facts,
    pack::{Pack, ReportError},
};
use crate::{
    evidence::note::Signer,
    period::{Operated, Summary},
};

/// What the statement says.
const PREDICATE: &str = "https://probity.dev/attestations/soc2-period/v1";

/// Writes it. Everything else but the sums has been written.
pub(super) fn write(pack: &Pack<'_>, summary: &Summary, facts: &Facts) -> Result<(), ReportError> {
    let statement = statement(pack, summary, facts);
    if let Some(signer) = &facts.signer {
        pack.json(
            "attestation.intoto.dsse.json",
            &envelope(&statement, signer),
        )?;
    }
    let mut file = pack.file("attestation.intoto.json")?;
    file.put_json(&statement)?;
    file.put(b"\n")?;
    pack.keep(file)
}

/// The type of what is signed.
const PAYLOAD: &str = "application/vnd.in-toto+json";

/// The same in a DSSE envelope, signed by whoever made the pack.
fn envelope(statement: &Value, signer: &Signer) -> Value {
    let payload = statement.to_string();
    let signature = signer.signature(&authenticated(payload.as_bytes()));
    json!({
        "payloadType": PAYLOAD,
        "payload": STANDARD.encode(payload),
        "signatures": [{
            "keyid": signer.verifier().to_string(),
            "sig": STANDARD.encode(signature),
        }],
    })
}

/// What a DSSE signature is over: type and payload, each with its length.
fn authenticated(payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD} {} ", PAYLOAD.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

fn statement(pack: &Pack<'_>, summary: &Summary, facts: &Facts) -> Value {
    let subjects = pack.written().into_iter();
    let subjects = subjects.map(|(name, sum)| json!({ "name": name, "digest": { "sha256": sum } }));
    let count = |operated| {
        summary
            .controls
            .iter()
            .filter(|op| op.operated == operated)
            .count()
    };
    let sum = |of: fn(&crate::period::DeviationNumbers) -> u64| {
        summary
            .controls
            .iter()
            .map(|op| of(&op.numbers.deviations))
            .sum::<u64>()
    };
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects.collect::<Vec<_>>(),
        "predicateType": PREDICATE,
        "predicate": {
            "meaning": "results of management's automated evaluation",
            "period": summary.period,
            "until": summary.until,
            "log": summary.log,
            "controls": {
                "operated": count(Operated::Operated),
                "notJudged": count(Operated::NotJudged),
                "noOccurrence": count(Operated::NoOccurrence),
                "notOperated": count(Operated::NotOperated),
            },
            "deviations": { "all": sum(|of| of.times.count), "open": sum(|of| of.open) },
            "tool": { "name": "probity", "version": facts.version, "sha256": facts.binary_digest },
        },
    })
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn an_envelope_is_signed_as_dsse_says() {
        let signer = Signer::new("auditee", &[7; 32]).unwrap();
        let envelope = envelope(&json!({ "_type": "s" }), &signer);
        let decode = |text: &Value| STANDARD.decode(text.as_str().unwrap()).unwrap();
        let payload = decode(&envelope["payload"]);
        assert_eq!(payload, br#"{"_type":"s"}"#);
        // Spelled out, as any other reader would.
        let covered = [
            b"DSSEv1 28 application/vnd.in-toto+json 13 ".as_slice(),
            &payload,
        ]
        .concat();
        let signature = decode(&envelope["signatures"][0]["sig"]);
        let key = UnparsedPublicKey::new(&ED25519, *signer.verifier().key());
        key.verify(&covered, &signature).unwrap();
        assert!(key.verify(&payload, &signature).is_err());
    }
}
