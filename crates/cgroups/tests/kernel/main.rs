//! Cgroups of the running kernel. Needs root; only cgroups of names of its own are made, and removed again.

mod host;
mod life;
mod update;
