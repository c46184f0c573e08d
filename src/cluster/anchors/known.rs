//! What is known of a log where its heads are kept, asked at the start.

use std::time::Duration;

use kube::Client;

use super::{Place, Places, config_maps, map_name, of_map, of_status};
use crate::{
    api::AnchorStatus,
    cluster::client::{CallError, deadline, within},
    evidence::body::Anchored,
};

/// How long a place may take at the start, when the log is compared with what it knows.
const AT_START: Duration = Duration::from_secs(15);

/// What is known elsewhere of the logs of this replica.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Heads.
    pub heads: Vec<Anchored>,
    /// What the `EvidenceLog` said of each place.
    pub places: Vec<AnchorStatus>,
    /// The log of which it said that.
    pub origin: String,
    /// What could not be asked, as sentences.
    pub problems: Vec<String>,
}

impl Known {
    /// What was said of each place, as far as it is true of a log of this name: of another one, that only tells when a place
    /// last took anything.
    pub fn places_of(self, origin: &str) -> Vec<AnchorStatus> {
        let same = self.origin == origin;
        let places = self.places.into_iter();
        let of_another = |place: AnchorStatus| AnchorStatus {
            size: 0,
            problem: None,
            ..place
        };
        places
            .map(|place| if same { place } else { of_another(place) })
            .collect()
    }
}

/// Asks everywhere at once. `logs` is how the names of this replica's logs begin.
///
/// Fails where the `EvidenceLog` can't be read for a reason that passes: without it, a log that was rolled back would go on.
pub async fn known(client: &Client, places: &Places, logs: &str) -> Result<Known, CallError> {
    let (told, map, folder, bucket) = futures::join!(
        known_log(client, places),
        known_map(client, places),
        known_folder(places),
        known_bucket(places, logs),
    );
    let mut known = told?;
    for (place, found) in [
        (Place::ConfigMap, map),
        (Place::Folder, folder),
        (Place::Bucket, bucket),
    ] {
        match found {
            Ok(heads) => known.heads.extend(heads),
            Err(problem) => known
                .problems
                .push(format!("{}: {problem}", places.target(place))),
        }
    }
    Ok(known)
}

async fn known_log(client: &Client, places: &Places) -> Result<Known, CallError> {
    let mut known = Known::default();
    match within(deadline::READ, super::logs(client).get_opt(&places.log())).await {
        Ok(Some(log)) => {
            if let Some(status) = log.status {
                known.heads.extend(of_status(&places.log(), &status));
                known.places = status.anchors;
                known.origin = status.origin;
            }
        }
        Ok(None) => {}
        Err(error @ CallError::Forbidden { .. }) => {
            known
                .problems
                .push(format!("{}: {error}", places.target(Place::EvidenceLog)));
        }
        Err(error) => return Err(error),
    }
    Ok(known)
}

async fn known_map(client: &Client, places: &Places) -> Result<Vec<Anchored>, String> {
    let Some(namespace) = &places.config_map else {
        return Ok(Vec::new());
    };
    let maps = config_maps(client, namespace);
    let map = within(deadline::READ, maps.get_opt(&map_name(places))).await;
    let map = map.map_err(|error| error.to_string())?;
    Ok(map
        .and_then(|map| of_map(places, namespace, &map))
        .into_iter()
        .collect())
}

async fn known_folder(places: &Places) -> Result<Vec<Anchored>, String> {
    match &places.folder {
        Some(folder) => folder.known(AT_START).await,
        None => Ok(Vec::new()),
    }
}

async fn known_bucket(places: &Places, logs: &str) -> Result<Vec<Anchored>, String> {
    match &places.bucket {
        Some(bucket) => Ok(bucket.known(AT_START, logs).await?.into_iter().collect()),
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_of_one_log_is_not_kept_of_another() {
        let place = AnchorStatus {
            target: "t".to_owned(),
            size: 7,
            time: None,
            problem: Some("no".to_owned()),
        };
        let known = Known {
            places: vec![place.clone()],
            origin: "a".to_owned(),
            ..Known::default()
        };
        assert_eq!(known.clone().places_of("a"), [place]);
        let other = &known.places_of("b")[0];
        assert_eq!((other.size, &other.problem), (0, &None));
    }
}
