use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const START: &str = "2026-06-01T00:00:00Z";

/// Metrics of a process that started at a time and has read so many Secrets as they are.
fn reads(start: &str, count: Option<u32>) -> Reading {
    let start = at(start).as_second();
    let mut reading = Reading::parse(&format!("process_start_time_seconds {start}\n"));
    if let Some(count) = count {
        reading.line(&format!(
            "apiserver_storage_transformation_operations_total{{resource=\"secrets\",status=\"OK\",\
             transformation_type=\"from_storage\",transformer_prefix=\"identity\"}} {count}"
        ));
    }
    reading
}

fn take(servers: &mut ApiServers, moment: &str, metrics: Result<Reading, String>) {
    servers.take(Looks {
        at: at(moment),
        all_known: true,
        version: None,
        openshift: None,
        replicas: [(
            Sym::from("a"),
            Look {
                metrics,
                flags: Err(String::new()),
                kms: KmsHealth::None,
                tls: None,
            },
        )]
        .into(),
    });
}

fn rise(servers: &ApiServers) -> Option<(Timestamp, Timestamp)> {
    let operation = Operation {
        resource: "secrets".to_owned(),
        direction: Direction::FromStorage,
        prefix: IDENTITY.to_owned(),
    };
    let rise = servers.replicas["a"].operations.get(&operation)?.rise?;
    Some((rise.from, rise.to))
}

#[test]
fn a_counter_rose_between_two_looks_or_since_its_process_started() {
    let mut servers = ApiServers::default();
    take(
        &mut servers,
        "2026-06-01T01:00:00Z",
        Ok(reads(START, Some(5))),
    );
    assert_eq!(
        rise(&servers),
        Some((at(START), at("2026-06-01T01:00:00Z")))
    );
    take(
        &mut servers,
        "2026-06-01T01:05:00Z",
        Ok(reads(START, Some(5))),
    );
    assert_eq!(rise(&servers).unwrap().1, at("2026-06-01T01:00:00Z"));
    take(
        &mut servers,
        "2026-06-01T01:10:00Z",
        Ok(reads(START, Some(6))),
    );
    assert_eq!(
        rise(&servers),
        Some((at("2026-06-01T01:05:00Z"), at("2026-06-01T01:10:00Z")))
    );
    // A new process counts from nothing: a smaller number is a rise all the same.
    take(
        &mut servers,
        "2026-06-01T01:15:00Z",
        Ok(reads("2026-06-01T01:12:00Z", Some(2))),
    );
    assert_eq!(
        rise(&servers),
        Some((at("2026-06-01T01:12:00Z"), at("2026-06-01T01:15:00Z")))
    );
}

#[test]
fn an_absent_series_is_no_zero_and_no_rise() {
    let mut servers = ApiServers::default();
    take(&mut servers, "2026-06-01T01:00:00Z", Ok(reads(START, None)));
    assert_eq!(rise(&servers), None);
    take(
        &mut servers,
        "2026-06-01T01:05:00Z",
        Ok(reads(START, Some(1))),
    );
    assert_eq!(
        rise(&servers),
        Some((at("2026-06-01T01:00:00Z"), at("2026-06-01T01:05:00Z")))
    );
}

#[test]
fn what_could_not_be_read_leaves_what_was_known() {
    let mut servers = ApiServers::default();
    take(
        &mut servers,
        "2026-06-01T01:00:00Z",
        Ok(reads(START, Some(1))),
    );
    take(&mut servers, "2026-06-01T01:05:00Z", Err("no".to_owned()));
    take(
        &mut servers,
        "2026-06-01T01:10:00Z",
        Ok(reads(START, Some(2))),
    );
    assert_eq!(
        rise(&servers),
        Some((at("2026-06-01T01:00:00Z"), at("2026-06-01T01:10:00Z")))
    );
    assert_eq!(servers.replicas["a"].since, at("2026-06-01T01:00:00Z"));
}

#[test]
fn a_process_that_nobody_saw_leaves_a_gap() {
    let mut servers = ApiServers::default();
    take(&mut servers, "2026-06-01T01:00:00Z", Ok(reads(START, None)));
    let soon = "2026-06-01T01:14:00Z";
    take(&mut servers, "2026-06-01T01:15:00Z", Ok(reads(soon, None)));
    assert_eq!(servers.replicas["a"].since, at("2026-06-01T01:00:00Z"));
    let late = "2026-06-01T03:00:00Z";
    take(&mut servers, "2026-06-01T03:05:00Z", Ok(reads(late, None)));
    assert_eq!(servers.replicas["a"].since, at(late));
}

fn with_config(hash: Option<&str>, more: &str) -> Reading {
    let info = hash.map(|hash| {
        format!("{CONFIG}{{apiserver_id_hash=\"sha256:x\",hash=\"sha256:{hash}\"}} 1\n")
    });
    let start = at(START).as_second();
    Reading::parse(&format!(
        "process_start_time_seconds {start}\n{}{more}",
        info.unwrap_or_default()
    ))
}

#[test]
fn a_change_of_the_configuration_is_when_the_server_says_it_was() {
    let mut servers = ApiServers::default();
    take(
        &mut servers,
        "2026-06-01T01:00:00Z",
        Ok(with_config(Some("a"), "")),
    );
    assert!(servers.replicas["a"].config_changes().is_empty());
    let reloaded = at("2026-06-01T01:02:00Z");
    let line = format!(
        "{RELOADED}{{status=\"success\"}} {}\n",
        reloaded.as_second()
    );
    take(
        &mut servers,
        "2026-06-01T01:05:00Z",
        Ok(with_config(Some("b"), &line)),
    );
    // The same moment again says nothing of the next change.
    take(
        &mut servers,
        "2026-06-01T01:10:00Z",
        Ok(with_config(Some("c"), &line)),
    );
    let changes = servers.replicas["a"].config_changes();
    let changes: Vec<_> = changes.iter().map(|c| (c.at, c.hash.as_str())).collect();
    assert_eq!(
        changes,
        [
            (reloaded, "sha256:b"),
            (at("2026-06-01T01:10:00Z"), "sha256:c")
        ]
    );
}

#[test]
fn encryption_that_is_switched_on_is_a_change() {
    let mut servers = ApiServers::default();
    take(
        &mut servers,
        "2026-06-01T01:00:00Z",
        Ok(with_config(None, "")),
    );
    take(
        &mut servers,
        "2026-06-01T01:05:00Z",
        Ok(with_config(Some("a"), "")),
    );
    let changes = servers.replicas["a"].config_changes();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].hash, "sha256:a");
}

#[test]
fn history_is_bounded() {
    let mut servers = ApiServers::default();
    for i in 0..200_u32 {
        let moment = at(START).as_second() + 300 * (1 + i64::from(i));
        let moment = Timestamp::from_second(moment).unwrap().to_string();
        let calls = format!(
            "{KMS_CALLS}{{grpc_status_code=\"OK\",method_name=\"x\",provider_name=\"p\"}} {i}\n\
             {KEY_USED}{{key_id_hash=\"k{i}\",provider_name=\"p\",transformation_type=\"to_storage\"}} {}\n",
            at(START).as_second() + i64::from(i)
        );
        take(
            &mut servers,
            &moment,
            Ok(with_config(Some(&i.to_string()), &calls)),
        );
    }
    let replica = &servers.replicas["a"];
    assert!(replica.config_changes().len() <= 32);
    assert!(replica.kms["p"].key_changes().len() <= 32);
    assert_eq!(replica.config_changes().last().unwrap().hash, "sha256:199");
    // Of 16 hours in all, nothing is forgotten: 199 calls.
    assert_eq!(replica.kms["p"].recent_calls(), Some((199.0, 0.0)));
}

#[test]
fn the_key_before_tells_when_a_key_came() {
    let line = |key: &str, moment: &str| {
        format!(
            "{KEY_USED}{{key_id_hash=\"{key}\",provider_name=\"p\",\
             transformation_type=\"to_storage\"}} {}\n",
            at(moment).as_second()
        )
    };
    let new = line("new", "2026-06-01T00:50:00Z");
    let key = |servers: &ApiServers| {
        let key = servers.replicas["a"].kms["p"].key.clone().unwrap();
        (key.hash, key.since, key.start_seen)
    };
    let mut servers = ApiServers::default();
    take(
        &mut servers,
        "2026-06-01T01:00:00Z",
        Ok(with_config(None, &new)),
    );
    let alone = ("new".to_owned(), at("2026-06-01T01:00:00Z"), false);
    assert_eq!(key(&servers), alone);
    let mut servers = ApiServers::default();
    let both = line("old", "2026-06-01T00:10:00Z") + &new;
    take(
        &mut servers,
        "2026-06-01T01:00:00Z",
        Ok(with_config(None, &both)),
    );
    let after = ("new".to_owned(), at("2026-06-01T00:10:00Z"), true);
    assert_eq!(key(&servers), after);
    // The series of the old key may be dropped: that is no change.
    take(
        &mut servers,
        "2026-06-01T01:05:00Z",
        Ok(with_config(None, &new)),
    );
    assert_eq!(key(&servers), after);
    let next = line("next", "2026-06-01T01:08:00Z");
    take(
        &mut servers,
        "2026-06-01T01:10:00Z",
        Ok(with_config(None, &next)),
    );
    let seen = ("next".to_owned(), at("2026-06-01T01:10:00Z"), true);
    assert_eq!(key(&servers), seen);
    assert_eq!(servers.replicas["a"].kms["p"].key_changes().len(), 1);
}

#[test]
fn servers_that_are_gone_are_forgotten() {
    let mut servers = ApiServers::default();
    take(&mut servers, "2026-06-01T01:00:00Z", Ok(reads(START, None)));
    servers.take(Looks {
        at: at("2026-06-01T01:05:00Z"),
        all_known: true,
        version: None,
        openshift: None,
        replicas: BTreeMap::new(),
    });
    assert!(servers.replicas.is_empty());
}

#[test]
fn odd_numbers_are_no_moments() {
    for odd in ["NaN", "+Inf", "-5", "0", "1e300", "x"] {
        let reading = Reading::parse(&format!("process_start_time_seconds {odd}\n"));
        assert_eq!(reading.start, None, "{odd}");
    }
    let reading = Reading::parse("process_start_time_seconds 1.79123e+09\n");
    assert_eq!(reading.start.unwrap().as_second(), 1_791_230_000);
}

#[test]
fn only_successful_operations_with_a_resource_count() {
    let labels = |labels: &str| Reading::parse(&format!("{OPERATIONS}{{{labels}}} 3\n"));
    let good = labels(
        r#"resource="secrets",status="OK",transformation_type="to_storage",transformer_prefix="x""#,
    );
    assert_eq!(good.operations.len(), 1);
    let failed = labels(
        r#"resource="secrets",status="Unknown",transformation_type="to_storage",transformer_prefix="x""#,
    );
    assert!(failed.operations.is_empty() && !failed.old);
    assert!(labels(r#"status="OK",transformation_type="to_storage",transformer_prefix="x""#).old);
}

#[test]
fn several_servers_behind_one_address_are_not_all_known() {
    let of = |id: &str| {
        Reading::parse(&format!(
            "{CONFIG}{{apiserver_id_hash=\"{id}\",hash=\"sha256:a\"}} 1\n"
        ))
    };
    let mut servers = ApiServers::default();
    take(&mut servers, "2026-06-01T01:00:00Z", Ok(of("x")));
    take(&mut servers, "2026-06-01T01:05:00Z", Err("busy".into()));
    assert!(servers.all_known);
    take(&mut servers, "2026-06-01T01:10:00Z", Ok(of("y")));
    assert!(!servers.all_known);
    // A server that took the place of another is alone again after a day.
    take(&mut servers, "2026-06-02T00:59:00Z", Ok(of("y")));
    assert!(!servers.all_known);
    take(&mut servers, "2026-06-02T01:00:00Z", Ok(of("y")));
    assert!(servers.all_known);
}
