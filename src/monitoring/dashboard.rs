//! A Grafana dashboard as data, and as the JSON that Grafana reads.
//!
//! The classic model, schema version 39 (Grafana 11 and newer; later ones migrate it). Data source and scope are
//! variables, so that a file works as it is: imported by hand or found by a sidecar. Colours are Grafana's named ones,
//! which it adapts to light and dark.

use serde_json::{Value, json};

use super::DOCS;

/// Grafana's version of the model.
const SCHEMA: u16 = 39;
/// Width of a dashboard in grid cells.
const WIDTH: u8 = 24;

/// A dashboard.
pub(super) struct Dashboard {
    /// Name of its file, and part of its uid.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    /// The range that it begins with, such as `now-7d`.
    pub(super) from: &'static str,
    pub(super) variables: Vec<Variable>,
    pub(super) rows: Vec<Row>,
}

/// A variable that people choose.
pub(super) struct Variable {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    /// What gives its values: a query as Grafana reads it.
    pub(super) values: &'static str,
    /// What of each line of the answer is the value, as a pattern; empty where the query gives the values alone.
    pub(super) part: &'static str,
    /// Whether several can be chosen, or all.
    pub(super) many: bool,
}

/// Panels under a heading.
pub(super) struct Row {
    pub(super) title: &'static str,
    pub(super) panels: Vec<Panel>,
}

/// A panel.
pub(super) struct Panel {
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    /// Width and height in grid cells.
    pub(super) size: (u8, u8),
    pub(super) view: View,
    pub(super) unit: Unit,
    /// From which value on it has which colour. The first has no value.
    pub(super) steps: &'static [(Option<f64>, &'static str)],
    pub(super) queries: Vec<Query>,
    /// The page that explains it, below the documentation.
    pub(super) page: &'static str,
}

/// How a panel shows its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// One large number.
    Number,
    /// An outcome in words.
    Word,
    /// Lines over time.
    Lines,
    /// Stacked areas over time.
    Areas,
    /// A bar for each series.
    Bars,
    /// Coloured states over time.
    States,
    /// A table: names of the columns of values, in the order of the queries; with no name a column is left out. The
    /// first is sorted by.
    Table(&'static [(&'static str, Unit)]),
}

/// What a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// A count.
    Count,
    /// From 0 to 1.
    Share,
    Seconds,
    Bytes,
    /// Each second.
    PerSecond,
    /// A time in seconds since 1970, shown as how far away it is.
    Since,
    /// An outcome of a control: see [`OUTCOMES`].
    Outcome,
}

/// A query.
pub(super) struct Query {
    pub(super) expr: String,
    /// What a series is called; empty where there is just one.
    pub(super) legend: &'static str,
}

/// A query whose series are named by a template.
pub(super) fn query(expr: impl Into<String>, legend: &'static str) -> Query {
    Query {
        expr: expr.into(),
        legend,
    }
}

/// More is worse, from one on.
pub(super) const NONE_IS_GOOD: &[(Option<f64>, &str)] = &[(None, "green"), (Some(1.0), "red")];
/// More should be looked at, from one on.
pub(super) const NONE_IS_BETTER: &[(Option<f64>, &str)] = &[(None, "green"), (Some(1.0), "orange")];
/// Yes or no, and yes is good.
pub(super) const ONE_IS_GOOD: &[(Option<f64>, &str)] = &[(None, "orange"), (Some(1.0), "green")];
/// Only all is good.
pub(super) const ALL_IS_GOOD: &[(Option<f64>, &str)] =
    &[(None, "red"), (Some(0.9), "orange"), (Some(1.0), "green")];
/// Nothing is good or bad about it.
pub(super) const NEUTRAL: &[(Option<f64>, &str)] = &[(None, "blue")];

/// Outcomes as numbers, words and colours.
const OUTCOMES: [(u8, &str, &str); 5] = [
    (0, "Not applicable", "text"),
    (1, "Pass", "green"),
    (2, "Excepted", "blue"),
    (3, "Unknown", "orange"),
    (4, "Fail", "red"),
];

/// Colours of series that are called like this, on every panel.
const NAMED: [(&str, &str); 9] = [
    ("Pass", "green"),
    ("Fail", "red"),
    ("Excepted", "blue"),
    ("Unknown", "orange"),
    ("NotApplicable", "text"),
    ("PutBack", "green"),
    ("FixedByOthers", "blue"),
    ("Drift", "red"),
    ("Limit", "red"),
];

impl Dashboard {
    /// The dashboard as Grafana reads it.
    pub(super) fn json(&self) -> Value {
        let mut variables = vec![json!({
            "type": "datasource", "name": "datasource", "label": "Data source",
            "query": "prometheus", "regex": "", "refresh": 1, "hide": 0,
            "multi": false, "includeAll": false, "options": [],
            "current": { "text": "default", "value": "default" },
        })];
        variables.extend(self.variables.iter().map(Variable::json));
        json!({
            "uid": uid(self.name),
            "title": self.title,
            "description": self.description,
            "tags": ["probity", "soc2"],
            "schemaVersion": SCHEMA,
            "version": 1,
            "editable": true,
            "graphTooltip": 1,
            "timezone": "browser",
            "time": { "from": self.from, "to": "now" },
            "refresh": "1m",
            "annotations": { "list": [] },
            "templating": { "list": variables },
            "links": links(),
            "panels": self.panels(),
        })
    }

    /// The panels from left to right, and from top to bottom.
    fn panels(&self) -> Vec<Value> {
        let (mut panels, mut id) = (Vec::new(), 0_u32);
        let mut next = || {
            id += 1;
            id
        };
        let mut top = 0_u32;
        for row in &self.rows {
            panels.push(json!({
                "type": "row", "id": next(), "title": row.title, "collapsed": false, "panels": [],
                "gridPos": { "x": 0, "y": top, "w": WIDTH, "h": 1 },
            }));
            top += 1;
            let (mut left, mut height) = (0, 0);
            for panel in &row.panels {
                let (wide, high) = panel.size;
                if left + wide > WIDTH {
                    top += u32::from(height);
                    (left, height) = (0, 0);
                }
                let place = json!({ "x": left, "y": top, "w": wide, "h": high });
                panels.push(panel.json(next(), &place));
                left += wide;
                height = height.max(high);
            }
            top += u32::from(height);
        }
        panels
    }
}

/// The identity of a dashboard: links lead to it, and another import replaces it.
pub(super) fn uid(name: &str) -> String {
    format!("probity-{name}")
}

fn links() -> Value {
    json!([
        {
            "title": "Probity", "type": "dashboards", "tags": ["probity"], "asDropdown": true,
            "icon": "external link", "tooltip": "", "url": "", "targetBlank": false,
            "includeVars": true, "keepTime": true,
        },
        {
            "title": "Documentation", "type": "link", "tags": [], "asDropdown": false,
            "icon": "doc", "tooltip": "", "url": DOCS, "targetBlank": true,
            "includeVars": false, "keepTime": false,
        },
    ])
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

impl Variable {
    fn json(&self) -> Value {
        let current = if self.many {
            json!({ "text": "All", "value": "$__all" })
        } else {
            json!({ "text": "", "value": "" }) // the first one
        };
        let mut variable = json!({
            "type": "query", "name": self.name, "label": self.label, "datasource": source(),
            "definition": self.values,
            "query": { "query": self.values, "refId": "StandardVariableQuery" },
            "refresh": 2, "sort": 1, "regex": self.part, "hide": 0,
            "multi": self.many, "includeAll": self.many, "options": [], "current": current,
        });
        if self.many {
            // A cluster that has no such label is matched too.
            variable["allValue"] = json!(".*");
        }
        variable
    }
}

impl Panel {
    fn json(&self, id: u32, place: &Value) -> Value {
        let names = b'A'..=b'Z';
        let targets = self.queries.iter().zip(names).map(|(query, name)| {
            let now = matches!(self.view, View::Table(_) | View::Bars);
            json!({
                "refId": char::from(name).to_string(), "expr": query.expr, "datasource": source(),
                "legendFormat": if query.legend.is_empty() { "__auto" } else { query.legend },
                "editorMode": "code", "instant": now, "range": !now,
                "format": if matches!(self.view, View::Table(_)) { "table" } else { "time_series" },
            })
        });
        let mut panel = json!({
            "id": id,
            "type": self.view.plugin(),
            "title": self.title,
            "description": self.description,
            "datasource": source(),
            "gridPos": place,
            "targets": targets.collect::<Vec<_>>(),
            "fieldConfig": { "defaults": self.defaults(), "overrides": self.overrides() },
            "options": self.view.options(),
            "links": [{
                "title": "What this means", "type": "link", "url": format!("{DOCS}/{}", self.page),
                "targetBlank": true, "tags": [], "icon": "doc", "tooltip": "",
                "asDropdown": false, "includeVars": false, "keepTime": false,
            }],
        });
        if let View::Table(columns) = self.view {
            panel["transformations"] = transformations(columns);
        }
        panel
    }

    fn defaults(&self) -> Value {
        let steps = self.steps.iter();
        let steps: Vec<Value> = steps
            .map(|(value, color)| json!({ "value": value, "color": color }))
            .collect();
        let fixed = !matches!(self.view, View::Lines | View::Areas);
        let mut defaults = json!({
            "unit": self.unit.id(),
            "thresholds": { "mode": "absolute", "steps": steps },
            "color": { "mode": if fixed { "thresholds" } else { "palette-classic" } },
            "mappings": [],
            "noValue": "none",
            "custom": self.view.drawing(),
        });
        if self.unit == Unit::Outcome {
            defaults["mappings"] = mappings();
            defaults["color"] = json!({ "mode": "thresholds" });
        }
        if self.unit == Unit::Share {
            defaults["min"] = json!(0);
            defaults["max"] = json!(1);
        }
        defaults
    }

    fn overrides(&self) -> Vec<Value> {
        let View::Table(columns) = self.view else {
            let several = matches!(self.view, View::Lines | View::Areas | View::Bars);
            let named = NAMED.iter().filter(|_| several);
            return named
                .map(|(name, color)| {
                    let fixed = json!({ "mode": "fixed", "fixedColor": color });
                    by_name(name, "color", &fixed)
                })
                .collect();
        };
        let mut overrides: Vec<Value> = columns
            .iter()
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, unit)| by_name(name, "unit", &json!(unit.id())))
            .collect();
        let links = json!([
            {
                "title": "This control",
                "url": format!("/d/{}?${{datasource:queryparam}}&${{cluster:queryparam}}&var-control=${{__value.raw}}&${{__url_time_range}}", uid("control")),
                "targetBlank": false,
            },
            {
                "title": "What it checks",
                "url": format!("{DOCS}/controls/${{__value.raw}}.md"),
                "targetBlank": true,
            },
        ]);
        overrides.push(by_name("control", "links", &links));
        overrides
    }
}

fn by_name(name: &str, property: &str, value: &Value) -> Value {
    json!({
        "matcher": { "id": "byName", "options": name },
        "properties": [{ "id": property, "value": value }],
    })
}

/// Puts the values of all queries into one row for the same labels.
fn transformations(columns: &[(&str, Unit)]) -> Value {
    let names = b'A'..=b'Z';
    let value = |name: u8| {
        if columns.len() == 1 {
            "Value".to_owned()
        } else {
            format!("Value #{}", char::from(name))
        }
    };
    let renamed = columns
        .iter()
        .zip(names)
        .map(|((name, _), at)| (value(at), json!(name)));
    let (unnamed, renamed): (Vec<_>, Vec<_>) = renamed.partition(|(_, name)| name == "");
    let renamed: serde_json::Map<String, Value> = renamed.into_iter().collect();
    let left_out = unnamed.into_iter().map(|(column, _)| (column, json!(true)));
    let mut excluded: serde_json::Map<String, Value> = left_out.collect();
    excluded.insert("Time".to_owned(), json!(true));
    json!([
        { "id": "merge", "options": {} },
        {
            "id": "organize",
            "options": {
                "excludeByName": excluded, "indexByName": {}, "renameByName": renamed,
            },
        },
    ])
}

fn mappings() -> Value {
    let options = OUTCOMES.iter().zip(0..).map(|((value, word, color), at)| {
        let shown = json!({ "text": word, "color": color, "index": at });
        (value.to_string(), shown)
    });
    let options: serde_json::Map<String, Value> = options.collect();
    json!([{ "type": "value", "options": options }])
}

impl View {
    const fn plugin(self) -> &'static str {
        match self {
            Self::Number | Self::Word => "stat",
            Self::Lines | Self::Areas => "timeseries",
            Self::Bars => "bargauge",
            Self::States => "state-timeline",
            Self::Table(_) => "table",
        }
    }

    fn options(self) -> Value {
        let reduce = json!({ "calcs": ["lastNotNull"], "fields": "", "values": false });
        let legend = |shown: bool| {
            json!({
                "showLegend": shown, "displayMode": "list", "placement": "bottom", "calcs": [],
            })
        };
        let tooltip = |mode: &str| json!({ "mode": mode, "sort": "desc" });
        match self {
            Self::Number | Self::Word => json!({
                "reduceOptions": reduce, "orientation": "auto", "justifyMode": "center",
                "textMode": if self == Self::Word { "value_and_name" } else { "auto" },
                "colorMode": "background", "graphMode": if self == Self::Word { "none" } else { "area" },
                "wideLayout": true, "showPercentChange": false,
                "percentChangeColorMode": "standard",
            }),
            Self::Lines | Self::Areas => json!({
                "legend": legend(true), "tooltip": tooltip("multi"),
            }),
            Self::Bars => json!({
                "reduceOptions": reduce, "orientation": "horizontal", "displayMode": "basic",
                "valueMode": "text", "namePlacement": "left", "showUnfilled": true,
                "sizing": "auto", "minVizWidth": 8, "minVizHeight": 16, "maxVizHeight": 40,
                "legend": legend(false),
            }),
            Self::States => json!({
                "showValue": "never", "rowHeight": 0.9, "mergeValues": true, "alignValue": "left",
                "legend": legend(true), "tooltip": tooltip("single"),
            }),
            Self::Table(columns) => json!({
                "showHeader": true, "cellHeight": "sm", "frameIndex": 0,
                // What is nearest, or oldest, comes first; of counts, the most.
                "sortBy": columns
                    .iter()
                    .take(1)
                    .filter(|(name, _)| !name.is_empty())
                    .map(|(name, unit)| json!({ "displayName": name, "desc": *unit != Unit::Since }))
                    .collect::<Vec<_>>(),
            }),
        }
    }

    /// How lines and areas are drawn.
    fn drawing(self) -> Value {
        match self {
            Self::Lines | Self::Areas => json!({
                "drawStyle": "line", "lineInterpolation": "stepAfter", "lineWidth": 2,
                "fillOpacity": if self == Self::Areas { 60 } else { 0 },
                "showPoints": "never", "spanNulls": false, "axisSoftMin": 0,
                "stacking": {
                    "mode": if self == Self::Areas { "normal" } else { "none" }, "group": "A",
                },
            }),
            Self::States => json!({ "fillOpacity": 85, "lineWidth": 0 }),
            Self::Table(_) => json!({ "align": "auto", "inspect": false }),
            Self::Number | Self::Word | Self::Bars => json!({}),
        }
    }
}

impl Unit {
    /// Grafana's name.
    const fn id(self) -> &'static str {
        match self {
            Self::Count | Self::Outcome => "short",
            Self::Share => "percentunit",
            Self::Seconds => "s",
            Self::Bytes => "bytes",
            Self::PerSecond => "ops",
            Self::Since => "dateTimeFromNow",
        }
    }
}
