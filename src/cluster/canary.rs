//! stub
use crate::engine::CanaryRun;
/// c
pub struct CanaryConfig { /// i
 pub interval: std::time::Duration }
impl CanaryConfig { /// f
 pub fn from_parameters(_: &str, _: &serde_json::Value) -> Self { Self { interval: std::time::Duration::from_secs(3600) } } }
/// r
pub async fn run(_: &kube::Client, _: &CanaryConfig) -> CanaryRun { std::future::pending().await }
