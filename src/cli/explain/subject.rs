//! Every verdict on one subject, and what to do about it.

use std::fmt::Write as _;

use super::Arguments;
use crate::{
    cli::{
        Failure,
        output::{
            fix::{fix, words_and_commands},
            style::Style,
            wrap::wrap,
        },
        pass::{self, Pass, Told},
    },
    controls::Verdict,
    engine::{Engine, Event, Findings, Standing},
    generate,
    inventory::Kind,
    verdict::Outcome,
    words::one_line,
};

/// What kubectl abbreviates.
const SHORT: [(&str, Kind); 18] = [
    ("ns", Kind::Namespace),
    ("po", Kind::Pod),
    ("svc", Kind::Service),
    ("sa", Kind::ServiceAccount),
    ("pvc", Kind::Claim),
    ("pv", Kind::Volume),
    ("cm", Kind::ConfigMap),
    ("sc", Kind::StorageClass),
    ("deploy", Kind::Deployment),
    ("sts", Kind::StatefulSet),
    ("ds", Kind::DaemonSet),
    ("rs", Kind::ReplicaSet),
    ("cj", Kind::CronJob),
    ("netpol", Kind::NetworkPolicy),
    ("ing", Kind::Ingress),
    ("no", Kind::Node),
    ("crd", Kind::Crd),
    ("gw", Kind::Gateway),
];

/// A subject as it was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    /// Names of the kind as verdicts have them.
    kinds: Vec<String>,
    /// Empty where it is in none.
    namespace: String,
    name: String,
}

/// Reads `kind/namespace/name` or `kind/name`.
fn asked(what: &str, namespace: &str) -> Result<Asked, Failure> {
    let parts: Vec<&str> = what.splitn(3, '/').collect();
    let (kind, inside, name) = match parts.as_slice() {
        // As `status` names it. A database of this name is found by its namespace.
        ["cluster"] | ["cluster" | "Cluster", "cluster"] => ("cluster", None, "cluster"),
        [kind, name] => (*kind, None, *name),
        [kind, inside, name] => (*kind, Some(*inside), *name),
        _ => ("", None, ""),
    };
    if kind.is_empty() || name.is_empty() || inside == Some("") {
        return Err(format!(
            "{what:?} is no subject: write KIND/NAMESPACE/NAME or KIND/NAME"
        ));
    }
    // That is no object, though a tool calls its objects so.
    let is_whole = inside.is_none() && name == "cluster" && kind == "cluster";
    let found = if is_whole { Vec::new() } else { kinds(kind) };
    // Some subjects are no objects: users, groups, listeners, the cluster.
    let namespaced = found.iter().any(|kind| kind.info().is_namespaced());
    let (namespace, name) = match (inside, namespaced) {
        (Some(inside), true) => (inside.to_owned(), name.to_owned()),
        (None, true) => (namespace.to_owned(), name.to_owned()),
        // What was taken for a namespace belongs to the name, as in the name of a role.
        (Some(inside), false) => (String::new(), format!("{inside}/{name}")),
        (None, false) => (String::new(), name.to_owned()),
    };
    let kinds = if found.is_empty() {
        vec![kind.to_lowercase()]
    } else {
        found
            .iter()
            .map(|kind| kind.info().kind.to_lowercase())
            .collect()
    };
    Ok(Asked {
        kinds,
        namespace,
        name,
    })
}

/// The kinds that a word means: several tools may call theirs the same.
fn kinds(word: &str) -> Vec<Kind> {
    let word = word.to_lowercase();
    if let Some((_, kind)) = SHORT.iter().find(|(short, _)| *short == word) {
        return vec![*kind];
    }
    let (name, group) = word.split_once('.').unwrap_or((&word, ""));
    let means = |kind: &&Kind| {
        let info = kind.info();
        (info.plural == name || info.kind.to_lowercase() == name)
            && (group.is_empty() || info.group == group)
    };
    Kind::ALL.iter().filter(means).copied().collect()
}

/// Reads the cluster once, and tells.
pub(super) async fn explain(arguments: &Arguments, style: Style) -> Result<String, Failure> {
    // What is no subject is said before a cluster is asked.
    asked(&arguments.what, "default")?;
    let (connection, version) = arguments.connect.open().await?;
    let namespace = arguments.namespace.as_deref();
    let asked = asked(&arguments.what, namespace.unwrap_or(&connection.namespace))?;
    let mut pass = Pass::new("probity-system");
    // A cluster without policies is explained by the baseline.
    let policies = pass::policies_if_served(&connection.client).await?;
    let policies = policies.unwrap_or_default();
    let baseline = policies.is_empty();
    let said = Told::of(&policies);
    for policy in policies {
        pass.apply(Event::Policy(Box::new(policy)));
    }
    if baseline {
        let policy = serde_saphyr::from_str(&generate::baseline());
        let policy = policy.map_err(|error| error.to_string())?;
        pass.apply(Event::Policy(Box::new(policy)));
    }
    let unread = pass.read(&connection, &version).await?;
    pass.lead();
    let mut text = told(&pass.engine, &said, &asked, arguments.all, style).ok_or_else(|| {
        format!(
            "no control says anything about {}: is it there, and is its namespace in the scope of a policy?",
            arguments.what
        )
    })?;
    if baseline {
        text.push_str("The cluster has no policy: this is what the baseline says.\n");
    }
    for unread in unread {
        let _ = writeln!(text, "Note: {unread}.");
    }
    Ok(text)
}

/// All that is said of a subject; `None` where that is nothing.
fn told(engine: &Engine, said: &Told, asked: &Asked, all: bool, style: Style) -> Option<String> {
    let mut verdicts: Vec<(Findings<'_>, usize)> = Vec::new();
    for findings in engine.findings() {
        let found = findings.subjects.iter().position(|(subject, _)| {
            asked.kinds.contains(&subject.kind_name().to_lowercase())
                && subject.object_namespace() == asked.namespace
                && *subject.name == *asked.name
        });
        if let Some(found) = found {
            verdicts.push((findings, found));
        }
    }
    let (first, at) = verdicts.first()?;
    let (subject, _) = first.subjects.get(*at)?;
    let mut text = format!("{}\n", style.bold(&one_line(&subject.to_string())));
    verdicts.sort_by_key(|(findings, at)| {
        let outcome = findings.subjects[*at].1.outcome;
        let order = [
            Outcome::Fail,
            Outcome::Unknown,
            Outcome::Excepted,
            Outcome::Pass,
        ];
        (
            order
                .iter()
                .position(|known| *known == outcome)
                .unwrap_or(order.len()),
            std::cmp::Reverse(findings.severity),
        )
    });
    for (findings, at) in &verdicts {
        let (subject, verdict) = findings.subjects[*at];
        let mut proposals = engine.proposals().into_iter().filter(|proposal| {
            proposal.remedy.is_some()
                && proposal.subject == *subject
                && proposal.control == findings.info.id
                && proposal.policy == *findings.policy
        });
        let held = proposals.next().and_then(|proposal| {
            // The operator remembers more than one look can show.
            let told = said.why(findings.policy, findings.info.id, subject);
            told.or_else(|| match proposal.standing {
                Standing::Held(hold) => Some(pass::why_held(&hold, false)),
                Standing::Quiet | Standing::UnderWay => None,
            })
        });
        text.push_str(&verdict_text(findings, verdict, held, all, style));
    }
    Some(text)
}

fn verdict_text(
    findings: &Findings<'_>,
    verdict: &Verdict,
    held: Option<String>,
    all: bool,
    style: Style,
) -> String {
    let (info, outcome) = (findings.info, verdict.outcome);
    let word = style.outcome(outcome, &format!("{:<13}", outcome.as_str().to_uppercase()));
    let mut text = format!("\n{word} {} (policy {})\n", info.id, findings.policy);
    let quiet = matches!(outcome, Outcome::Pass | Outcome::NotApplicable);
    let mut say = |what: &str, indent: &str| {
        text.push_str(&wrap(&one_line(what), style.width, indent));
    };
    if quiet && !all {
        say(&verdict.message, "  ");
        return text;
    }
    let criteria = info.criteria.join(", ");
    let severity = findings.severity;
    say(&format!("{}. {severity}; {criteria}.", info.title), "  ");
    say(
        &format!(
            "{} ({}): {}",
            verdict.reason, verdict.strength, verdict.message
        ),
        "  ",
    );
    if let Some(blind) = &findings.blind {
        say(&format!("This may be old: {blind}"), "  ");
    }
    if outcome == Outcome::Fail {
        say("To mend it:", "  ");
        let fix = fix(verdict, info);
        let (words, commands) = words_and_commands(&fix);
        if !words.is_empty() {
            text.push_str(&wrap(words, style.width, "    "));
        }
        if !commands.is_empty() {
            // They are to be copied: neither wrapped nor indented.
            let _ = writeln!(text, "\n{commands}\n");
        }
        if let Some(held) = held {
            text.push_str(&wrap(
                &format!("Probity does not do it: {held}."),
                style.width,
                "  ",
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_written_as_kubectl_writes_them() {
        let deployment = |namespace: &str| Asked {
            kinds: vec!["deployment".to_owned()],
            namespace: namespace.to_owned(),
            name: "web".to_owned(),
        };
        for what in [
            "deployment/shop/web",
            "deploy/shop/web",
            "Deployments.apps/shop/web",
        ] {
            assert_eq!(asked(what, "other"), Ok(deployment("shop")), "{what}");
        }
        assert_eq!(asked("deployments/web", "other"), Ok(deployment("other")));
        let namespace = asked("ns/shop", "other").unwrap();
        assert_eq!((&*namespace.namespace, &*namespace.name), ("", "shop"));
        let role = asked("clusterrole/team/admin", "other").unwrap();
        assert_eq!((&*role.namespace, &*role.name), ("", "team/admin"));
        assert_eq!(asked("group/devs", "other").unwrap().kinds, ["group"]);
        let cluster = asked("cluster", "other").unwrap();
        assert_eq!(cluster.kinds, ["cluster"]);
        assert_eq!((&*cluster.namespace, &*cluster.name), ("", "cluster"));
        for wrong in ["/shop/web", "deployment/", "deployment//web"] {
            assert!(asked(wrong, "other").is_err(), "{wrong}");
        }
    }

    #[test]
    fn abbreviations_are_kinds_that_are_there_once() {
        for (short, kind) in SHORT {
            assert_eq!(kinds(short), [kind]);
        }
    }
}
