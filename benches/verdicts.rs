//! One changed object with 1,000 namespaces and 200 policies in the table.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use probity::{
    engine::{Config, Engine, Event, ExceptionBounds, Memory, Now, OWNER_LABEL, Round},
    evidence::body::Term,
    inventory::Kind,
};
use serde_json::{Value, json};

use crate::{Figure, Result, stats::Samples};

const NAMESPACES: u32 = 1000;
const CHANGES: u32 = 5000;

/// Measures changes that leave the verdicts as they are, and, beside it, changes that turn all of
/// them.
pub(crate) fn measure() -> Result<Vec<Figure>> {
    let mut drive = Drive::new(NAMESPACES);
    for number in 0..200 {
        // Half of them ask the same, half each of namespaces of their own.
        let mut spec = json!({ "controls": { "netNamespaceDefaultDeny": {} } });
        if number % 2 == 1 {
            spec["scope"] = json!({ "exclude": [format!("other-{number}")] });
        }
        drive.policy(&format!("policy-{number:03}"), &spec)?;
    }
    drive.wait(10);
    let same = drive.changes(|_| json!({ "podSelector": {}, "ingress": [] }))?;
    let turned = drive.changes(|number| match number / NAMESPACES % 2 {
        0 => json!({ "podSelector": {}, "ingress": [{}] }),
        _ => json!({ "podSelector": {} }),
    })?;
    Ok(vec![
        Figure {
            what: "one changed object, 1,000 namespaces, 200 policies: to new verdicts",
            measured: same.summary(),
            limit: "≤ 50 µs",
            kept: Some(same.percentile(50) <= Duration::from_micros(50)),
        },
        Figure {
            what: "— where it turns the verdict of all 200 policies, with their records and notices",
            measured: turned.summary(),
            limit: "",
            kept: None,
        },
    ])
}

/// An engine that leads, over namespaces that all deny by default, and its time.
pub(crate) struct Drive {
    pub(crate) engine: Engine,
    wall: Timestamp,
    mono: Duration,
    version: u64,
}

impl Drive {
    /// With so many namespaces.
    pub(crate) fn new(namespaces: u32) -> Self {
        let config = Config {
            own_namespace: "probity-system".to_owned(),
            log: "probity-0".to_owned(),
            owner_label: OWNER_LABEL.to_owned(),
            exceptions: ExceptionBounds::default(),
            sandbox: None,
            drill_owner: None,
        };
        let mut drive = Self {
            engine: Engine::new(config, Memory::default()),
            wall: Timestamp::now(),
            mono: Duration::from_secs(1),
            version: 1000,
        };
        for kind in Kind::ALL {
            drive.apply(Event::ListBegan(*kind));
            drive.apply(Event::ListEnded(*kind));
        }
        for number in 0..namespaces {
            let line = drive.line("ADDED", number, None);
            drive.apply(Event::Line(Kind::Namespace, line));
            let line = drive.line("ADDED", number, Some(&json!({ "podSelector": {} })));
            drive.apply(Event::Line(Kind::NetworkPolicy, line));
        }
        let term = Term {
            holder: "probity-0".into(),
            epoch: 1,
            predecessor: None,
            before: None,
        };
        drive.apply(Event::Leading(term));
        drive.round();
        drive
    }

    /// The time of the drive.
    pub(crate) fn now(&self) -> Now {
        Now {
            wall: self.wall,
            mono: self.mono,
            received: self.mono,
        }
    }

    /// Applies an event.
    pub(crate) fn apply(&mut self, event: Event) {
        let now = self.now();
        self.engine.apply(event, now);
    }

    /// Has a round.
    pub(crate) fn round(&mut self) -> Round {
        let now = self.now();
        self.engine.round(now)
    }

    /// Lets time pass, with all watches alive, and does what is due then.
    pub(crate) fn wait(&mut self, seconds: u32) {
        self.mono += Duration::from_secs(seconds.into());
        self.wall += Duration::from_secs(seconds.into());
        for kind in Kind::ALL {
            self.apply(Event::Alive(*kind));
        }
        self.settle();
    }

    /// Has rounds until all is judged that there is to judge.
    fn settle(&mut self) {
        self.round();
        while !self.engine.is_settled() {
            self.round();
        }
    }

    /// Puts a policy in.
    pub(crate) fn policy(&mut self, name: &str, spec: &Value) -> Result<()> {
        let policy = json!({
            "apiVersion": "probity.dev/v1alpha1", "kind": "ControlPolicy",
            "metadata": { "name": name, "uid": name, "generation": 1 }, "spec": spec,
        });
        let policy = serde_json::from_value(policy).map_err(|error| error.to_string())?;
        self.apply(Event::Policy(Box::new(policy)));
        self.settle();
        Ok(())
    }

    /// A watch line of a namespace, or of its network policy.
    pub(crate) fn line(&mut self, kind: &str, number: u32, policy: Option<&Value>) -> bytes::Bytes {
        self.version += 1;
        let namespace = format!("team-{number}");
        let mut meta = json!({
            "name": namespace, "uid": format!("00000000-0000-4000-8000-{number:012x}"),
            "resourceVersion": self.version.to_string(), "creationTimestamp": "2026-05-01T12:00:00Z",
        });
        let object = match policy {
            None => json!({ "metadata": meta }),
            Some(spec) => {
                meta["name"] = "deny".into();
                meta["namespace"] = namespace.into();
                json!({ "metadata": meta, "spec": spec })
            }
        };
        json!({ "type": kind, "object": object }).to_string().into()
    }

    fn changes(&mut self, spec: impl Fn(u32) -> Value) -> Result<Samples> {
        let mut samples = Samples::default();
        for number in 0..CHANGES {
            if number % 100 == 0 {
                self.wait(1);
            }
            // Labels differ from one change to the next, so that each is one.
            let spec = spec(number);
            let line = self.line("MODIFIED", number % NAMESPACES, Some(&spec));
            let mut object: Value =
                serde_json::from_slice(&line).map_err(|error| error.to_string())?;
            object["object"]["metadata"]["labels"] =
                json!({ "change": (number / NAMESPACES).to_string() });
            let line = object.to_string().into();
            let began = Instant::now();
            self.apply(Event::Line(Kind::NetworkPolicy, line));
            let round = self.round();
            samples.push(began.elapsed());
            drop(round);
        }
        Ok(samples)
    }
}
