//! Opening the log: its key, what is known of it elsewhere, and what it says.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::{
    cli::Failure,
    cluster::anchors::{self, Places},
    engine::Memory,
    evidence::{
        Answer, Body, Identity, LogError, Position, Reader, body::Content, epochs,
        journal::Journal, key::PrivateKey,
    },
    operator::Anchoring,
};

/// The log, and what it says.
pub(super) struct Opened {
    pub(super) memory: Memory,
    pub(super) previous_end: Option<Position>,
    pub(super) journal: (Journal, UnboundedReceiver<Answer>),
    pub(super) anchoring: Anchoring,
    /// Its folder.
    pub(super) dir: PathBuf,
}

/// Compares the log with what is known of it elsewhere, opens it, and recalls what it says.
pub(super) async fn open(
    data: &Path,
    key: &PrivateKey,
    places: Places,
    client: &kube::Client,
    cluster: &str,
) -> Result<Opened, Failure> {
    let replica = places.log();
    let identity = Identity {
        cluster,
        replica: &replica,
    };
    let known = anchors::known(client, &places, &identity.logs())
        .await
        .map_err(|error| {
            format!(
                "can't read EvidenceLog/{}, with which the log is to be compared: {error}",
                places.log()
            )
        })?;
    for problem in &known.problems {
        tracing::warn!(
            problem,
            "The log can't be compared with a checkpoint that may be kept there"
        );
    }
    let explain = |error: &LogError| unusable(data, error);
    let (mut opened, mut memory) = (
        epochs::open(data, identity, key, &known.heads, Timestamp::now())
            .map_err(|error| explain(&error))?,
        Memory::default(),
    );
    if let Err(damage) = recall(data, &mut memory).map_err(|error| explain(&error))? {
        drop(opened);
        let now = Timestamp::now();
        opened = epochs::open_unless(data, identity, key, &known.heads, now, Some(damage))
            .map_err(|error| explain(&error))?;
    }
    let epochs::Opened {
        log,
        recovered,
        begun,
        first,
        dir,
    } = opened;
    match begun {
        Some(epoch) if epoch.is_break() => {
            tracing::error!(log = epoch.origin, cause = %epoch.cause, "A new log begins: the one before could not go on");
        }
        Some(epoch) => tracing::info!(log = epoch.origin, key = epoch.key, "A log begins"),
        None => {}
    }
    if let Some(torn) = &recovered.torn {
        tracing::warn!(
            ?torn,
            "The last write of the log was torn by a crash and was cut off"
        );
    }
    key.settle(data).map_err(|error| explain(&error))?;
    let published = log.published();
    let origin = published.map_or_else(String::new, |head| head.checkpoint.origin);
    let known_places = known.places_of(&origin);
    let signer = key.signer(&origin).map_err(|error| explain(&error))?;
    Ok(Opened {
        memory,
        previous_end: recovered.previous_end,
        journal: Journal::new(log),
        anchoring: Anchoring {
            places: Places {
                log_folder: dir.clone(),
                ..places
            },
            known: known_places,
            key: signer.verifier().to_string(),
            epoch: first,
        },
        dir,
    })
}

pub(super) fn unusable(data: &Path, error: &LogError) -> Failure {
    format!(
        "the evidence log in {} can't be used: {error}",
        data.display()
    )
}

/// Recalls what all logs say. What is damaged of an earlier log is left out: that log is over, and the next one has said so.
/// Damage of the latest log is returned: it must not go on.
fn recall(data: &Path, memory: &mut Memory) -> Result<Result<(), LogError>, LogError> {
    let mut entries = Reader::open(data)?.past_damage();
    let mut whole = Ok(());
    while let Some(entry) = entries.next() {
        match entry {
            Ok(mut entry) => {
                load_listing(&mut entry.body, entries.folder());
                memory.recall(entry);
            }
            Err(error) if error.is_damage() => whole = Err(error),
            Err(error) => return Err(error),
        }
    }
    for damage in entries.damaged() {
        tracing::warn!(
            damage,
            "An earlier log is damaged: its rest is not recalled"
        );
    }
    Ok(whole)
}

/// Takes the listing of a review from its blob. Where that is not possible the review is held against no listing, and listed
/// anew or refused.
fn load_listing(body: &mut Body, folder: &Path) {
    if let Body::Review(said) = body
        && let Some(content @ Content::Blob(_)) = &mut said.decision
    {
        match content.load(folder) {
            Ok(rows) => *content = Content::Inline(rows),
            Err(error) => {
                tracing::warn!(%error, review = %said.name, "The listing of a review can't be read");
            }
        }
    }
}

/// The key that signs the log, with the one that it replaces: the files that were given, or those in the data folder, if it
/// holds one.
pub(super) fn signing_key(
    data: &Path,
    given: Option<&Path>,
    previous: Option<&Path>,
) -> Result<Option<PrivateKey>, LogError> {
    let in_data = data.join("key");
    let Some(path) = given else {
        let known = PrivateKey::read(&in_data)?.is_some();
        return known.then(|| PrivateKey::of_data(data)).transpose();
    };
    let read = |path: &Path| {
        PrivateKey::read(path)?.ok_or_else(|| LogError::Key {
            path: path.to_owned(),
            reason: "there is no such file".to_owned(),
        })
    };
    let key = read(path)?;
    let before = match previous {
        Some(path) => Some(read(path)?),
        None => PrivateKey::read(&in_data)?,
    };
    Ok(Some(match before {
        Some(before) => key.replacing(before),
        None => key,
    }))
}
