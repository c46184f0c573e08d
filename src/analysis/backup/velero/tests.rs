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
