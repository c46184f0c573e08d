use super::*;
use crate::{
    controls::{Context, Info, network::NamespaceDefaultDeny},
    inventory::Effect,
};

/// A control that fails whatever it is asked.
#[derive(Debug)]
struct Panicking;

impl Control for Panicking {
    fn info(&self) -> &'static Info {
        &NamespaceDefaultDeny::INFO
    }

    fn touched(&self, _: &Change) -> Touched {
        panic!("touched")
    }

    fn population(&self, _: &Context<'_>, _: Option<&str>, _: &mut dyn FnMut(Subject)) {
        panic!("population")
    }

    fn judge(&self, _: &Context<'_>, _: &Subject) -> Option<Verdict> {
        panic!("judge")
    }
}

#[test]
fn a_control_that_panics_is_unknown_and_not_an_empty_population() {
    let key = RuleKey {
        control: "panicking",
        params_hash: "".into(),
        scope_hash: None,
    };
    let mut rule = Rule::new(key, Arc::new(Panicking), Arc::default());
    let (inventory, observed) = (Inventory::default(), Observed::default());
    let view = View {
        inventory: &inventory,
        analyses: &Analyses::default(),
        observed: &observed,
        exceptions: &Exceptions::default(),
        now: Timestamp::UNIX_EPOCH,
    };
    rule.judge_dirty(view);
    assert_eq!(rule.sight(), Sight::Panicked);
    rule.touch(&Change {
        kind: Kind::Pod,
        namespace: "shop".into(),
        name: "web".into(),
        effect: Effect::Added,
        manager: None,
    });
    assert_eq!(rule.dirty.all, Some(Cause::Object));
}
