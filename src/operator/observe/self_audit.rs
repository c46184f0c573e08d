//! When the log is checked as an auditor would.

use std::{path::Path, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::{Repeated, Turn};
use crate::{
    controls::assurance::LogVerified,
    engine::{Finding, SelfAudit},
    evidence::verify::{Trust, verify},
};

/// What is wrong is looked at again: the log is being written meanwhile.
const AGAIN: Duration = Duration::from_mins(1);

/// Checks where it is due, as often as the policy that asks most often.
pub(super) fn turn(probe: &mut Repeated, turn: &Turn<'_>) {
    let settings = turn.engine.parameters_of("assurance-log-verified");
    let asked = settings.iter();
    let asked = asked.filter_map(|value| serde_json::from_value::<LogVerified>(value.clone()).ok());
    let every = asked.map(|control| control.every.duration()).min();
    let every = every.unwrap_or_else(|| LogVerified::default().every.duration());
    let data = turn.data.to_owned();
    probe.turn(turn, Value::Array(settings), every, async move {
        let mut found = check(data.clone()).await;
        if found.is_err() {
            tokio::time::sleep(AGAIN).await;
            found = check(data).await;
        }
        let at = Timestamp::now();
        Finding::SelfAudit(SelfAudit { at, found })
    });
}

async fn check(data: std::path::PathBuf) -> Result<u64, String> {
    let checked = tokio::task::spawn_blocking(move || whole(&data)).await;
    checked.map_err(|error| format!("the check broke off: {error}"))?
}

/// How many entries there are, if nothing is wrong with any.
fn whole(data: &Path) -> Result<u64, String> {
    let report = verify(data, &Trust::default(), &|_, _| ()).map_err(|error| error.to_string())?;
    let mut problems = report.logs.iter().flat_map(|log| &log.problems);
    match problems.next() {
        Some(problem) => Err(format!("{problem}; {} more", problems.count())),
        None => Ok(report
            .logs
            .iter()
            .map(|log| log.size.saturating_sub(log.first))
            .sum()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Log, Record, body::Stop};

    #[test]
    fn a_log_whose_head_is_gone_is_not_whole() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let (log, _) = Log::open(data).unwrap();
        let stop = Stop {
            reason: "SIGTERM".into(),
        };
        let record = Record::new(Timestamp::now(), stop);
        log.append(vec![record]).wait().unwrap();
        drop(log);
        let wrong = whole(data).unwrap_err();
        assert!(wrong.contains("its head was removed"), "{wrong}");
    }
}
