//! `enc-certificates-valid`

#[cfg(test)]
mod tests;

use jiff::SignedDuration;

use super::time::{after, later, span};
use crate::{
    analysis::certificates::{Bundle, BundleState},
    api::Period,
    controls::prelude::*,
    inventory::{
        ingress::Certificate,
        trust::{ApiService, Webhooks, is_injector},
    },
    words::{either, many},
};

/// Certificates of cert-manager are issued and renewed in time, and the authorities that webhooks
/// and aggregated APIs are checked against don't end soon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificatesValid {
    /// How long a certificate must still be valid. For those that are valid for less than 30
    /// days it is a sixth of that.
    #[serde(default = "two_weeks")]
    pub min_remaining: Period,

    /// How long issuing, renewing or filling in a bundle may take; never more than a sixth of the
    /// time that a certificate is valid.
    #[serde(default = "a_day")]
    pub grace: Period,
}

fn two_weeks() -> Period {
    Period::days(14)
}

fn a_day() -> Period {
    Period::hours(24)
}

impl Default for CertificatesValid {
    fn default() -> Self {
        Self {
            min_remaining: two_weeks(),
            grace: a_day(),
        }
    }
}

/// Certificates that are valid for less than this are short-lived.
const SHORT_LIVED: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long cert-manager's certificates are valid where nothing says so.
const USUAL: SignedDuration = SignedDuration::from_hours(90 * 24);
/// The smallest RSA key, in bits.
const RSA_BITS: u32 = 2048;

/// A bundle that was not filled in in time, and one that may still be.
const NOT_INJECTED: &str = "BundleNotInjected";
const NOT_INJECTED_YET: &str = "BundleNotInjectedYet";

impl CertificatesValid {
    /// Documentation and facts.
    pub const INFO: Info = Info {
        id: "enc-certificates-valid",
        field: "encCertificatesValid",
        title: "Certificates are valid, and are renewed before they end",
        family: Family::Encryption,
        criteria: &["CC6.1", "CC6.7", "A1.2"],
        severity: Severity::High,
        strength: Strength::Declared,
        rule_version: 3,
        reads: &[
            Kind::Certificate,
            Kind::ValidatingWebhook,
            Kind::MutatingWebhook,
            Kind::ApiService,
        ],
        subjects: &[
            Kind::Certificate,
            Kind::ValidatingWebhook,
            Kind::MutatingWebhook,
            Kind::ApiService,
        ],
        derives: &[],
        observes: &[],
        writes: &[],
        scope: ScopeUse::BySubject,
        what: "Each Certificate of cert-manager is Ready (or has not been out of it for longer \
               than the grace), is valid for `minRemaining` or longer, was renewed when it was \
               due, and asks for an RSA key of 2048 bits or more. Each caBundle of a webhook \
               configuration and of an aggregated APIService has a member that is valid for \
               `minRemaining` or longer and is strong: RSA of 2048 or an elliptic curve of 256 \
               bits or more, and no MD5 or SHA-1 signature below the root.",
        why: "An expired certificate takes a site, or with a webhook every write to the cluster, \
              out of service, and teaches people to click warnings away.",
        fix: "Nothing is written. The proposal says how to renew by hand.",
        by_hand: "Find out with `cmctl status certificate` what holds cert-manager up, and renew with \
                  `cmctl renew`. Put the new authority into the caBundle.",
        prevention: "None: whether a certificate is valid is a matter of time.",
        limits: "Certificates that no cert-manager object describes, and every Secret, are not \
                 read: see the parameter `handshake` of enc-ingress-tls for what is really \
                 served. A bundle is judged by its best member that is valid now, because older \
                 ones stay in it on purpose. A webhook or APIService without a bundle and without \
                 a tool that fills it in trusts the authorities of the API server's system, which \
                 are not seen: it is not judged. Conversion webhooks of CRDs are not judged.",
    };

    fn certificate(&self, object: &Object<Certificate>, now: Timestamp) -> Verdict {
        let spec = &object.spec;
        let valid_for = valid_for(spec);
        if let Some(bits) = spec.rsa_bits.filter(|bits| *bits < RSA_BITS) {
            let message = format!("it asks for an RSA key of {bits} bits");
            return Verdict::fail(Strength::Declared, "WeakKey", message)
                .propose("Set spec.privateKey.size to 2048 or more, and rotate the key.");
        }
        if let Some(end) = spec.not_after.filter(|end| *end <= now) {
            return fail("CertificateExpired", format!("it ended at {end}"), object);
        }
        let grace = span(&self.grace).min(valid_for / 6);
        if !spec.ready {
            return not_ready(object, now, grace);
        }
        let Some(end) = spec.not_after else {
            let message = "it is Ready, and its status does not tell when it ends";
            return Verdict::unknown("EndNotKnown", message);
        };
        if let Some(due) = spec.renewal
            && now > later(due, grace)
        {
            let message = format!("it was to be renewed at {due}, and was not");
            return fail("RenewalOverdue", message, object);
        }
        let soon = later(end, -self.remaining(valid_for));
        if now >= soon {
            return fail("CertificateEndsSoon", format!("it ends at {end}"), object);
        }
        let next = spec.renewal.map_or(soon, |due| soon.min(after(due, grace)));
        let message = format!("it is Ready and valid until {end}");
        Verdict::pass(Strength::Declared, "CertificateValid", message).recheck(next)
    }

    /// How long a certificate that is valid for so long must still be valid.
    fn remaining(&self, valid_for: SignedDuration) -> SignedDuration {
        if valid_for < SHORT_LIVED {
            valid_for / 6
        } else {
            span(&self.min_remaining)
        }
    }

    /// Judges a caBundle; `what` names it.
    fn bundle(&self, context: &Context<'_>, meta: &Meta, what: &str, bundle: &Bundle) -> Verdict {
        let now = context.now;
        let failing = |reason, message: String| {
            Verdict::fail(Strength::Declared, reason, message).propose(
                "Renew the authority and put its certificate into the caBundle, or have \
                 cert-manager's injector do so by the annotation cert-manager.io/inject-ca-from.",
            )
        };
        let verdict = match bundle.state(now) {
            BundleState::Empty => return self.empty(context, meta, what),
            BundleState::Blank if injector(meta).is_some() => {
                return self.empty(context, meta, what);
            }
            BundleState::Blank | BundleState::Undecodable => {
                failing("BundleUndecodable", format!("{what} holds no certificate"))
            }
            BundleState::NotYet(begins) => failing(
                "BundleNotYetValid",
                format!("nothing in {what} is valid before {begins}"),
            ),
            BundleState::Expired(ended) => {
                failing("BundleExpired", format!("{what} ended at {ended}"))
            }
            BundleState::Weak(weakness) => failing(
                "BundleWeak",
                format!("what is valid in {what} has {weakness}"),
            ),
            BundleState::Valid(end) => {
                let soon = later(end, -span(&self.min_remaining));
                if now >= soon {
                    failing("BundleEndsSoon", format!("{what} ends at {end}"))
                } else {
                    let message = format!("{what} is valid until {end}");
                    Verdict::pass(Strength::Declared, "BundleValid", message).recheck(soon)
                }
            }
        };
        match (verdict.recheck_at, bundle.changes_at(now)) {
            (Some(soon), Some(change)) => verdict.recheck(soon.min(change)),
            (None, Some(change)) => verdict.recheck(change),
            (_, None) => verdict,
        }
    }

    fn empty(&self, context: &Context<'_>, meta: &Meta, what: &str) -> Verdict {
        let Some(injector) = injector(meta) else {
            return Verdict::not_applicable(
                "SystemAuthorities",
                format!("without {what}, the authorities of the API server's own system count"),
            );
        };
        let new = later(meta.created_at(), span(&self.grace));
        // It was something else when it was looked at before: this is when it is first seen.
        let seen = match context.before {
            Some(said) if said.reason != NOT_INJECTED => {
                Some(context.grace_ends(NOT_INJECTED_YET, self.grace.duration()))
            }
            _ => None,
        };
        let until = seen.map_or(new, |seen| seen.max(new));
        let message = format!("{what} is empty, and {injector} asks for it to be filled in");
        if context.now < until {
            return Verdict::unknown(NOT_INJECTED_YET, message).recheck(until);
        }
        Verdict::fail(Strength::Declared, NOT_INJECTED, message).propose(
            "Look at the log of cert-manager's cainjector (or of the service-ca operator).",
        )
    }

    fn webhooks(&self, context: &Context<'_>, object: &Object<Webhooks>) -> Verdict {
        let hooks = object.spec.hooks.iter();
        let verdicts = hooks.map(|hook| {
            let what = format!("the caBundle of {}", hook.name);
            self.bundle(context, &object.meta, &what, &hook.bundle)
        });
        super::worst(verdicts).unwrap_or_else(|| {
            Verdict::not_applicable("NoWebhooks", "the configuration has no webhooks")
        })
    }

    fn api(&self, context: &Context<'_>, object: &Object<ApiService>) -> Verdict {
        if object.spec.insecure {
            return Verdict::not_applicable(
                "TlsNotVerified",
                "its certificate is not checked at all: enc-aggregated-and-webhook-tls judges that",
            );
        }
        self.bundle(context, &object.meta, "its caBundle", &object.spec.bundle)
    }
}

/// How long a certificate is valid in all.
fn valid_for(certificate: &Certificate) -> SignedDuration {
    let seen = certificate.not_after.zip(certificate.not_before);
    let seen = seen.map(|(end, begin)| end.duration_since(begin));
    let said = certificate.duration.map(SignedDuration::from_secs);
    let positive = |duration: &SignedDuration| duration.is_positive();
    seen.filter(positive)
        .or(said.filter(positive))
        .unwrap_or(USUAL)
}

fn not_ready(object: &Object<Certificate>, now: Timestamp, grace: SignedDuration) -> Verdict {
    let since = object.spec.ready_since;
    let since = since.unwrap_or_else(|| object.meta.created_at());
    let until = later(since, grace);
    let attempts = object.spec.failed_attempts;
    let failed = match attempts {
        0 => String::new(),
        _ => format!(
            "; {} to issue it {} failed",
            many(attempts, "attempt"),
            either(attempts, "has", "have")
        ),
    };
    let message = format!("it is not Ready since {since}{failed}");
    if now <= until {
        return Verdict::unknown("NotReadyYet", message).recheck(after(since, grace));
    }
    fail("CertificateNotReady", message, object)
}

fn fail(reason: &'static str, message: String, object: &Object<Certificate>) -> Verdict {
    let Meta {
        namespace, name, ..
    } = &object.meta;
    Verdict::fail(Strength::Declared, reason, message).propose(format!(
        "Renew it by hand: cmctl renew -n {namespace} {name}; \
         cmctl status certificate -n {namespace} {name} shows what holds it up."
    ))
}

/// The annotation by which a tool is asked to fill a bundle in.
fn injector(meta: &Meta) -> Option<&str> {
    let mut keys = meta.annotations.iter().map(|(key, _)| key);
    keys.find(|key| is_injector(key))
}

impl Control for CertificatesValid {
    fn info(&self) -> &'static Info {
        &Self::INFO
    }

    fn touched(&self, change: &Change) -> Touched {
        Touched::Subject(Subject::object(
            change.kind,
            &change.namespace,
            &change.name,
        ))
    }

    fn population(
        &self,
        context: &Context<'_>,
        namespace: Option<&str>,
        found: &mut dyn FnMut(Subject),
    ) {
        let tables = &context.inventory.tables;
        subject::objects(Kind::Certificate, &tables.certificates, namespace, found);
        super::callees(context.inventory, namespace, found);
    }

    fn judge(&self, context: &Context<'_>, subject: &Subject) -> Option<Verdict> {
        let tables = &context.inventory.tables;
        let (namespace, name, now) = (subject.object_namespace(), &*subject.name, context.now);
        Some(match subject.object_kind()? {
            Kind::Certificate => self.certificate(tables.certificates.get(namespace, name)?, now),
            Kind::ValidatingWebhook => {
                self.webhooks(context, tables.validating_webhooks.get("", name)?)
            }
            Kind::MutatingWebhook => {
                self.webhooks(context, tables.mutating_webhooks.get("", name)?)
            }
            Kind::ApiService => {
                let object = tables.api_services.get("", name)?;
                object.spec.service.as_ref()?;
                self.api(context, object)
            }
            _ => return None,
        })
    }
}
