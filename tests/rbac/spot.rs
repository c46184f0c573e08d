//! The API server is asked what strangers may do, and agrees with effective rights: until something
//! else than what these rest on has a say.

use http::Method;
use probity::{
    analysis::rights::spot::{Question, questions},
    cluster::access_checks,
};
use serde_json::json;

use super::server::{RBAC, Server, binding, cluster_role};

/// Every question, with what effective rights say.
fn asked(server: &Server) -> Vec<(Question, bool)> {
    let (inventory, analyses) = server.load();
    let expected = |question: &Question| question.is_allowed(&inventory, analyses.rights());
    questions()
        .map(|question| (question, expected(&question)))
        .collect()
}

#[test]
fn the_api_server_agrees_until_it_is_told_more() {
    let server = Server::start();
    let before = asked(&server);
    let look = |questions| {
        let look = access_checks::look(&server.admin, questions);
        let answers = server.runtime.block_on(look).answers;
        let differing = answers.iter().filter(|answer| answer.differs());
        let differing: Vec<String> = differing.map(|a| a.question.to_string()).collect();
        (answers.len(), differing)
    };
    let all = before.len();
    assert_eq!(look(before.clone()), (all, Vec::new()));
    // What was read before does not know of it: as if another authorizer granted it.
    let rule = json!({ "verbs": ["list"], "apiGroups": [""], "resources": ["secrets"] });
    let role = cluster_role("leak", &json!([rule]));
    server.must(Method::POST, &format!("{RBAC}/clusterroles"), &role);
    let group = json!({
        "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:unauthenticated",
    });
    let (path, binding) = binding("leak", "leak", &json!([group]), "");
    server.must(Method::POST, &path, &binding);
    let told = vec!["system:anonymous list secrets".to_owned()];
    // The authorizer follows within moments.
    let followed = (0..50).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        look(before.clone()) == (all, told.clone())
    });
    assert!(followed, "{:?}", look(before.clone()));
    assert_eq!(look(asked(&server)), (all, Vec::new()));
}

#[test]
fn who_may_not_ask_asks_nothing() {
    let server = Server::start();
    let questions = asked(&server);
    let answers = server.runtime.block_on(async {
        let limited = server.cluster.kubeconfig_for("nobody", &[]).unwrap();
        let client = server.cluster.client_for(&limited).await.unwrap();
        access_checks::look(&client, questions).await.answers
    });
    assert!(answers.is_empty());
}
