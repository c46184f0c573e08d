//! What the API server has in the place of each of our guardrails.
//!
//! Rights: `get` on each of them, by name.

use std::{path::Path, time::Duration};

use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::servers::within;
use crate::evidence::blob::hex;
use crate::guardrails::{Guard, Guardrails, Manifest, Seen, Source};

/// What differs is looked at again after so long: an upgrade writes one object after the other.
const AGAIN: Duration = Duration::from_secs(10);

/// Where the manifest of the release is, and what is known of it.
#[derive(Debug, Clone)]
pub struct ReleaseManifest {
    /// The file.
    pub file: std::path::PathBuf,
    /// Its SHA-256 in hex, as the release says it.
    pub digest: String,
}

/// Looks at all of them.
pub async fn look(client: &Client, release: Option<&ReleaseManifest>) -> Guardrails {
    let (source, manifest) = if let Some(release) = release {
        read(&release.file, &release.digest).await
    } else {
        let why = "the program was not told of one: install it with its chart";
        (Source::NotThere(why.to_owned()), None)
    };
    let mut found = Guardrails {
        at: Timestamp::now(),
        source,
        seen: [].into(),
    };
    let Some(manifest) = manifest else {
        return found;
    };
    found.seen = compare(client, &manifest).await;
    if found.seen.values().any(Seen::is_broken) {
        tokio::time::sleep(AGAIN).await;
        found.seen = compare(client, &manifest).await;
    }
    found.seen.extend(manifest.switched_off());
    found.at = Timestamp::now();
    found
}

/// Reads the manifest. What somebody has altered is compared with nonetheless: not all of it is.
async fn read(file: &Path, digest: &str) -> (Source, Option<Manifest>) {
    let text = match tokio::fs::read_to_string(file).await {
        Ok(text) => text,
        Err(error) => {
            let why = format!("the manifest {} can't be read: {error}", file.display());
            return (Source::NotThere(why), None);
        }
    };
    let found = hex(&Sha256::digest(&text));
    let manifest = match Manifest::parse(&text, digest) {
        Ok(manifest) => manifest,
        Err(why) => return (Source::Altered(why), None),
    };
    let ours = env!("CARGO_PKG_VERSION");
    let source = if found != digest {
        let why = format!("its SHA-256 is {found}, and the release says {digest}");
        Source::Altered(why)
    } else if manifest.release.version != ours {
        let version = &manifest.release.version;
        Source::Other(format!("it is of version {version}, and this is {ours}"))
    } else {
        Source::Ours
    };
    (source, Some(manifest))
}

async fn compare(client: &Client, manifest: &Manifest) -> std::collections::BTreeMap<Guard, Seen> {
    let mut seen = std::collections::BTreeMap::new();
    let mut upgraded = false;
    // The first is our own workload.
    for (at, guard) in manifest.guards().enumerate() {
        let said = match get(client, guard).await {
            Ok(found) => {
                if at == 0 {
                    let found = found.as_ref();
                    upgraded = found.is_some_and(|found| manifest.is_upgraded(found));
                }
                manifest.compare(guard, found.as_ref())
            }
            Err(why) => Seen::NotSeen(why),
        };
        let said = if upgraded && said.is_broken() {
            Seen::Upgrading
        } else {
            said
        };
        seen.insert(guard.clone(), said);
    }
    seen
}

async fn get(client: &Client, guard: &Guard) -> Result<Option<Value>, String> {
    let Guard {
        kind,
        namespace,
        name,
    } = guard;
    let version = GroupVersionKind::gvk(kind.group(), "v1", kind.name());
    let resource = ApiResource::from_gvk_with_plural(&version, kind.plural());
    let objects: Api<DynamicObject> = if kind.is_namespaced() {
        Api::namespaced_with(client.clone(), namespace, &resource)
    } else {
        Api::all_with(client.clone(), &resource)
    };
    let found = within(objects.get_opt(name)).await;
    let found = found.map_err(|error| format!("it can't be read: {error}"))?;
    found
        .map(|object| serde_json::to_value(object).map_err(|error| error.to_string()))
        .transpose()
}
