//! `probity review`: the rights that an `AccessReview` lists, and a decision about each.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::Args;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{
    Connect, Failure,
    approve::{myself, objects, parse},
    pass,
};
use crate::{
    analysis::{
        Derived, from_scratch,
        rights::{
            Rights,
            listing::{Row, part_of},
        },
    },
    api::{AccessReview, ObservedReview, PeopleKind, PeopleObject, Review, RowDecision},
    cluster::client::{CallError, deadline, within},
    engine::{Event, OWNER_LABEL, listed_in},
    inventory::{Inventory, Kind},
    words::many,
};

/// Arguments of `probity review`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    connect: Connect,
    /// The `AccessReview`.
    #[arg(value_name = "NAME")]
    name: String,
    /// Row that is to be revoked, by its id; can be given several times.
    #[arg(long, value_name = "ID", requires = "keep_others")]
    revoke: Vec<String>,
    /// Write the decisions: all rows that are not to be revoked are kept.
    #[arg(long)]
    keep_others: bool,
    /// The frozen listing as a JSON file, where rights have changed since.
    #[arg(long, value_name = "FILE")]
    listing: Option<PathBuf>,
    /// Label of namespaces that names the owner of what is in them.
    #[arg(long, value_name = "LABEL", default_value = OWNER_LABEL)]
    owner_label: String,
}

/// Prints the rows, and writes the decisions where they are given.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    // Before anything is asked for: what is wrong with the file is known without a cluster.
    let listing = arguments.listing.as_deref().map(read_listing).transpose()?;
    let (connection, _) = arguments.connect.open().await?;
    let client = &connection.client;
    let name = &arguments.name;
    let reviews = objects(client.clone(), PeopleKind::Review, "");
    let found = within(deadline::READ, reviews.get(name)).await;
    let found = found.map_err(|error| format!("AccessReview {name} can't be read: {error}"))?;
    let PeopleObject::Review(object) = parse(PeopleKind::Review, &found)? else {
        return Err(format!("{name} is no AccessReview"));
    };
    let status = object.status.as_ref();
    let review = status.and_then(|status| status.review.as_ref());
    let observed = match review {
        Some(review) if arguments.keep_others => {
            return Err(format!(
                "AccessReview {name} is reviewed by {} already: that stands",
                review.by
            ));
        }
        Some(_) => None,
        None => Some(frozen(&object)?),
    };
    let rows = match listing {
        Some(rows) => rows,
        None => rows_now(&arguments, &object, client).await?,
    };
    let Some(observed) = observed else {
        print!(
            "{}",
            review.map_or_else(String::new, |review| decided(review, &rows))
        );
        return Ok(());
    };
    let sha256 = observed.sha256.clone().unwrap_or_default();
    let same = digest(&rows)? == sha256;
    for row in &rows {
        println!("{}", line(row));
        for rule in &row.rules {
            println!("    {rule}");
        }
    }
    if !same {
        return Err(format!(
            "these are not the {} that were frozen ({sha256}): rights have changed since. Give \
             the frozen listing, which is in the evidence log, by --listing, or make another review",
            many(observed.rows, "row")
        ));
    }
    if !arguments.keep_others {
        println!(
            "\n{}; decide with --revoke ID … --keep-others",
            many(rows.len(), "row")
        );
        return Ok(());
    }
    let review = decide(
        &rows,
        &arguments.revoke,
        myself(client.clone()).await?,
        sha256,
    )?;
    let (by, decided) = (review.by.clone(), many(review.rows.len(), "row"));
    let patch = json!({
        "metadata": {
            "uid": object.metadata.uid,
            "resourceVersion": object.metadata.resource_version,
        },
        "status": { "review": review },
    });
    let (parameters, patch) = (PatchParams::default(), Patch::Merge(patch));
    within(
        deadline::WRITE,
        reviews.patch_status(name, &parameters, &patch),
    )
    .await
    .map_err(|error| match error {
        CallError::Conflict { .. } => {
            format!("AccessReview {name} was changed meanwhile: look at it again")
        }
        error => format!("AccessReview {name} was not decided: {error}"),
    })?;
    let revoked = arguments.revoke.len();
    println!("\nAccessReview {name}: {decided} decided by {by}, {revoked} to be revoked");
    Ok(())
}

fn line(row: &Row) -> String {
    format!(
        "{}  {} by {} with {}",
        row.id, row.who, row.binding, row.role
    )
}

/// What was decided about each row, with what there is of it now: rights that were to be revoked should be gone.
fn decided(review: &Review, rows: &[Row]) -> String {
    let mut lines = Vec::new();
    for (id, decision) in &review.rows {
        let now = rows.iter().find(|row| row.id == *id).map(line);
        let now = now.unwrap_or_else(|| format!("{id}  (not there any more)"));
        let word = match decision {
            RowDecision::Keep => "keep",
            RowDecision::Revoke => "revoke",
        };
        lines.push(format!("{word:<6}  {now}\n"));
    }
    let revoked = review.rows.values();
    let revoked = revoked.filter(|decision| **decision == RowDecision::Revoke);
    lines.push(format!(
        "\nReviewed by {}: {}, {} to be revoked. That stands\n",
        review.by,
        many(review.rows.len(), "row"),
        revoked.count()
    ));
    lines.concat()
}

/// What the operator froze.
fn frozen(object: &AccessReview) -> Result<&ObservedReview, Failure> {
    let status = object.status.as_ref();
    status
        .and_then(|status| status.observed.as_ref())
        .filter(|observed| observed.sha256.is_some())
        .ok_or_else(|| {
            "its listing is not frozen yet: Probity does that as soon as a policy switches \
             rbacAccessReviewCurrent on"
                .to_owned()
        })
}

/// The rows of a frozen listing.
fn read_listing(path: &Path) -> Result<Vec<Row>, Failure> {
    let explain = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| explain(&error))?;
    serde_json::from_str(&text).map_err(|error| explain(&error))
}

/// The rows that the cluster would list now.
async fn rows_now(
    arguments: &Arguments,
    object: &AccessReview,
    client: &kube::Client,
) -> Result<Vec<Row>, Failure> {
    let mut inventory = Inventory::default();
    let mut problem = None;
    let kinds = Derived::Rights.reads().iter().copied();
    let kinds = kinds.chain([Kind::Namespace]).collect();
    pass::read(kinds, client, &mut |event| {
        if let Err(why) = take(&mut inventory, event) {
            problem.get_or_insert(why);
        }
    })
    .await?;
    if let Some(why) = problem {
        return Err(why);
    }
    let rights: Rights = from_scratch(&inventory);
    let all = listed_in(&rights, &inventory, &arguments.owner_label, object);
    Ok(part_of(all, object.spec.part))
}

/// Takes in what was listed.
fn take(inventory: &mut Inventory, event: Event) -> Result<(), Failure> {
    match event {
        Event::ListBegan(kind) => inventory.begin_list(kind),
        Event::Page(kind, page) => {
            let read = inventory.apply_page(kind, &page);
            read.map_err(|error| format!("{} can't be read: {error}", kind.info().plural))?;
        }
        Event::ListEnded(kind) => {
            inventory.end_list(kind);
        }
        Event::Availability(kind, _) | Event::Missing(kind) => {
            return Err(format!(
                "you may not list {}: the chart's role auditor lets you",
                kind.info().plural
            ));
        }
        _ => {}
    }
    Ok(())
}

fn digest(rows: &[Row]) -> Result<String, Failure> {
    let rows = serde_json::to_value(rows).map_err(|error| error.to_string())?;
    Ok(crate::engine::digest(&rows))
}

/// The decisions about all rows.
fn decide(rows: &[Row], revoke: &[String], by: String, sha256: String) -> Result<Review, Failure> {
    if let Some(unknown) = revoke
        .iter()
        .find(|id| !rows.iter().any(|row| row.id == **id))
    {
        return Err(format!("there is no row {unknown}"));
    }
    let own = format!("User {by}");
    let kept = |row: &&Row| row.who == own && !revoke.contains(&row.id);
    if let Some(row) = rows.iter().find(kept) {
        return Err(format!(
            "row {} is a right of your own: revoke it, or have somebody else review",
            row.id
        ));
    }
    let decisions = rows.iter().map(|row| {
        let decision = if revoke.contains(&row.id) {
            RowDecision::Revoke
        } else {
            RowDecision::Keep
        };
        (row.id.clone(), decision)
    });
    let rows: BTreeMap<String, RowDecision> = decisions.collect();
    Ok(Review { by, sha256, rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_decided_is_told_also_of_what_is_gone() {
        let row = Row {
            id: "aa".to_owned(),
            who: "User eve".to_owned(),
            binding: "ClusterRoleBinding admins".to_owned(),
            role: "ClusterRole cluster-admin".to_owned(),
            rules: Vec::new(),
        };
        let review = Review {
            by: "bob".to_owned(),
            sha256: String::new(),
            rows: [("aa", RowDecision::Keep), ("bb", RowDecision::Revoke)]
                .map(|(id, decision)| (id.to_owned(), decision))
                .into(),
        };
        assert_eq!(
            decided(&review, &[row]),
            "keep    aa  User eve by ClusterRoleBinding admins with ClusterRole cluster-admin\n\
             revoke  bb  (not there any more)\n\n\
             Reviewed by bob: 2 rows, 1 to be revoked. That stands\n"
        );
    }
}
