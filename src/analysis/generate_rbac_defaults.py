#!/usr/bin/env python3
"""Writes rbac_defaults.json: the RBAC objects that kube-apiserver creates, by minor version.

Their source is the bootstrap policy's own test data in the Go module k8s.io/kubernetes, which
upstream's unit tests keep equal to the code. Give the newest patch of each minor:

    for patch in 1.33.13 1.34.4 1.35.4 1.36.3 1.37.2; do
        go mod download k8s.io/kubernetes@v$patch
    done
    generate_rbac_defaults.py "$(go env GOMODCACHE)" 1.33.13 1.34.4 1.35.4 1.36.3 1.37.2 \
        > rbac_defaults.json

Rules are given as [verbs, groups, resources, names, urls, minors]; `minors` is a bit set over the
list of minors. Rules of feature gates that are off by default are included: a gate that somebody
switches on is no finding.
"""

import json
import pathlib
import sys

import yaml

DATA = "plugin/pkg/auth/authorizer/rbac/bootstrappolicy/testdata"
MARK = "kubernetes.io/bootstrapping"


def words(rule, field):
    return " ".join(sorted(rule.get(field) or []))


def role(item, bit, roles):
    meta = item["metadata"]
    assert meta["labels"].pop(MARK) == "rbac-defaults", meta
    key = (item["kind"], meta.get("namespace", ""), meta["name"])
    known = roles.setdefault(key, {"labels": {}, "aggregates": [], "rules": {}, "minors": 0})
    known["minors"] |= bit
    # Labels decide what aggregates the role: all are "true", and no minor disagrees.
    assert all(value == "true" for value in meta["labels"].values()), meta
    known["labels"].update(meta["labels"])
    for selector in (item.get("aggregationRule") or {}).get("clusterRoleSelectors") or []:
        assert list(selector) == ["matchLabels"] and len(selector["matchLabels"]) == 1, meta
        known["aggregates"] = sorted(set(known["aggregates"]) | set(selector["matchLabels"]))
    fields = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
    for rule in item.get("rules") or []:
        # The core group is the empty string, which joining with blanks would lose.
        rule["apiGroups"] = [group or "core" for group in rule.get("apiGroups") or []]
        text = tuple(words(rule, field) for field in fields)
        known["rules"][text] = known["rules"].get(text, 0) | bit


def binding(item, bit, bindings):
    meta, ref = item["metadata"], item["roleRef"]
    assert meta["labels"] == {MARK: "rbac-defaults"}, meta
    subjects = tuple(
        sorted((s["kind"], s.get("namespace", ""), s["name"]) for s in item.get("subjects") or [])
    )
    key = (item["kind"], meta.get("namespace", ""), meta["name"], ref["kind"], ref["name"], subjects)
    bindings[key] = bindings.get(key, 0) | bit


def main():
    cache, *patches = sys.argv[1:]
    roles, bindings, minors = {}, {}, []
    for index, patch in enumerate(patches):
        minors.append(int(patch.split(".")[1]))
        folder = pathlib.Path(cache) / f"k8s.io/kubernetes@v{patch}" / DATA
        for path in sorted(folder.glob("*.yaml")):
            for item in yaml.safe_load(path.read_text())["items"]:
                if item["kind"].endswith("Binding"):
                    binding(item, 1 << index, bindings)
                else:
                    role(item, 1 << index, roles)
    # Upstream has no test data for bindings behind gates that are off by default. A binding that is
    # pinned later counts from the minor on that knows its role.
    for key in bindings:
        same = [other for other in bindings if other[:3] == key[:3]]
        if len(same) == 1:
            bindings[key] |= roles[(key[3], key[1] if key[3] == "Role" else "", key[4])]["minors"]
    rows = {
        "minors": [json.dumps(minors)],
        "roles": [
            json.dumps(
                [*key, sorted(r["labels"]), r["aggregates"], r["minors"],
                 [[*text, bits] for text, bits in sorted(r["rules"].items())]],
                separators=(",", ":"),
            )
            for key, r in sorted(roles.items())
        ],
        "bindings": [
            json.dumps([*key, bits], separators=(",", ":")) for key, bits in sorted(bindings.items())
        ],
    }
    # One row a line: a review of the next minor reads as a diff.
    print('{"minors":' + rows["minors"][0] + ',\n"roles":[\n' + ",\n".join(rows["roles"]) + "\n],\n"
          + '"bindings":[\n' + ",\n".join(rows["bindings"]) + "\n]}")


main()
