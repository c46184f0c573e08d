//! The dashboards.

mod compliance;
mod control;
mod operator;
mod period;

use super::dashboard::{Dashboard, Panel, Query, Unit, Variable, View};

/// Every dashboard.
pub(super) fn all() -> [Dashboard; 4] {
    [
        compliance::dashboard(),
        control::dashboard(),
        period::dashboard(),
        operator::dashboard(),
    ]
}

const CLUSTER: Variable = Variable {
    name: "cluster",
    label: "Cluster",
    values: "label_values(probity_control_outcome, cluster)",
    part: "",
    many: true,
};

const POLICY: Variable = Variable {
    name: "policy",
    label: "Policy",
    values: r#"label_values(probity_control_outcome{cluster=~"$cluster"}, policy)"#,
    part: "",
    many: true,
};

const FAMILY: Variable = Variable {
    name: "family",
    label: "Family",
    values: r#"label_values(probity_control_info{cluster=~"$cluster"}, family)"#,
    part: "",
    many: true,
};

const PERIOD: Variable = Variable {
    name: "period",
    label: "Audit period",
    values: r#"label_values(probity_period_ready{cluster=~"$cluster"}, period)"#,
    part: "",
    many: true,
};

type Steps = &'static [(Option<f64>, &'static str)];

/// A large number, to be read from afar.
fn number(
    (title, description): (&'static str, &'static str),
    unit: Unit,
    steps: Steps,
    expr: impl Into<String>,
    page: &'static str,
) -> Panel {
    Panel {
        title,
        description,
        size: (4, 5),
        view: View::Number,
        unit,
        steps,
        queries: vec![Query {
            expr: expr.into(),
            legend: "",
        }],
        page,
    }
}

impl Panel {
    /// The same panel with another size.
    const fn sized(mut self, wide: u8, high: u8) -> Self {
        self.size = (wide, high);
        self
    }
}
