//! Tokens of service accounts that lie in Secrets and never end: whether somebody still uses one.

use super::ServiceAccountsHygiene;
use crate::{
    analysis::apiserver::{Counter, LegacyToken, Replica},
    controls::{
        encryption::{
            servers::{BELIEVED, expiry, reading},
            time::{later, span},
        },
        prelude::*,
    },
    words::many,
};

impl ServiceAccountsHygiene {
    /// What an API server counted of such tokens. The one that counts all of them has to be there;
    /// the others, which are younger, say where the tokens came from.
    pub(super) fn judge_server(&self, context: &Context<'_>, replica: &Replica) -> Verdict {
        let (at, seen) = match reading(context, replica) {
            Ok(read) => read,
            Err(verdict) => return verdict,
        };
        if !seen.legacy.contains_key(&LegacyToken::Any) {
            let message = "the server does not show serviceaccount_legacy_tokens_total";
            return Verdict::unknown("LegacyTokensNotCounted", message);
        }
        let begin = later(context.now, -span(&self.legacy_token_window));
        let counters = replica.legacy.iter();
        let recent = counters.filter_map(|(token, counter)| {
            let rise = counter.rise.filter(|rise| rise.to >= begin)?;
            Some((*token, counter, rise))
        });
        let recent: Vec<_> = recent.collect();
        // What was counted before anybody looked may be older than the window; between two looks it
        // is dated well enough.
        let dated = recent
            .iter()
            .any(|(.., rise)| rise.from >= later(begin, -BELIEVED));
        let Some(last) = recent.iter().map(|(.., rise)| rise.to).max() else {
            let message = "no token from a Secret was used";
            return Verdict::pass(Strength::Operating, "NoLegacyTokensUsed", message)
                .recheck(expiry(at));
        };
        let counters = recent.iter().map(|(token, counter, _)| (*token, *counter));
        let counted = counted(counters);
        if !dated {
            let message = format!(
                "{counted} since the server started; whether within {} can't be told yet",
                self.legacy_token_window
            );
            let verdict = Verdict::unknown("LegacyTokenUseNotDated", message);
            return verdict.recheck(expiry(at));
        }
        let message = format!("{counted} since the server started, the last before {last}");
        Verdict::fail(Strength::Operating, "LegacyTokensUsed", message)
            .propose(
                "find them by their label kubernetes.io/legacy-token-last-used on Secrets of type \
                 kubernetes.io/service-account-token, give whoever uses one a token by \
                 TokenRequest (`kubectl create token`, or a projected volume), and delete the \
                 Secret",
            )
            .recheck(expiry(at))
    }
}

/// What was counted, in words.
fn counted<'a>(counters: impl Iterator<Item = (LegacyToken, &'a Counter)>) -> String {
    let parts: Vec<String> = counters
        .map(|(token, Counter { value, .. })| {
            let which = match token {
                LegacyToken::Any => "tokens from Secrets were used",
                LegacyToken::Manual => "those that people made",
                LegacyToken::Generated => "those that were made for every account",
            };
            format!("{which} {}", many(value, "time"))
        })
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, control};
    use super::*;
    use crate::{
        analysis::{apiserver::Look, rbac_defaults::tests::fresh_cluster},
        controls::{
            encryption::testing::{address, look_at, metrics, started},
            testing::World,
        },
    };

    /// A process that started at a time and counted so many uses, of tokens that people made.
    fn look(start: &str, uses: u32) -> Look {
        metrics(&format!(
            "{}serviceaccount_legacy_tokens_total {uses}\n\
             serviceaccount_legacy_manual_token_uses_total {uses}\n\
             serviceaccount_legacy_auto_token_uses_total 0\n",
            started(start)
        ))
    }

    fn server(world: &mut World) -> Verdict {
        let verdicts = world.judge(&control());
        verdicts[&format!("APIServer {}", address(0))].clone()
    }

    #[test]
    fn a_use_within_the_window_fails_until_the_window_has_passed() {
        let start = "2026-05-01T00:00:00Z";
        let mut world = fresh_cluster(37);
        for (at, uses, wanted) in [
            (
                "2026-06-01T12:00:00Z",
                0,
                (Outcome::Pass, "NoLegacyTokensUsed"),
            ),
            (
                "2026-06-01T12:05:00Z",
                2,
                (Outcome::Fail, "LegacyTokensUsed"),
            ),
            (
                "2026-06-02T12:04:00Z",
                2,
                (Outcome::Fail, "LegacyTokensUsed"),
            ),
            (
                "2026-06-02T12:06:00Z",
                2,
                (Outcome::Pass, "NoLegacyTokensUsed"),
            ),
            (
                "2026-06-02T12:11:00Z",
                3,
                (Outcome::Fail, "LegacyTokensUsed"),
            ),
        ] {
            look_at(&mut world, at, &[look(start, uses)]);
            let verdict = server(&mut world);
            assert_eq!((verdict.outcome, verdict.reason), wanted, "{at}");
        }
        let told = "tokens from Secrets were used 3 times, those that people made 3 times";
        let message = server(&mut world).message;
        assert!(message.starts_with(told), "{message}");
    }

    #[test]
    fn what_was_used_before_anybody_looked_fails_where_the_process_is_younger_than_the_window() {
        for (start, wanted) in [
            ("2026-06-01T06:00:00Z", (Outcome::Fail, "LegacyTokensUsed")),
            (
                "2026-05-01T00:00:00Z",
                (Outcome::Unknown, "LegacyTokenUseNotDated"),
            ),
        ] {
            let mut world = fresh_cluster(37);
            look_at(&mut world, "2026-06-01T12:00:00Z", &[look(start, 2)]);
            let verdict = server(&mut world);
            assert_eq!((verdict.outcome, verdict.reason), wanted, "{start}");
        }
    }

    #[test]
    fn what_is_not_shown_is_not_known_to_be_zero() {
        let mut world = fresh_cluster(37);
        let cluster = world.judge(&control()).remove("Cluster cluster").unwrap();
        assert_eq!(
            (cluster.outcome, cluster.reason),
            (Outcome::Unknown, "NotLookedYet")
        );
        let at = "2026-06-01T12:00:00Z";
        look_at(&mut world, at, &[metrics(&started(at))]);
        assert_eq!(server(&mut world).reason, "LegacyTokensNotCounted");
        let refused = Look {
            metrics: Err("forbidden".to_owned()),
            ..metrics("")
        };
        let mut world = fresh_cluster(37);
        look_at(&mut world, at, &[refused]);
        assert_eq!(server(&mut world).reason, "MetricsNotRead");
    }

    #[test]
    fn a_look_at_the_servers_has_no_workload_judged_again() {
        let mut world = fresh_cluster(37).namespace("shop");
        account(&mut world, "default", None);
        look_at(
            &mut world,
            "2026-06-01T12:00:00Z",
            &[look("2026-05-01T00:00:00Z", 0)],
        );
        let Touched::Namespace(none) = control().noticed(Observation::ApiServerFacts) else {
            panic!("all are judged again");
        };
        let mut subjects = Vec::new();
        let context = world.context(&control(), None, None);
        let mut found = |subject: Subject| subjects.push(subject.to_string());
        control().population(&context, Some(&none), &mut found);
        assert_eq!(subjects, [format!("APIServer {}", address(0))]);
    }
}
