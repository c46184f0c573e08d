//! Steps by roles and bindings.

use super::{Climber, Found, MAKE, WRITE};
use crate::{
    analysis::{
        escalation::aims::{Ground, How, Place, Steps},
        rights::{Thing, Verbs},
    },
    inventory::{Object, Sym, rbac::Binding},
};

impl Climber<'_> {
    /// By roles and bindings.
    pub(super) fn roles(&self, steps: &mut Steps) {
        self.edit(steps, Thing::ClusterRoles);
        self.edit(steps, Thing::Roles);
        self.bind(steps, Thing::ClusterRoles);
        self.bind(steps, Thing::Roles);
    }

    /// By the rules of a role that it is bound to: a right to write them needs `escalate` beside.
    fn edit(&self, steps: &mut Steps, thing: Thing) {
        let pairs = self.pairs((thing, Verbs::ESCALATE), (thing, MAKE));
        for (place, escalate, write) in pairs {
            // Cluster roles lie in no namespace: there a RoleBinding gives neither.
            if thing == Thing::ClusterRoles && place != Place::Cluster {
                continue;
            }
            let edits =
                |name: &str| write.verbs.has(WRITE) && escalate.is_for(name) && write.is_for(name);
            for (at, home, name) in self.bound() {
                let local = !home.is_empty();
                if local != (thing == Thing::Roles) || (local && !at.is_within(&place)) {
                    continue;
                }
                steps.rest_on(Ground::Role(home.clone(), name.clone()));
                let sources = self.scene.rights.sources(home, name);
                let created = || {
                    // A name that is not taken yet; POST carries none.
                    self.scene.rights.aggregates().contains(name)
                        && write.verbs.has(Verbs::CREATE)
                        && escalate.names.is_empty()
                };
                if edits(name) {
                    steps.everything(How::EditRole, at);
                } else if !local && (sources.iter().any(|source| edits(source)) || created()) {
                    steps.everything(How::Aggregate, at);
                }
            }
        }
    }

    /// By a binding: a right to write one needs `bind` on the role beside.
    fn bind(&self, steps: &mut Steps, thing: Thing) {
        for kind in [Thing::ClusterRoleBindings, Thing::RoleBindings] {
            if thing == Thing::Roles && kind == Thing::ClusterRoleBindings {
                continue;
            }
            for (place, bind, write) in self.pairs((thing, Verbs::BIND), (kind, MAKE)) {
                let place = match kind {
                    Thing::ClusterRoleBindings if place != Place::Cluster => continue,
                    Thing::ClusterRoleBindings => place,
                    _ => place.namespaces(),
                };
                if write.verbs.has(Verbs::CREATE) {
                    self.bind_new(steps, thing, &place, &bind);
                } else {
                    self.bind_existing(steps, thing, &place, (&bind, &write));
                }
            }
        }
    }

    fn bind_new(&self, steps: &mut Steps, thing: Thing, place: &Place, bind: &Found<'_>) {
        if thing == Thing::ClusterRoles && bind.names.is_empty() {
            steps.everything(How::Bind, place);
            return;
        }
        if thing == Thing::ClusterRoles {
            for name in bind.names {
                steps.role(How::Bind, &Sym::default(), name, place);
            }
            return;
        }
        let roles = &self.scene.inventory.tables.roles;
        let namespace = if let Place::In(namespace) = place {
            steps.rest_on(Ground::RolesIn(namespace.clone()));
            Some(&**namespace)
        } else {
            steps.rest_on(Ground::AnyRole);
            None
        };
        roles.within(namespace, |role| {
            if bind.is_for(&role.meta.name) {
                let home = &role.meta.namespace;
                steps.role(How::Bind, home, &role.meta.name, &Place::of(home));
            }
        });
    }

    /// The role of a binding never changes: only its subjects can be written.
    fn bind_existing(
        &self,
        steps: &mut Steps,
        thing: Thing,
        place: &Place,
        (bind, write): (&Found<'_>, &Found<'_>),
    ) {
        steps.rest_on(match place {
            Place::Cluster => Ground::BindingsIn(Sym::default()),
            Place::Everywhere => Ground::AnyBinding,
            Place::In(namespace) => Ground::BindingsIn(namespace.clone()),
        });
        let kind = match thing {
            Thing::Roles => "Role",
            _ => "ClusterRole",
        };
        let mut look = |binding: &Object<Binding>| {
            let (meta, spec) = (&binding.meta, &binding.spec);
            if *spec.role_kind == *kind && write.is_for(&meta.name) && bind.is_for(&spec.role) {
                let home = match thing {
                    Thing::Roles => meta.namespace.clone(),
                    _ => Sym::default(),
                };
                steps.role(How::Bind, &home, &spec.role, &Place::of(&meta.namespace));
            }
        };
        let tables = &self.scene.inventory.tables;
        match place {
            Place::Cluster => tables.cluster_role_bindings.iter().for_each(&mut look),
            Place::Everywhere => tables.role_bindings.iter().for_each(&mut look),
            Place::In(namespace) => tables
                .role_bindings
                .in_namespace(namespace)
                .for_each(&mut look),
        }
    }
}
