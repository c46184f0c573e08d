//! What the program says when it can't do as it is told.

use std::net::TcpListener;
use std::path::Path;

use super::program::output;
use crate::harness::free_port;

/// Runs the operator and returns the one line that it ends with.
fn refusal(kubeconfig: &Path, data: &Path, address: &str) -> String {
    let kubeconfig = kubeconfig.display().to_string();
    let data = data.display().to_string();
    let output = output(&[
        "run",
        "--kubeconfig",
        &kubeconfig,
        "--namespace=probity-system",
        "--data-dir",
        &data,
        "--metrics-address",
        address,
    ]);
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    assert_eq!(output.stdout, "");
    let mut lines = output.stderr.lines();
    let said = lines.next().unwrap_or_default().to_owned();
    assert!(
        said.starts_with("probity: ") && lines.next().is_none(),
        "{}",
        output.stderr
    );
    said
}

fn free_address() -> String {
    format!("127.0.0.1:{}", free_port().unwrap())
}

/// A kubeconfig for a server at which nobody listens.
fn nobody(folder: &Path) -> (std::path::PathBuf, String) {
    let server = free_address();
    let path = folder.join("nobody.kubeconfig");
    let content = format!(
        r#"{{ "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{{ "name": "test", "cluster": {{ "server": "http://{server}" }} }}],
        "users": [{{ "name": "test", "user": {{}} }}],
        "contexts": [{{ "name": "test", "context": {{ "cluster": "test", "user": "test" }} }}] }}"#
    );
    std::fs::write(&path, content).unwrap();
    (path, server)
}

#[test]
fn an_unreachable_server_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (kubeconfig, server) = nobody(folder.path());
    let said = refusal(&kubeconfig, &folder.path().join("data"), &free_address());
    assert!(said.contains(&server), "{said}");
}

#[test]
fn a_kubeconfig_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing.kubeconfig");
    let said = refusal(&path, &folder.path().join("data"), &free_address());
    assert!(said.contains("missing.kubeconfig"), "{said}");
}

#[test]
fn a_kubeconfig_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.kubeconfig");
    std::fs::write(&path, "clusters: 7\n").unwrap();
    let said = refusal(&path, &folder.path().join("data"), &free_address());
    assert!(said.contains("wrong.kubeconfig"), "{said}");
}

#[test]
fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (kubeconfig, _) = nobody(folder.path());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refusal(&kubeconfig, &folder.path().join("data"), &address);
    assert!(
        said.contains(&address) && said.contains("--metrics-address"),
        "{said}"
    );
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (kubeconfig, _) = nobody(folder.path());
    // A file where the folder should be: not even root can write below it.
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let data = file.join("data");
    let said = refusal(&kubeconfig, &data, &free_address());
    assert!(said.contains(&data.display().to_string()), "{said}");
}

#[test]
fn a_data_folder_that_another_operator_has_is_named_before_its_port() {
    let folder = tempfile::tempdir().unwrap();
    let (kubeconfig, _) = nobody(folder.path());
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let held = std::fs::File::create(data.join("lock")).unwrap();
    held.lock().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refusal(&kubeconfig, &data, &address);
    assert!(said.contains("is in use by another writer"), "{said}");
}

#[test]
fn who_reaches_no_cluster_leaves_no_folder_and_no_key_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (nobody, _) = nobody(folder.path());
    let missing = folder.path().join("missing.kubeconfig");
    let data = folder.path().join("data");
    for kubeconfig in [&nobody, &missing] {
        refusal(kubeconfig, &data, &free_address());
        assert!(!data.exists(), "{}", kubeconfig.display());
    }
}
