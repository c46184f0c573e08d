//! `probity approve` and `probity reject`: a decision about what somebody else asked for.

use clap::Args;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::json;

use super::{Connect, Failure};
use crate::{
    api::{self, Decision, DecisionVerdict, PeopleKind, PeopleObject},
    cluster::client::{CallError, deadline, within},
};

/// Arguments of `probity approve` and `probity reject`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    connect: Connect,
    /// What to decide about, such as `controlexception/legacy`.
    #[arg(value_name = "KIND/NAME")]
    object: String,
    /// Its namespace; else the one of the kubeconfig.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Why, in a sentence.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

/// Writes the decision into the object's status, for the version of it that is printed.
pub(super) async fn run(arguments: Arguments, verdict: DecisionVerdict) -> Result<(), Failure> {
    let (kind, name) = named(&arguments.object)?;
    let (connection, _) = arguments.connect.open().await?;
    let namespace = arguments
        .namespace
        .unwrap_or_else(|| connection.namespace.clone());
    let objects = objects(connection.client.clone(), kind, &namespace);
    let what = &arguments.object;
    let found = within(deadline::READ, objects.get(name)).await;
    let found = found.map_err(|error| match error {
        CallError::NotFound if kind.is_namespaced() => {
            format!("there is no {what} in namespace {namespace}: see --namespace")
        }
        CallError::NotFound => format!("there is no {what}"),
        error => format!("{what} can't be read: {error}"),
    })?;
    let object = parse(kind, &found)?;
    if let Some(decision) = object.decision() {
        let (verdict, by) = (decision.verdict.as_str(), &decision.by);
        return Err(format!(
            "{what} is {verdict} by {by} already: a decision stands"
        ));
    }
    let by = myself(connection.client.clone()).await?;
    if object.requester() == Some(&by) {
        return Err(format!(
            "{what} was asked for by {by}, as whom you are known: somebody else has to decide"
        ));
    }
    let decision = Decision {
        verdict,
        by,
        generation: object.meta().generation.unwrap_or_default(),
        comment: arguments.comment,
    };
    print(&object)?;
    let patch = json!({
        // What was just printed, and nothing that came after it.
        "metadata": {
            "uid": object.meta().uid,
            "resourceVersion": object.meta().resource_version,
        },
        "status": { "decision": decision },
    });
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(patch));
    within(
        deadline::WRITE,
        objects.patch_status(name, &parameters, &patch),
    )
    .await
    .map_err(|error| match error {
        CallError::Conflict { .. } => {
            format!("{what} was changed meanwhile: look at it again, then decide")
        }
        error => format!("{what} was not decided: {error}"),
    })?;
    println!("{what}: {} by {}", decision.verdict.as_str(), decision.by);
    Ok(())
}

/// The kind and name that an argument such as `controlexception/legacy` means.
fn named(object: &str) -> Result<(PeopleKind, &str), Failure> {
    let approved = || {
        PeopleKind::ALL
            .into_iter()
            .filter(|kind| kind.is_approved())
    };
    let (kind, name) = object.split_once('/').unwrap_or((object, ""));
    let kind = kind.split('.').next().unwrap_or_default().to_lowercase();
    let found =
        approved().find(|known| known.kind().to_lowercase() == kind || known.plural() == kind);
    match found {
        Some(kind) if !name.is_empty() => Ok((kind, name)),
        _ => Err(format!(
            "{object:?} names nothing to decide about: write KIND/NAME, with KIND {}",
            approved()
                .map(|kind| kind.kind().to_lowercase())
                .collect::<Vec<_>>()
                .join(" or ")
        )),
    }
}

/// The objects of a kind.
pub(super) fn objects(
    client: kube::Client,
    kind: PeopleKind,
    namespace: &str,
) -> kube::Api<DynamicObject> {
    let resource = resource(kind);
    if kind.is_namespaced() {
        kube::Api::namespaced_with(client, namespace, &resource)
    } else {
        kube::Api::all_with(client, &resource)
    }
}

/// What kube has to know of a kind.
pub(super) fn resource(kind: PeopleKind) -> ApiResource {
    ApiResource {
        group: api::GROUP.to_owned(),
        version: api::VERSION.to_owned(),
        api_version: format!("{}/{}", api::GROUP, api::VERSION),
        kind: kind.kind().to_owned(),
        plural: kind.plural().to_owned(),
    }
}

/// An object of a kind, of any origin.
pub(super) fn parse(kind: PeopleKind, object: &DynamicObject) -> Result<PeopleObject, Failure> {
    let explain = |error: serde_json::Error| format!("a {} can't be read: {error}", kind.kind());
    let text = serde_json::to_string(object).map_err(explain)?;
    kind.parse(&text).map_err(explain)
}

/// Who we are to the API server.
pub(super) async fn myself(client: kube::Client) -> Result<String, Failure> {
    let reviews: kube::Api<SelfSubjectReview> = kube::Api::all(client);
    let review = SelfSubjectReview::default();
    let parameters = PostParams::default();
    let answer = within(deadline::READ, reviews.create(&parameters, &review)).await;
    let answer = answer.map_err(|error| {
        format!("the API server does not say who you are: {error}; is the kubeconfig right?")
    })?;
    answer
        .status
        .and_then(|status| status.user_info?.username)
        .ok_or_else(|| "the API server knows no name for you: log in as a person".to_owned())
}

/// What is decided about.
fn print(object: &PeopleObject) -> Result<(), Failure> {
    let spec = serde_saphyr::to_string(&object.spec()).map_err(|error| error.to_string())?;
    println!("{spec}");
    Ok(())
}
