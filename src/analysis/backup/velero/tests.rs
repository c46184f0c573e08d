use super::*;

#[test]
fn namespaces_are_covered_as_velero_reads_them() {
    for (included, excluded, covered) in [
        (&[][..], &[][..], true),
        (&["*"], &[], true),
        (&["shop"], &[], true),
        (&["bank"], &[], false),
        (&["s*p"], &[], true),
        (&["*sh?p*"], &[], true),
        (&["s*x"], &[], false),
        (&["[s]hop"], &[], true),
        (&["[a-z]hop"], &[], true),
        (&["[xyz]hop"], &[], false),
        (&["[]hop"], &[], false),
        (&["[shop"], &[], false),
        (&["sh**"], &[], false),
        (&["{shop,bank}"], &[], false),
        (&["*"], &["shop"], false),
        (&["*"], &["*bank"], true),
        (&["*"], &["[b]ank"], true),
        (&["*"], &["{bank}"], false),
    ] {
        assert_eq!(
            covers(included, excluded, "shop"),
            covered,
            "{included:?} {excluded:?}"
        );
    }
}

#[test]
fn flags_are_read_in_both_forms() {
    let words = [
        "--features=EnableAPIGroupVersions,EnableCSI",
        "--default-backup-ttl",
        "240h0m0s",
        "--default-volumes-to-fs-backup",
        "--default-snapshot-move-data=false",
    ];
    let words = words.map(Sym::from);
    let server = Server(&words);
    assert!(server.snapshots_csi() && server.as_files() && !server.moves_data());
    assert_eq!(server.ttl(), Some(std::time::Duration::from_hours(240)));
    assert_eq!(server.location(), None);
}

#[test]
fn namespaces_that_are_named_one_by_one_are_all_that_there_can_be() {
    for (included, named) in [
        (&[][..], None),
        (&["*"], None),
        (&["shop", "ban?"], None),
        (&["shop", "[ab]ank"], None),
        (&["shop"], Some(&["shop"][..])),
        (&["shop", "bank", "shop"], Some(&["bank", "shop"])),
    ] {
        let filter = Filter {
            included: included.iter().map(|name| Sym::from(*name)).collect(),
            excluded: [Sym::from("b*")].into(),
        };
        let names: Option<Vec<&str>> =
            named_namespaces(&filter).map(|names| names.into_iter().collect());
        assert_eq!(names.as_deref(), named, "{included:?}");
        // Nothing that is held lies elsewhere.
        for namespace in ["shop", "bank", "bark", "other"] {
            let looked = names
                .as_ref()
                .is_none_or(|names| names.contains(&namespace));
            assert!(
                looked || !in_namespaces(&filter, namespace),
                "{included:?} {namespace}"
            );
        }
    }
}
