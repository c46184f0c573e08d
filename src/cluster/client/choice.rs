//! Which cluster is meant, and as whom: what kubectl's arguments choose instead of the kubeconfig.

use std::{path::PathBuf, time::Duration};

use kube::config::{Config, Kubeconfig, KubeconfigError};

use super::{ConnectError, chain};

/// What was chosen on a command line. What is `None` or empty is as the kubeconfig says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Choice {
    /// File; else `KUBECONFIG`, the home folder, or the pod.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    pub context: Option<String>,
    /// Cluster of the kubeconfig, instead of the context's.
    pub cluster: Option<String>,
    /// User of the kubeconfig, instead of the context's.
    pub user: Option<String>,
    /// Address of the API server.
    pub server: Option<String>,
    /// Bearer token, instead of the user's credentials.
    pub token: Option<String>,
    /// User to impersonate.
    pub impersonate: Option<String>,
    /// Groups to impersonate.
    pub groups: Vec<String>,
    /// Uid to impersonate.
    pub uid: Option<String>,
    /// File with the authorities that the server's certificate may come from.
    pub authority: Option<PathBuf>,
    /// Name that the server's certificate must carry, instead of the address.
    pub server_name: Option<String>,
    /// Whether any server's certificate will do.
    pub insecure: bool,
    /// File with a certificate, instead of the user's credentials.
    pub certificate: Option<PathBuf>,
    /// File with the certificate's key.
    pub key: Option<PathBuf>,
    /// Time after which a request is given up that is not answered.
    pub timeout: Option<Duration>,
}

impl Choice {
    /// The configuration that it leads to. A credential plugin may run.
    pub(super) fn load(&self) -> Result<Config, ConnectError> {
        let mut config = match self.kubeconfig()? {
            Some(kubeconfig) => {
                Config::try_from(kubeconfig).map_err(|error| self.broken(&error))?
            }
            None => Config::incluster().map_err(|error| ConnectError::Nowhere {
                reason: chain(&error),
            })?,
        };
        self.override_user(&mut config);
        Ok(config)
    }

    fn override_user(&self, config: &mut Config) {
        let user = &mut config.auth_info;
        if self.token.is_some() || self.certificate.is_some() {
            // Whoever passes credentials means just those.
            let path = |path: &PathBuf| path.display().to_string();
            *user = kube::config::AuthInfo {
                token: self.token.clone().map(Into::into),
                client_certificate: self.certificate.as_ref().map(path),
                client_key: self.key.as_ref().map(path),
                ..Default::default()
            };
        }
        if self.impersonate.is_some() {
            user.impersonate.clone_from(&self.impersonate);
            user.impersonate_groups = (!self.groups.is_empty()).then(|| self.groups.clone());
            user.impersonate_uid.clone_from(&self.uid);
        }
    }

    /// The kubeconfig with what was chosen in it; `None` in a pod.
    fn kubeconfig(&self) -> Result<Option<Kubeconfig>, ConnectError> {
        let read = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let chosen = self.context.is_some() || self.cluster.is_some() || self.user.is_some();
        let mut kubeconfig = match read {
            Ok(kubeconfig) => kubeconfig,
            // Only an absent file means "we are in a pod". A broken one must not lead to another cluster than was meant.
            Err(error) if self.kubeconfig.is_none() && !chosen && is_absent(&error) => {
                let Some(server) = &self.server else {
                    return Ok(None);
                };
                bare(server)
            }
            Err(error) => return Err(self.broken(&error)),
        };
        self.choose_context(&mut kubeconfig)?;
        self.choose_in_context(&mut kubeconfig)?;
        Ok(Some(kubeconfig))
    }

    fn choose_context(&self, kubeconfig: &mut Kubeconfig) -> Result<(), ConnectError> {
        let Some(name) = &self.context else {
            return Ok(());
        };
        let known = kubeconfig.contexts.iter().map(|known| known.name.as_str());
        let known: Vec<&str> = known.collect();
        if !known.contains(&name.as_str()) {
            return Err(ConnectError::Context {
                name: name.clone(),
                file: self.file(),
                known: listed(&known),
            });
        }
        kubeconfig.current_context = Some(name.clone());
        Ok(())
    }

    fn choose_in_context(&self, kubeconfig: &mut Kubeconfig) -> Result<(), ConnectError> {
        let current = kubeconfig.current_context.clone().unwrap_or_default();
        let context = kubeconfig
            .contexts
            .iter_mut()
            .find(|known| known.name == current)
            .and_then(|known| known.context.as_mut());
        let Some(context) = context else {
            return Ok(()); // kube says what is wrong with it
        };
        if let Some(name) = &self.cluster {
            let known = kubeconfig.clusters.iter().map(|known| known.name.as_str());
            self.must_have("cluster", name, &known.collect::<Vec<_>>())?;
            context.cluster.clone_from(name);
        }
        if let Some(name) = &self.user {
            let known = kubeconfig.auth_infos.iter();
            let known = known.map(|known| known.name.as_str());
            self.must_have("user", name, &known.collect::<Vec<_>>())?;
            context.user = Some(name.clone());
        }
        let cluster = kubeconfig
            .clusters
            .iter_mut()
            .find(|known| known.name == context.cluster)
            .and_then(|known| known.cluster.as_mut());
        let Some(cluster) = cluster else {
            return Ok(());
        };
        if let Some(path) = &self.authority {
            cluster.certificate_authority_data = None;
            cluster.certificate_authority = Some(path.display().to_string());
        }
        if self.server_name.is_some() {
            cluster.tls_server_name.clone_from(&self.server_name);
        }
        if self.insecure {
            cluster.insecure_skip_tls_verify = Some(true);
        }
        let user = kubeconfig.auth_infos.iter();
        let mut user = user.filter(|known| Some(&known.name) == context.user.as_ref());
        let known = user.any(|known| known.auth_info.is_some());
        let known = known || self.token.is_some() || self.certificate.is_some();
        if self.server.is_some() {
            cluster.server.clone_from(&self.server);
        }
        if let Some(server) = &cluster.server {
            let full = with_scheme(server, known || is_secured(cluster));
            if self.server.is_some() {
                full.parse::<http::Uri>()
                    .map_err(|error| ConnectError::Argument {
                        argument: "--server",
                        value: server.clone(),
                        reason: error.to_string(),
                    })?;
            }
            cluster.server = Some(full);
        }
        Ok(())
    }

    fn must_have(
        &self,
        what: &'static str,
        name: &str,
        known: &[&str],
    ) -> Result<(), ConnectError> {
        if known.contains(&name) {
            return Ok(());
        }
        Err(ConnectError::Entry {
            what,
            name: name.to_owned(),
            file: self.file(),
            known: listed(known),
        })
    }

    /// The file, or where it is looked for.
    fn file(&self) -> String {
        self.kubeconfig.as_ref().map_or_else(
            || "the kubeconfig (KUBECONFIG or ~/.kube/config)".to_owned(),
            |path| path.display().to_string(),
        )
    }

    fn broken(&self, error: &KubeconfigError) -> ConnectError {
        ConnectError::Kubeconfig {
            file: self.file(),
            reason: undrawn(&chain(error)),
        }
    }
}

/// What the reader of YAML says, without its drawing of where it stopped.
fn undrawn(said: &str) -> String {
    let said = said.split(" --> <input>").next().unwrap_or_default();
    said.trim_end().to_owned()
}

/// An address with the scheme that it lacks. Source: `DefaultServerURL` of client-go, which takes `http://` where neither
/// authorities nor a client's certificate are known; but credentials of any kind are never sent in the clear for want of a
/// word.
fn with_scheme(server: &str, secured: bool) -> String {
    match (server.contains("://"), secured) {
        (true, _) => server.to_owned(),
        (false, true) => format!("https://{server}"),
        (false, false) => format!("http://{server}"),
    }
}

/// Whether a kubeconfig says how TLS to a cluster is.
fn is_secured(cluster: &kube::config::Cluster) -> bool {
    cluster.certificate_authority.is_some()
        || cluster.certificate_authority_data.is_some()
        || cluster.insecure_skip_tls_verify == Some(true)
}

/// A kubeconfig that knows an address, and nobody.
fn bare(server: &str) -> Kubeconfig {
    use kube::config::{Cluster, Context, NamedCluster, NamedContext};
    let name = || "chosen".to_owned();
    Kubeconfig {
        current_context: Some(name()),
        clusters: vec![NamedCluster {
            name: name(),
            cluster: Some(Cluster {
                server: Some(server.to_owned()),
                ..Cluster::default()
            }),
            ..NamedCluster::default()
        }],
        contexts: vec![NamedContext {
            name: name(),
            context: Some(Context {
                cluster: name(),
                ..Context::default()
            }),
            ..NamedContext::default()
        }],
        ..Kubeconfig::default()
    }
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn is_absent(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(source, _) => source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "one",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}},
                     {"name": "d", "cluster": {"server": "https://127.0.0.1:2"}}],
        "users": [{"name": "u", "user": {"token": "t"}}, {"name": "v", "user": {"token": "w"}}],
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}]}"#;

    fn load(choice: Choice) -> Result<Config, ConnectError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), TWO).unwrap();
        let kubeconfig = Some(file.path().to_owned());
        Choice {
            kubeconfig,
            ..choice
        }
        .load()
    }

    fn token(config: &Config) -> String {
        let user = serde_json::to_value(&config.auth_info).unwrap();
        user["token"].as_str().unwrap().to_owned()
    }

    #[test]
    fn cluster_and_user_are_chosen_apart_from_the_context() {
        let config = load(Choice {
            cluster: Some("d".to_owned()),
            user: Some("v".to_owned()),
            ..Choice::default()
        });
        let config = config.unwrap();
        assert_eq!(config.cluster_url.to_string(), "https://127.0.0.1:2/");
        assert_eq!(token(&config), "w");
    }

    #[test]
    fn what_is_not_in_the_kubeconfig_is_named_with_what_is() {
        let unknown = load(Choice {
            cluster: Some("e".to_owned()),
            ..Choice::default()
        });
        let said = unknown.unwrap_err().to_string();
        assert!(said.starts_with("there is no cluster \"e\" in "), "{said}");
        assert!(said.ends_with("it has: c, d"), "{said}");
        let unknown = load(Choice {
            user: Some("x".to_owned()),
            ..Choice::default()
        });
        let said = unknown.unwrap_err().to_string();
        assert!(said.ends_with("it has: u, v"), "{said}");
    }

    #[test]
    fn address_token_and_impersonation_replace_what_the_kubeconfig_says() {
        let config = load(Choice {
            server: Some("https://127.0.0.1:3".to_owned()),
            token: Some("given".to_owned()),
            impersonate: Some("jane".to_owned()),
            groups: vec!["team".to_owned()],
            insecure: true,
            ..Choice::default()
        });
        let config = config.unwrap();
        assert_eq!(config.cluster_url.to_string(), "https://127.0.0.1:3/");
        assert_eq!(token(&config), "given");
        assert_eq!(config.auth_info.impersonate.as_deref(), Some("jane"));
        assert_eq!(
            config.auth_info.impersonate_groups,
            Some(vec!["team".to_owned()])
        );
        assert!(config.accept_invalid_certs);
    }

    #[test]
    fn an_address_without_a_scheme_gets_one_and_credentials_are_never_sent_in_the_clear() {
        let of = |server: &str, token: Option<&str>| {
            let config = load(Choice {
                server: Some(server.to_owned()),
                token: token.map(str::to_owned),
                ..Choice::default()
            });
            config.unwrap().cluster_url.to_string()
        };
        assert_eq!(of("foo", None), "https://foo/");
        assert_eq!(of("foo:6443", Some("t")), "https://foo:6443/");
        assert_eq!(of("http://foo:6443", None), "http://foo:6443/");
        let kubeconfig = tempfile::NamedTempFile::new().unwrap();
        let written = |server: &str, more: &str| {
            let text = format!(
                r#"{{"apiVersion": "v1", "kind": "Config", "current-context": "one",
                "clusters": [{{"name": "c", "cluster": {{"server": "{server}"{more}}}}}],
                "contexts": [{{"name": "one", "context": {{"cluster": "c"}}}}]}}"#
            );
            std::fs::write(kubeconfig.path(), text).unwrap();
            let choice = Choice {
                kubeconfig: Some(kubeconfig.path().to_owned()),
                ..Choice::default()
            };
            choice.load().unwrap().cluster_url.to_string()
        };
        let insecure = r#", "insecure-skip-tls-verify": true"#;
        assert_eq!(written("127.0.0.1:1", insecure), "https://127.0.0.1:1/");
        assert_eq!(written("localhost", ""), "http://localhost/");
    }

    #[test]
    fn a_certificate_replaces_the_users_credentials() {
        let config = load(Choice {
            certificate: Some("c.pem".into()),
            key: Some("k.pem".into()),
            ..Choice::default()
        });
        let user = serde_json::to_value(&config.unwrap().auth_info).unwrap();
        let wanted = serde_json::json!({ "client-certificate": "c.pem", "client-key": "k.pem" });
        let given = user.as_object().unwrap().iter();
        let given = given.filter(|(_, value)| !value.is_null());
        let given: serde_json::Map<_, _> = given.map(|(k, v)| (k.clone(), v.clone())).collect();
        assert_eq!(serde_json::Value::from(given), wanted);
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        let refused = load(Choice {
            server: Some("not an address".to_owned()),
            ..Choice::default()
        });
        let said = refused.unwrap_err().to_string();
        assert!(said.starts_with("--server \"not an address\""), "{said}");
    }
}
