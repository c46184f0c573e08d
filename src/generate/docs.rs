//! Pages about controls.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use super::GENERATED;
use crate::{
    controls::{Family, Info, explain::resources},
    criteria::CRITERIA,
};

/// The page of one control.
pub(super) fn page(info: &Info, schema: &JSONSchemaProps) -> String {
    let subjects = resources(info.subjects.iter().copied());
    let scope = if info.is_scoped() {
        "the namespaces of the policy's scope"
    } else {
        "the whole cluster, whatever the policy's scope"
    };
    let mut text = format!(
        "<!-- {GENERATED} -->\n\
         # {}\n\n\
         {}.\n\n\
         | Field of `spec.controls` | Family | Severity | Judges | In | Rule version |\n\
         |---|---|---|---|---|---|\n\
         | `{}` | {} | {} | {subjects} | {scope} | {} |\n",
        info.id,
        info.title,
        info.field,
        info.family.as_str(),
        info.severity,
        info.rule_version,
    );
    let mut section = |heading: &str, body: &str| {
        // Writing to a string can't fail.
        let _ = write!(text, "\n## {heading}\n\n{}\n", body.trim_end());
    };
    for (heading, body) in info.about() {
        section(heading, &body);
    }
    section("Parameters", &parameters(schema));
    section("Example", &format!("```yaml\n{}```", info.example()));
    for (heading, body) in info.in_use() {
        section(heading, &body);
    }
    text
}

/// The parameters of a control, a line each, for a terminal.
pub(super) fn parameter_lines(schema: &JSONSchemaProps) -> Vec<String> {
    let mut lines = Vec::new();
    each_parameter(schema, "", &mut |path, parameter, default| {
        let default = if default.is_empty() {
            String::new()
        } else {
            format!(", default {default}")
        };
        let description = cell(parameter.description.as_deref().unwrap_or_default());
        lines.push(format!(
            "{path} ({}{default}): {description}",
            kind(parameter)
        ));
    });
    lines
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

/// The page that lists all controls, by family and by criterion.
pub(super) fn index(infos: &[&Info]) -> String {
    let mut text = format!(
        "<!-- {GENERATED} -->\n\
         # Controls\n\n\
         Each is switched on by a field of `spec.controls` of a `ControlPolicy`; an empty object \
         takes the defaults. *Puts back* means that some of its remedies can be carried out with \
         `mode: Enforce` and the write rights of its family; *proposes*, that it only says what \
         would make a subject pass.\n\n## By family\n"
    );
    for family in Family::ALL {
        let members = infos.iter().filter(|info| info.family == family);
        let members: Vec<_> = members.copied().collect();
        if !members.is_empty() {
            // Writing to a string can't fail.
            let _ = write!(text, "\n### {}\n\n{}", family.as_str(), table(&members, ""));
        }
    }
    text.push_str("\n## By criterion\n\n| Criterion | Controls |\n|---|---|\n");
    for criterion in CRITERIA {
        let members = infos.iter().filter(|i| i.criteria.contains(&criterion));
        let links: Vec<_> = members
            .map(|info| format!("[`{id}`]({id}.md)", id = info.id))
            .collect();
        if !links.is_empty() {
            let _ = writeln!(text, "| {criterion} | {} |", links.join(", "));
        }
    }
    text
}

/// The table of parameters.
fn parameters(schema: &JSONSchemaProps) -> String {
    let mut text = String::from("| Name | Type | Default | Description |\n|---|---|---|---|\n");
    each_parameter(schema, "", &mut |path, parameter, default| {
        let default = match default {
            "" | "required" => default.to_owned(),
            value => format!("`{}`", cell(value)),
        };
        let description = cell(parameter.description.as_deref().unwrap_or_default());
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "| `{path}` | {} | {default} | {description} |",
            kind(parameter)
        );
    });
    text
}

/// Calls `found` with the path, schema and default (`required` where it has none and must be
/// given) of each parameter, those inside others too.
fn each_parameter(
    schema: &JSONSchemaProps,
    prefix: &str,
    found: &mut dyn FnMut(&str, &JSONSchemaProps, &str),
) {
    for (name, parameter) in schema.properties.iter().flatten() {
        let path = format!("{prefix}{name}");
        let required = schema.required.iter().flatten().any(|field| field == name);
        let default = match &parameter.default {
            Some(default) => default.0.to_string(),
            None if required => "required".to_owned(),
            None => String::new(),
        };
        found(&path, parameter, &default);
        each_parameter(parameter, &format!("{path}."), found);
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &parameter.items {
            each_parameter(items, &format!("{path}[]."), found);
        }
        if let Some(JSONSchemaPropsOrBool::Schema(values)) = &parameter.additional_properties {
            each_parameter(values, &format!("{path}.*."), found);
        }
    }
}

/// The type of a parameter, in words.
fn kind(schema: &JSONSchemaProps) -> String {
    if let Some(values) = enumerated(schema) {
        return values;
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

/// The values of a field that has a choice of them.
pub(super) fn enumerated(schema: &JSONSchemaProps) -> Option<String> {
    let values = schema.enum_.as_ref()?.iter();
    let values = values.filter_map(|value| value.0.as_str());
    let values: Vec<_> = values.map(|value| format!("`{value}`")).collect();
    Some(values.join(", "))
}

/// Text that stays within one cell of a table.
pub(super) fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', r"\|")
}
