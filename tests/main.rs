//! Tests against a real Kubernetes control plane.

mod cluster_lifecycle;
mod harness;
<<<<<<< HEAD
mod house;
=======
mod operator;
>>>>>>> wt-k
