//! What to send where: the flag, and the variables that OpenTelemetry has for all programs.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

/// How long the collector may take for an answer, unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often metrics are sent, unless told otherwise.
const EVERY: Duration = Duration::from_mins(1);

/// What to send where.
#[derive(Debug, PartialEq)]
pub struct Settings {
    pub(super) traces: Option<Target>,
    pub(super) metrics: Option<Target>,
    /// Time between two exports of metrics.
    pub(super) every: Duration,
    /// File with certificates of further authorities.
    pub(super) authorities: Option<PathBuf>,
}

/// Where one kind of data goes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) timeout: Duration,
}

impl Target {
    /// The server, without what may be secret in a URL.
    pub(super) fn server(&self) -> String {
        let host = self.uri.host().unwrap_or_default();
        match self.uri.port_u16() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}

/// Looks variables up. One that is empty counts as unset.
struct Environment<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    /// `OTEL_EXPORTER_OTLP_<signal>_<name>`, else `OTEL_EXPORTER_OTLP_<name>`: the name that was found, and its value.
    fn of(&self, signal: &str, name: &str) -> Option<(String, String)> {
        let names = [
            format!("OTEL_EXPORTER_OTLP_{signal}_{name}"),
            format!("OTEL_EXPORTER_OTLP_{name}"),
        ];
        names
            .into_iter()
            .find_map(|name| self.get(&name).map(|value| (name, value)))
    }

    fn millis(&self, name: &str, otherwise: Duration) -> Result<Duration, String> {
        let Some(value) = self.get(name) else {
            return Ok(otherwise);
        };
        match value.parse() {
            Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
            _ => Err(format!(
                "{name} is {value:?}: write milliseconds, such as {}",
                otherwise.as_millis()
            )),
        }
    }
}

impl Settings {
    /// Reads the settings: `endpoint` is the one of the command line. `None` where nothing is to be sent.
    pub fn read(
        endpoint: Option<&str>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        let environment = Environment(variable);
        let is = |name: &str, value: &str| {
            let found = environment.get(name);
            found.is_some_and(|found| found.eq_ignore_ascii_case(value))
        };
        if is("OTEL_SDK_DISABLED", "true") {
            return Ok(None);
        }
        let wanted = |signal: &str, path: &str| {
            if is(&format!("OTEL_{signal}_EXPORTER"), "none") {
                return Ok(None);
            }
            target(&environment, endpoint, signal, path)
        };
        let settings = Self {
            traces: wanted("TRACES", "v1/traces")?,
            metrics: wanted("METRICS", "v1/metrics")?,
            every: environment.millis("OTEL_METRIC_EXPORT_INTERVAL", EVERY)?,
            authorities: environment
                .get("OTEL_EXPORTER_OTLP_CERTIFICATE")
                .map(Into::into),
        };
        let any = settings.traces.is_some() || settings.metrics.is_some();
        Ok(any.then_some(settings))
    }
}

fn target(
    environment: &Environment<'_>,
    endpoint: Option<&str>,
    signal: &str,
    path: &str,
) -> Result<Option<Target>, String> {
    let own = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
    let (name, url) = match (environment.get(&own), endpoint) {
        (Some(url), _) => (own, url),
        (None, Some(base)) => {
            let base = base.trim_end_matches('/');
            ("--otlp-endpoint".to_owned(), format!("{base}/{path}"))
        }
        (None, None) => return Ok(None),
    };
    if let Some((name, protocol)) = environment.of(signal, "PROTOCOL")
        && protocol != "http/protobuf"
    {
        return Err(format!(
            "{name} is {protocol:?}: Probity speaks http/protobuf only, which collectors take on port 4318"
        ));
    }
    if let Some((name, compression)) = environment.of(signal, "COMPRESSION")
        && compression != "none"
    {
        return Err(format!(
            "{name} is {compression:?}: Probity sends what it sends uncompressed; leave it unset"
        ));
    }
    let timeout = match environment.of(signal, "TIMEOUT") {
        Some((name, _)) => environment.millis(&name, TIMEOUT)?,
        None => TIMEOUT,
    };
    let headers = match environment.of(signal, "HEADERS") {
        Some((name, list)) => headers(&list).ok_or_else(|| {
            format!("{name} can't be read: write name=value,name=value, percent-encoded")
        })?,
        None => HeaderMap::new(),
    };
    Ok(Some(Target {
        uri: uri(&name, &url)?,
        headers,
        timeout,
    }))
}

fn uri(name: &str, url: &str) -> Result<Uri, String> {
    let bad = || format!("{name} is no URL: write one such as http://collector:4318");
    let uri: Uri = url.parse().map_err(|_| bad())?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    if known && uri.host().is_some_and(|host| !host.is_empty()) {
        Ok(uri)
    } else {
        Err(bad())
    }
}

/// Headers as `name=value,name=value` with percent-encoded values. What is wrong is not repeated: it may be a password.
fn headers(list: &str) -> Option<HeaderMap> {
    let pairs = list.split(',').filter(|pair| !pair.trim().is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let name: HeaderName = name.trim().parse().ok()?;
            let mut value = HeaderValue::from_bytes(&decoded(value.trim())?).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        })
        .collect()
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut found = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        found.push(if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
        } else {
            byte
        });
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(endpoint: Option<&str>, set: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        Settings::read(endpoint, &|name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn targets(endpoint: Option<&str>, set: &[(&str, &str)]) -> [Option<String>; 2] {
        let settings = read(endpoint, set).unwrap();
        let of = |target: Option<Target>| target.map(|target| target.uri.to_string());
        settings.map_or([None, None], |found| [of(found.traces), of(found.metrics)])
    }

    #[test]
    fn nothing_is_sent_unless_somebody_says_where() {
        assert_eq!(read(None, &[]), Ok(None));
        assert_eq!(read(None, &[("OTEL_SERVICE_NAME", "x")]), Ok(None));
        let base = Some("http://c:4318");
        assert_eq!(read(base, &[("OTEL_SDK_DISABLED", "true")]), Ok(None));
        let off = [
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_METRICS_EXPORTER", "none"),
        ];
        assert_eq!(read(base, &off), Ok(None));
    }

    #[test]
    fn each_signal_has_its_path_below_the_endpoint_or_an_endpoint_of_its_own() {
        let below = |base: &str| {
            let at = |path: &str| Some(format!("{base}/{path}"));
            [at("v1/traces"), at("v1/metrics")]
        };
        assert_eq!(targets(Some("http://c:4318"), &[]), below("http://c:4318"));
        assert_eq!(
            targets(Some("https://c/otlp/"), &[]),
            below("https://c/otlp")
        );
        let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m:1/push");
        let push = Some("http://m:1/push".to_owned());
        assert_eq!(targets(None, &[own]), [None, push.clone()]);
        let traces = Some("http://c:4318/v1/traces".to_owned());
        assert_eq!(
            targets(Some("http://c:4318"), &[own]),
            [traces.clone(), push]
        );
        let off = ("OTEL_METRICS_EXPORTER", "None");
        assert_eq!(targets(Some("http://c:4318"), &[off]), [traces, None]);
    }

    #[test]
    fn headers_and_times_are_those_of_the_signal_else_the_common_ones() {
        let settings = read(
            Some("http://c:4318"),
            &[
                (
                    "OTEL_EXPORTER_OTLP_HEADERS",
                    "authorization=Bearer%20a%2Cb, x-scope = team",
                ),
                ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "api-key=k"),
                ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "250"),
                ("OTEL_METRIC_EXPORT_INTERVAL", "1500"),
                ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ],
        );
        let settings = settings.unwrap().unwrap();
        let (traces, metrics) = (settings.traces.unwrap(), settings.metrics.unwrap());
        assert_eq!(metrics.headers["authorization"], "Bearer a,b");
        assert_eq!(metrics.headers["x-scope"], "team");
        assert_eq!(traces.headers.len(), 1);
        assert_eq!(traces.headers["api-key"], "k");
        assert_eq!(traces.timeout, TIMEOUT);
        assert_eq!(metrics.timeout, Duration::from_millis(250));
        assert_eq!(settings.every, Duration::from_millis(1500));
        assert_eq!(settings.authorities, Some("/ca.pem".into()));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_what_to_write_and_no_password() {
        let wrong = [
            (Some("collector:4318"), None, "--otlp-endpoint is no URL"),
            (Some("grpc://c:4317"), None, "--otlp-endpoint is no URL"),
            (Some("http://"), None, "--otlp-endpoint is no URL"),
            (
                None,
                Some(("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "c d")),
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is no URL",
            ),
            (
                Some("http://c"),
                Some(("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")),
                "http/protobuf only",
            ),
            (
                Some("http://c"),
                Some(("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")),
                "uncompressed",
            ),
            (
                Some("http://c"),
                Some(("OTEL_EXPORTER_OTLP_TIMEOUT", "5s")),
                "write milliseconds",
            ),
            (
                Some("http://c"),
                Some(("OTEL_METRIC_EXPORT_INTERVAL", "0")),
                "write milliseconds",
            ),
            (
                Some("http://c"),
                Some(("OTEL_EXPORTER_OTLP_HEADERS", "hunter2")),
                "name=value",
            ),
            (
                Some("http://c"),
                Some(("OTEL_EXPORTER_OTLP_HEADERS", "a=%zhunter2")),
                "name=value",
            ),
        ];
        for (endpoint, set, said) in wrong {
            let error = read(endpoint, set.as_slice()).unwrap_err();
            assert!(
                error.contains(said) && !error.contains("hunter2"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_log_names_the_server_without_credentials() {
        let settings = read(Some("https://me:hunter2@c:4318/x?token=hunter2"), &[]);
        let target = settings.unwrap().unwrap().traces.unwrap();
        assert_eq!(target.server(), "c:4318");
    }
}
