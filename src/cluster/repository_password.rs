//! Whether the password of Velero's repositories is the one that is printed in Velero's source.
//!
//! Rights: `get` on the Secret `velero-repo-credentials` in Velero's namespace. The password is
//! compared and dropped at once: it is neither logged nor kept.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use super::servers::within;
use crate::{engine::Password, inventory::Sym};

/// The Secret with the password of the repositories of all namespaces.
pub const SECRET: &str = "velero-repo-credentials";
/// Its key.
const KEY: &str = "repository-password";
/// What Velero writes there where nobody has written anything: `pkg/repository/keys` of its source.
const BUILT_IN: &[u8] = b"static-passw0rd";

/// Looks at the password in each of these namespaces.
pub async fn look(client: &Client, namespaces: &[String]) -> BTreeMap<Sym, Password> {
    let mut found = BTreeMap::new();
    for namespace in namespaces {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let password = match within(secrets.get_opt(SECRET)).await {
            Ok(secret) => judge(secret.as_ref()),
            Err(error) => {
                Password::NotSeen(format!("can't get Secret {namespace}/{SECRET}: {error}"))
            }
        };
        found.insert(namespace.as_str().into(), password);
    }
    found
}

fn judge(secret: Option<&Secret>) -> Password {
    let data = secret.and_then(|secret| secret.data.as_ref());
    match data.and_then(|data| data.get(KEY)) {
        None => Password::Missing,
        Some(password) if password.0 == BUILT_IN => Password::BuiltIn,
        Some(_) => Password::Own,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(data: &Value) -> Password {
        let secret: Secret = serde_json::from_value(json!({ "data": data })).unwrap();
        judge(Some(&secret))
    }

    #[test]
    fn only_the_built_in_password_is_told_apart() {
        // The constant in base64, as `kubectl get` shows it.
        assert_eq!(
            of(&json!({ KEY: "c3RhdGljLXBhc3N3MHJk" })),
            Password::BuiltIn
        );
        assert_eq!(of(&json!({ KEY: "aHVudGVyMg==" })), Password::Own);
        assert_eq!(
            of(&json!({ "other": "c3RhdGljLXBhc3N3MHJk" })),
            Password::Missing
        );
        assert_eq!(of(&Value::Null), Password::Missing);
        assert_eq!(judge(None), Password::Missing);
    }
}
