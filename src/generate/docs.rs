//! Pages about controls.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use super::GENERATED;
use crate::{controls::Info, inventory::Kind};

/// The page of one control.
pub(super) fn page(info: &Info, schema: &JSONSchemaProps) -> String {
    let Info {
        id,
        field,
        title,
        what,
        why,
        fix,
        limits,
        ..
    } = info;
    let criteria = info.criteria.join(", ");
    let subjects = resources(info.subjects.iter().copied());
    let scope = if info.is_scoped() {
        "the namespaces of the policy's scope"
    } else {
        "the whole cluster, whatever the policy's scope"
    };
    let rights = rights(info);
    let parameters = parameters(schema);
    format!(
        "<!-- {GENERATED} -->\n\
         # {id}\n\n\
         {title}.\n\n\
         | Field of `spec.controls` | Family | Severity | Judges | In | Rule version |\n\
         |---|---|---|---|---|---|\n\
         | `{field}` | {} | {} | {subjects} | {scope} | {} |\n\n\
         ## What it checks\n\n{what}\n\n\
         ## Why\n\n{why}\n\n\
         ## Criteria\n\n{criteria}\n\n\
         ## Parameters\n\n{parameters}\n\
         ## What Enforce does\n\n{fix}\n\n\
         ## Rights\n\n{rights}\n\
         ## Limits\n\n{limits}\n",
        info.family.as_str(),
        info.severity,
        info.rule_version,
    )
}

/// The table of all controls; `folder` is where their pages are, seen from the page it is on.
pub(super) fn table(infos: &[&Info], folder: &str) -> String {
    let mut text = String::from(
        "| Control | What holds | Criteria | Severity | Enforce |\n|---|---|---|---|---|\n",
    );
    for info in infos {
        let enforce = if info.writes.is_empty() {
            "proposes"
        } else {
            "puts back"
        };
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "| [`{id}`]({folder}{id}.md) | {} | {} | {} | {enforce} |",
            cell(info.title),
            info.criteria.join(", "),
            info.severity,
            id = info.id,
        );
    }
    text
}

/// The page that lists all controls.
pub(super) fn index(infos: &[&Info]) -> String {
    format!(
        "<!-- {GENERATED} -->\n\
         # Controls\n\n\
         Each is switched on by a field of `spec.controls` of a `ControlPolicy`; an empty object \
         takes the defaults. *Puts back* means that some of its remedies can be carried out with \
         `mode: Enforce` and the write rights of its family; *proposes*, that it only says what \
         would make a subject pass.\n\n{}",
        table(infos, "")
    )
}

fn rights(info: &Info) -> String {
    let mut text = format!("Reads {}.\n", resources(info.inputs()));
    for observation in info.observes {
        text.push_str(observation.explain());
        text.push('\n');
    }
    if info.writes.is_empty() {
        text.push_str("\nWrites nothing, in any mode.\n");
        return text;
    }
    let family = info.family.as_str();
    let _ = writeln!(
        text,
        "\nWrites only in `Enforce`, and only with `enforcement.{family}: true` in the chart:\n"
    );
    for write in info.writes {
        let _ = writeln!(text, "- {} {}", write.verb, resources([write.kind]));
    }
    text
}

/// Names of resources, as RBAC spells them.
fn resources(kinds: impl IntoIterator<Item = Kind>) -> String {
    let name = |kind: Kind| {
        let info = kind.info();
        let dot = if info.group.is_empty() { "" } else { "." };
        format!("`{}{dot}{}`", info.plural, info.group)
    };
    let names: Vec<_> = kinds.into_iter().map(name).collect();
    if names.is_empty() {
        "no objects".to_owned()
    } else {
        names.join(", ")
    }
}

/// The table of parameters.
fn parameters(schema: &JSONSchemaProps) -> String {
    let mut text = String::from("| Name | Type | Default | Description |\n|---|---|---|---|\n");
    rows(schema, "", &mut text);
    text
}

fn rows(schema: &JSONSchemaProps, prefix: &str, text: &mut String) {
    for (name, parameter) in schema.properties.iter().flatten() {
        let path = format!("{prefix}{name}");
        let required = schema.required.iter().flatten().any(|field| field == name);
        let default = match &parameter.default {
            Some(default) => format!("`{}`", cell(&default.0.to_string())),
            None if required => "required".to_owned(),
            None => String::new(),
        };
        let _ = writeln!(
            text,
            "| `{path}` | {} | {default} | {} |",
            kind(parameter),
            cell(parameter.description.as_deref().unwrap_or_default()),
        );
        rows(parameter, &format!("{path}."), text);
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &parameter.items {
            rows(items, &format!("{path}[]."), text);
        }
        if let Some(JSONSchemaPropsOrBool::Schema(values)) = &parameter.additional_properties {
            rows(values, &format!("{path}.*."), text);
        }
    }
}

/// The type of a parameter, in words.
fn kind(schema: &JSONSchemaProps) -> String {
    if let Some(values) = &schema.enum_ {
        let values = values.iter().filter_map(|value| value.0.as_str());
        return values
            .map(|value| format!("`{value}`"))
            .collect::<Vec<_>>()
            .join(", ");
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        return format!("list of {}", kind(items));
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        return format!("map to {}", kind(values));
    }
    let name = schema.type_.as_deref().unwrap_or("any");
    match (schema.minimum, schema.maximum) {
        (Some(least), Some(most)) => format!("{name}, {least} to {most}"),
        (Some(least), None) => format!("{name}, at least {least}"),
        (None, Some(most)) => format!("{name}, at most {most}"),
        (None, None) => match &schema.pattern {
            Some(pattern) => format!("{name} `{}`", cell(pattern)),
            None => name.to_owned(),
        },
    }
}

/// Text that stays within one cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', r"\|")
}
