//! Documents that are not read.

use super::*;
use crate::cli::scan::report::Finding;

/// What is said of the documents that are not read, without the name of the file.
fn unread(report: &Report) -> Vec<String> {
    let unread = report.unread.iter();
    let said =
        unread.map(|unread| format!("{} {}: {}", unread.place.line, unread.what, unread.why));
    said.collect()
}

#[test]
fn a_kind_that_there_is_not_is_not_read_and_counts_as_unknown() {
    let typo = "apiVersion: v1\nkind: Namespac\nmetadata: { name: shop }\n";
    let alone = scanned(typo, true);
    assert_eq!(
        unread(&alone),
        ["1 v1 Namespac: there is no such kind, did you mean Namespace?"]
    );
    assert_eq!(ending(&alone, FailOn::None), Ending::Incomplete);
    let both = scanned(&format!("{WEB}---\n{typo}"), true);
    assert_eq!(both.unread.len(), 1);
    assert!(fails(&both, FailOn::Unknown) && !both.blind);
    // What is asked of namespaces nobody can tell: the document may have been one.
    let (unknown, why) = outcome(&both, "net-namespace-default-deny");
    assert_eq!(unknown, Outcome::Unknown);
    assert!(why.contains("did you mean Namespace?"), "{why}");
    let table = table::render(&both, GroupBy::Family, false, Style::plain(None));
    let told = "1 document was not read, which standard error names";
    assert!(table.contains(told), "{table}");
    let json = json::render(&both);
    assert_eq!(json["summary"]["unread"], 1);
    assert_eq!(json["unread"][0]["what"], "v1 Namespac");
}

#[test]
fn an_object_with_a_field_of_a_wrong_type_is_unknown_with_the_path_of_the_field() {
    let wrong = WEB.replace("spec:\n  selector", "spec:\n  replicas: three\n  selector");
    assert_ne!(wrong, WEB);
    let report = scanned(&wrong, true);
    let said = unread(&report);
    assert!(
        said[0].starts_with(
            "2 apps/v1 Deployment shop/web: spec.replicas: invalid type: string \"three\""
        ),
        "{said:?}"
    );
    let judged = report.controls.iter();
    let mut judged = judged.filter(|judged| judged.info.id == "net-pod-ingress-isolated");
    let unclear: Vec<&Finding> = judged.next().unwrap().with(Outcome::Unknown).collect();
    assert_eq!(unclear[0].subject.to_string(), "Deployment shop/web");
    assert!(
        unclear[0].message.starts_with("spec.replicas: "),
        "{unclear:?}"
    );
    assert!(unclear[0].place.is_some());
    assert_eq!(ending(&report, FailOn::None), Ending::Incomplete);
}

#[test]
fn a_field_that_there_is_not_is_noted() {
    let typo = WEB.replace("spec:\n  selector", "spec:\n  replcas: 3\n  selector");
    let report = scanned(&typo, true);
    let notes = report.notes.join("\n");
    assert!(notes.contains("has a field spec.replcas, which"), "{notes}");
    assert!(report.unread.is_empty());
    assert!(!scanned(WEB, true).notes.join("").contains("has a field"));
    // One note, however many objects have it.
    let both = format!("{typo}---\n{}", typo.replace("name: web", "name: other"));
    let notes = scanned(&both, true).notes;
    let said: Vec<&String> = notes
        .iter()
        .filter(|note| note.contains("spec.replcas"))
        .collect();
    assert!(
        matches!(said[..], [one] if one.contains("and 1 more of its kind have a field")),
        "{notes:?}"
    );
}

#[test]
fn what_holds_no_object_is_named_where_it_was_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("web.yaml"), WEB).unwrap();
    std::fs::write(folder.path().join("values.yaml"), "foo: bar\n").unwrap();
    let path = folder.path().display().to_string();
    let report = files(&parse(&["scan", "-f", &path]), &policies(&[]).unwrap()).unwrap();
    let told = format!("holds no Kubernetes object and was passed over: {path}/values.yaml:1");
    assert!(
        report.notes.iter().any(|note| note.contains(&told)),
        "{:?}",
        report.notes
    );
    assert!(report.unread.is_empty());
}
