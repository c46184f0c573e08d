//! Asks the API server itself whether somebody may do something, by `SubjectAccessReview`s.
//!
//! Rights: `create` on `subjectaccessreviews`, where the chart sets `accessChecks.enabled`.

use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview,
    SelfSubjectAccessReviewSpec, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::{Api, Client, api::PostParams};

use super::servers::within;
use crate::{
    analysis::rights::{Target, spot::Question},
    engine::{AccessAnswer, AccessLook},
};

/// Asks each question, with what is expected, one after the other. Where the right to ask is not
/// there, none is asked; where that can't be told, none is answered.
pub async fn look(client: &Client, questions: Vec<(Question, bool)>) -> AccessLook {
    let mut answers = Vec::new();
    let may_ask = may_ask(client).await;
    if may_ask == Ok(false) {
        tracing::debug!(
            "The right to create SubjectAccessReviews is not granted: none is asked for"
        );
        let at = Timestamp::now();
        return AccessLook { at, answers };
    }
    for (question, expected) in questions {
        let allowed = match &may_ask {
            Ok(_) => ask(client, &question).await,
            Err(why) => Err(why.clone()),
        };
        answers.push(AccessAnswer {
            question,
            expected,
            allowed,
        });
    }
    let at = Timestamp::now();
    AccessLook { at, answers }
}

/// Whether reviews may be created: everybody who has logged in may ask that of itself.
async fn may_ask(client: &Client) -> Result<bool, String> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                verb: Some("create".to_owned()),
                group: Some("authorization.k8s.io".to_owned()),
                resource: Some("subjectaccessreviews".to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let all: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = within(all.create(&PostParams::default(), &review)).await;
    let status = answer.map_err(|error| error.to_string())?.status;
    Ok(status.is_some_and(|status| status.allowed))
}

async fn ask(client: &Client, question: &Question) -> Result<bool, String> {
    let mut spec = SubjectAccessReviewSpec {
        user: Some(question.user.to_owned()),
        groups: Some(
            question
                .groups
                .iter()
                .map(|&group| group.to_owned())
                .collect(),
        ),
        ..SubjectAccessReviewSpec::default()
    };
    let verb = Some(question.request.verb.to_owned());
    match question.request.target {
        Target::Resource {
            group,
            resource,
            namespace,
            name,
        } => {
            let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
            spec.resource_attributes = Some(ResourceAttributes {
                verb,
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource: Some(sub.to_owned()),
                namespace: Some(namespace.to_owned()),
                name: Some(name.to_owned()),
                ..ResourceAttributes::default()
            });
        }
        Target::Url(path) => {
            let path = Some(path.to_owned());
            spec.non_resource_attributes = Some(NonResourceAttributes { path, verb });
        }
    }
    let review = SubjectAccessReview {
        spec,
        ..SubjectAccessReview::default()
    };
    let all: Api<SubjectAccessReview> = Api::all(client.clone());
    let answer = within(all.create(&PostParams::default(), &review)).await;
    let answer = answer.map_err(|error| error.to_string())?;
    let status = answer.status.ok_or("the review has no status")?;
    match status.evaluation_error {
        Some(error) if !status.allowed => Err(error),
        _ => Ok(status.allowed),
    }
}
