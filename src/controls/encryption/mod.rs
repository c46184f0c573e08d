//! Controls of the family `encryption`.

mod ingress_tls;
mod secrets_at_rest_active;

pub use self::{
    ingress_tls::IngressTls,
    secrets_at_rest_active::{ManagedPlatformPolicy, SecretsAtRestActive},
};
