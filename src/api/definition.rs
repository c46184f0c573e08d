//! The `CustomResourceDefinition`s, with what their Rust types can't say.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use super::{
    AccessReview, Attestation, AuditPeriod, ClusterControlException, ControlException,
    ControlPolicy, DeviationResponse, EvidenceLog,
};
use crate::controls::{Family, Info, REGISTRY};

/// Every definition, by file name.
pub fn definitions() -> Vec<(&'static str, CustomResourceDefinition)> {
    let controls = |schema: &mut JSONSchemaProps| {
        for info in REGISTRY.iter().map(|registered| registered.info) {
            document(schema, info);
        }
    };
    let plain = |_: &mut JSONSchemaProps| {};
    vec![
        (
            "probity.dev_accessreviews.yaml",
            described(AccessReview::crd(), plain),
        ),
        (
            "probity.dev_attestations.yaml",
            described(Attestation::crd(), |schema| {
                name_controls(schema, |info| info.family == Family::Attested);
            }),
        ),
        (
            "probity.dev_auditperiods.yaml",
            described(AuditPeriod::crd(), |_| {}),
        ),
        (
            "probity.dev_clustercontrolexceptions.yaml",
            described(ClusterControlException::crd(), any_control),
        ),
        (
            "probity.dev_controlexceptions.yaml",
            described(ControlException::crd(), any_control),
        ),
        (
            "probity.dev_controlpolicies.yaml",
            described(ControlPolicy::crd(), controls),
        ),
        (
            "probity.dev_deviationresponses.yaml",
            described(DeviationResponse::crd(), plain),
        ),
        (
            "probity.dev_evidencelogs.yaml",
            described(EvidenceLog::crd(), plain),
        ),
    ]
}

/// A definition with what its Rust type can't say.
fn described(
    mut definition: CustomResourceDefinition,
    more: impl Fn(&mut JSONSchemaProps),
) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        if let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
        {
            // Else `kubectl explain` shows how the type was derived.
            schema.description = field(schema, "spec").and_then(|spec| spec.description.clone());
            more(schema);
            tidy(schema);
        }
    }
    definition
}

fn any_control(root: &mut JSONSchemaProps) {
    name_controls(root, |_| true);
}

/// Has the API server refuse ids of controls that there are not.
fn name_controls(root: &mut JSONSchemaProps, which: fn(&Info) -> bool) {
    let control = field(root, "spec").and_then(|spec| field(spec, "control"));
    if let Some(control) = control {
        let mut ids: Vec<_> = REGISTRY
            .iter()
            .filter(|registered| which(registered.info))
            .map(|registered| registered.info.id)
            .collect();
        ids.sort_unstable();
        control.enum_ = Some(ids.into_iter().map(|id| JSON(id.into())).collect());
    }
}

/// The schema of the field of a policy that switches a control on.
pub fn control_schema(
    definition: &CustomResourceDefinition,
    info: &Info,
) -> Option<JSONSchemaProps> {
    let schema = definition.spec.versions.first()?.schema.as_ref()?;
    let mut schema = schema.open_api_v3_schema.as_ref()?;
    for name in ["spec", "controls", info.field] {
        schema = schema.properties.as_ref()?.get(name)?;
    }
    Some(schema.clone())
}

/// Describes a control where people look for it.
fn document(root: &mut JSONSchemaProps, info: &Info) {
    let control = field(root, "spec")
        .and_then(|spec| field(spec, "controls"))
        .and_then(|controls| field(controls, info.field));
    let Some(control) = control else { return };
    control.description = Some(format!(
        "{}. {} Criteria: {}. Control {}.",
        info.title,
        info.what,
        info.criteria.join(", "),
        info.id
    ));
    // A key without a value is null: it looks switched on, and would be off.
    control.nullable = None;
    // The generator describes an optional enum by its type instead of by the field.
    for (name, text) in [
        (
            "mode",
            "Mode of this control; the policy's mode where absent.".to_owned(),
        ),
        (
            "severity",
            format!(
                "Severity of failures of this control; {} where absent.",
                info.severity
            ),
        ),
    ] {
        if let Some(setting) = field(control, name) {
            setting.description = Some(text);
        }
    }
}

/// Makes a schema what API servers and `kubectl explain` expect, all the way down.
fn tidy(schema: &mut JSONSchemaProps) {
    // Kubernetes has no unsigned formats, and warns about each.
    schema.format.take_if(|format| format.starts_with("uint"));
    // `kubectl explain` wraps lines itself; the lines of the source would be ragged.
    if let Some(text) = &mut schema.description {
        let paragraphs: Vec<_> = text
            .split("\n\n")
            .map(|paragraph| paragraph.replace('\n', " "))
            .collect();
        *text = paragraphs.join("\n\n");
    }
    for property in schema.properties.iter_mut().flatten() {
        tidy(property.1);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tidy(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tidy(values);
    }
}

fn field<'a>(schema: &'a mut JSONSchemaProps, name: &str) -> Option<&'a mut JSONSchemaProps> {
    schema.properties.as_mut()?.get_mut(name)
}
