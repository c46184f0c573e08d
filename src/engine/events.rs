//! What goes into the engine and what comes out of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{Action, ActionResult, DrillWrite, Finding, ObjectKey, PeriodTold, Remark};
use crate::{
    api::{ControlPolicy, ControlPolicyStatus, PeopleKind, PeopleObject},
    controls::Subject,
    evidence::{
        Record,
        body::{self, Body},
        words::End,
    },
    inventory::{Availability, Kind, Sym},
    verdict::{Counts, Outcome, Severity},
};

/// The time of an event or a round.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Wall clock: what evidence carries.
    pub wall: Timestamp,
    /// Monotonic clock since the start: what waits and limits are measured with.
    pub mono: Duration,
    /// When the oldest bytes arrived that this round handles, on the monotonic clock.
    pub received: Duration,
}

impl Now {
    /// The monotonic time at which the wall clock should show `at`.
    pub(super) fn later(&self, at: Timestamp) -> Duration {
        let wait = Duration::try_from(at.duration_since(self.wall)).unwrap_or_default();
        self.mono + wait
    }

    /// What the wall clock should show at the monotonic time `at`.
    pub(super) fn wall_at(&self, at: Duration) -> Timestamp {
        let wait = SignedDuration::try_from(at.saturating_sub(self.mono)).unwrap_or_default();
        self.wall.checked_add(wait).unwrap_or(self.wall)
    }
}

/// What the engine must know of where it runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The namespace that Probity runs in.
    pub own_namespace: String,
    /// Name of this replica's log.
    pub log: String,
    /// Label of namespaces that names the owner.
    pub owner_label: String,
    /// How long exceptions may last.
    pub exceptions: ExceptionBounds,
    /// Name of the namespace that restore drills may make; `None` where none may.
    pub sandbox: Option<String>,
    /// Name of the `ClusterRole` with the rights for that: what a drill makes goes with it.
    pub drill_owner: Option<String>,
}

/// How long exceptions may last, from their creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExceptionBounds {
    /// The latest end.
    pub longest: SignedDuration,
    /// How long one works that nobody has approved, if it says that it is an emergency.
    pub break_glass: SignedDuration,
    /// When such a one must have been approved.
    pub unapproved: SignedDuration,
}

impl ExceptionBounds {
    /// With a latest end in so many days.
    pub fn of_days(longest: u16) -> Self {
        Self {
            longest: SignedDuration::from_hours(i64::from(longest) * 24),
            ..Self::default()
        }
    }
}

impl Default for ExceptionBounds {
    fn default() -> Self {
        Self {
            longest: SignedDuration::from_hours(90 * 24),
            break_glass: SignedDuration::from_hours(8),
            unapproved: SignedDuration::from_hours(72),
        }
    }
}

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// A relist of a kind begins.
    ListBegan(Kind),
    /// A page of a list, as the server sent it.
    Page(Kind, bytes::Bytes),
    /// The list of a kind is complete.
    ListEnded(Kind),
    /// A line of a watch, as the server sent it.
    Line(Kind, bytes::Bytes),
    /// A sign of life of a watch.
    Alive(Kind),
    /// A kind can't be read, or can be again.
    Availability(Kind, Availability),
    /// The API server does not serve a kind.
    Missing(Kind),
    /// Nobody needs a kind any more.
    Unwatched(Kind),
    /// Anti-entropy found that the watch had missed these objects of a kind, since the time given.
    Repaired(Kind, usize, Timestamp),
    /// A policy is new or changed.
    Policy(Box<ControlPolicy>),
    /// A policy is gone.
    PolicyDeleted(String),
    /// An object with which people take part is new or changed.
    People(PeopleObject),
    /// Such an object is gone: its kind, its namespace (empty where it is in none) and its name.
    PeopleGone(PeopleKind, String, String),
    /// All objects of such a kind have been read.
    PeopleListed(PeopleKind),
    /// What the log says of audit periods.
    Periods(BTreeMap<ObjectKey, PeriodTold>),
    /// What is seen of such an object could not be written: it is due again.
    RemarkFailed(ObjectKey),
    /// A probe has come to an end.
    Found(Finding),
    /// What became of a step of an action.
    Action(u64, ActionResult),
    /// This replica leads from now on.
    Leading(body::Term),
    /// This replica leads no longer.
    Following,
    /// The evidence log can be written, or why not.
    Log(Result<(), String>),
    /// A status could not be written: it is due again.
    StatusFailed(String),
}

/// What a round asks the shell to do.
#[derive(Debug, Default)]
pub struct Round {
    /// For the evidence log, in order, before anything else.
    pub records: Vec<Record>,
    /// For the API server, each after the records are durable where it writes.
    pub actions: Vec<Action>,
    /// Writes of a restore drill, likewise.
    pub drills: Vec<DrillWrite>,
    /// Statuses to write, by policy.
    pub statuses: Vec<(Sym, ControlPolicyStatus)>,
    /// What to write into the statuses of objects with which people take part.
    pub remarks: Vec<Remark>,
    /// Events to publish.
    pub notices: Vec<Notice>,
    /// What to count.
    pub measures: Vec<Measure>,
    /// Policies whose series have changed.
    pub changed: BTreeSet<Sym>,
    /// Policies whose series must go.
    pub gone: BTreeSet<Sym>,
    /// Whether the series of audit periods have changed.
    pub periods: bool,
    /// When the next round is due although nothing happens, on the monotonic clock.
    pub next: Option<Duration>,
}

/// What a round collects.
#[derive(Debug, Default)]
pub(super) struct Out {
    pub(super) entries: Vec<Body>,
    pub(super) actions: Vec<Action>,
    pub(super) drills: Vec<DrillWrite>,
    pub(super) notices: Vec<Notice>,
    pub(super) measures: Vec<Measure>,
    pub(super) changed: BTreeSet<Sym>,
    pub(super) gone: BTreeSet<Sym>,
    pub(super) periods: bool,
}

/// A Kubernetes Event to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The subject that it is about; `None` where it is about the policy alone.
    pub subject: Option<Subject>,
    /// The policy.
    pub policy: Option<Sym>,
    /// Whether someone should look.
    pub kind: NoticeKind,
    /// Reason, in `PascalCase`.
    pub reason: &'static str,
    /// What was done.
    pub action: &'static str,
    /// A sentence.
    pub note: String,
}

/// Type of a Kubernetes Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// For information.
    Normal,
    /// Someone should look.
    Warning,
}

/// Something to count.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the fields are the labels of the metric")]
pub enum Measure {
    /// A subject drifted.
    Drift { policy: Sym, control: &'static str },
    /// A remedy came to an end.
    Remediation {
        policy: Sym,
        control: &'static str,
        result: &'static str,
    },
    /// A brake latched or was released.
    Brake {
        policy: Sym,
        control: &'static str,
        latched: bool,
    },
    /// A field is left alone because someone else keeps writing it.
    Contended { policy: Sym, control: &'static str },
    /// The budget of a policy is used up.
    Budget { policy: Sym },
    /// A drift was detected whose bytes were received at this time, on the monotonic clock.
    Detected {
        control: &'static str,
        received: Duration,
    },
    /// From bytes received to the answer of the server to the remedy.
    Reverted {
        control: &'static str,
        took: Duration,
    },
    /// A deviation ended.
    Ended {
        policy: Sym,
        control: body::Word,
        how: End,
    },
    /// A watch sent something unreadable, or had missed something.
    Gap { kind: Kind },
    /// The API server was asked whether somebody may do something, and agrees or not.
    AccessCheck { result: &'static str },
}

/// Series of one control of one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The control.
    pub control: &'static str,
    /// Its outcome.
    pub outcome: Outcome,
    /// Its subjects by outcome.
    pub counts: Counts,
    /// Its failing subjects by owner; at most 200 owners, then `other`.
    pub owners: BTreeMap<String, u64>,
    /// Severity of its failures.
    pub severity: Severity,
    /// Its open deviations: how many, and when the first of them opened.
    pub deviations: BTreeMap<Origin, (u64, Timestamp)>,
}

/// Where a deviation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// It was there when the policy first looked.
    Baseline,
    /// It came later.
    New,
}

impl Origin {
    /// Every origin.
    pub const ALL: [Self; 2] = [Self::Baseline, Self::New];

    /// Name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Baseline => "Baseline",
            Self::New => "New",
        }
    }
}
