//! What an account hands over while it is made, as rows.

use jiff::Timestamp;

use super::{Collector, MOST_DEVIATIONS, file_name, spool};
use crate::{
    evidence::body::{ActionOutcome, Intent, Name},
    period::{Deviation, Member, Sink, Span, SpanKind, SubjectId, Unobserved},
    report::{csv::Table, pack::ReportError},
};

impl Sink for Collector<'_> {
    fn deviation(&mut self, deviation: &Deviation) {
        self.found.deviations += 1;
        let until = deviation.closed.unwrap_or(self.frame.to);
        let page = self.page(&deviation.control, &deviation.policy);
        page.timeline.failed(deviation.opened, until);
        if page.deviations.len() < MOST_DEVIATIONS {
            page.deviations.push(deviation.clone());
        }
        let written = self.spool.put_record(|to| spool::write(deviation, to));
        self.keep(written);
    }

    fn member(&mut self, member: &Member) {
        let result = self.member_row(member);
        self.keep(result);
    }

    fn span(
        &mut self,
        policy: &Name,
        control: &Name,
        subject: &SubjectId,
        span: &Span,
        until: Option<Timestamp>,
    ) {
        let said = subject.subject();
        let (entry, from) = (span.entry.to_string(), span.since.to_string());
        let to = until.map(|to| to.to_string()).unwrap_or_default();
        let namespace = said.namespace.as_deref().unwrap_or_default();
        let cells = [
            &**control,
            &**policy,
            &*said.kind,
            namespace,
            &*said.name,
            &*from,
            &*to,
            &*span.reason,
            &*span.message,
            &*entry,
        ];
        let lasted = until.unwrap_or(self.frame.to);
        self.page(control, policy)
            .timeline
            .span(span.kind, span.since, lasted);
        let written = match span.kind {
            SpanKind::Excepted => self.exemptions.put(span, &cells),
            SpanKind::Unknown => {
                let mut cells = cells.to_vec();
                cells.push(responsible(control));
                self.tables.unobserved.row(&cells)
            }
        };
        self.keep(written);
    }

    fn remedy(
        &mut self,
        began: Timestamp,
        intent: &Intent,
        ended: Timestamp,
        outcome: &ActionOutcome,
    ) {
        if outcome.result == crate::evidence::words::ActionResult::Applied {
            let control = intent.control.as_ref().into();
            for policy in &intent.policies {
                self.page(&control, policy).timeline.remedied(ended);
            }
        }
        let target = &intent.target;
        let written = self.tables.remedies.row(&[
            &*intent.id.to_string(),
            &*intent.control,
            &*intent.policies.join(" "),
            intent.action.as_str(),
            &*target.kind,
            target.namespace.as_deref().unwrap_or_default(),
            &*target.name,
            &*began.to_string(),
            &*ended.to_string(),
            outcome.result.as_str(),
            &*outcome.message,
        ]);
        self.keep(written);
    }

    fn gap(&mut self, policy: &Name, control: &Name, gap: &Unobserved) {
        self.page(control, policy).timeline.gap(gap.from, gap.to);
        let seconds = gap.to.duration_since(gap.from).as_secs().to_string();
        let (from, to) = (gap.from.to_string(), gap.to.to_string());
        let written = self.tables.gaps.row(&[
            &**control,
            &**policy,
            &*from,
            &*to,
            &*seconds,
            &*gap.causes.join("; "),
        ]);
        self.keep(written);
    }
}

impl Collector<'_> {
    fn member_row(&mut self, member: &Member) -> Result<(), ReportError> {
        let control = member.control.to_string();
        if !self.populations.contains_key(&control) {
            let name = format!("populations/{}.csv", file_name(&control));
            let header = [
                "policy",
                "group",
                "kind",
                "namespace",
                "name",
                "uid",
                "first seen",
                "left",
                "id",
            ];
            self.populations
                .insert(control.clone(), Table::new(self.pack, &name, &header)?);
        }
        let Some(table) = self.populations.get_mut(&control) else {
            return Ok(());
        };
        let said = member.subject.subject();
        let left = member.left.map(|left| left.to_string()).unwrap_or_default();
        table.row(&[
            &*member.policy,
            &*said.group,
            &*said.kind,
            said.namespace.as_deref().unwrap_or_default(),
            &*said.name,
            &*said.uid,
            &*member.joined.to_string(),
            &*left,
            &*crate::period::item_id(said),
        ])
    }
}

/// Who answers for what can't be seen from inside a cluster, as far as one may assume.
fn responsible(control: &str) -> &'static str {
    match control.split('-').next() {
        Some("enc") => "provider of the control plane or storage (CSOC)",
        Some("backup") => "provider of the storage (CSOC)",
        _ => "the organisation",
    }
}
