//! What people watch Probity with, judged by the programs that read it: Prometheus, promtool, Grafana's types.

mod alerts;
mod dashboards;
mod live;
mod prometheus;
