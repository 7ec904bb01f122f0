//! Builds the allocation hook, which `rec` carries with it.
//!
//! The hook is a shared library without the standard library, and so needs
//! profiles and link arguments of its own: a build within the build. What the
//! outer one was told, such as to link statically, is not for it.

use std::env;
use std::path::PathBuf;
use std::process::{Command, exit};

/// Variables that configure a build, by how their names begin. Those that say
/// where to find things, such as `CARGO_HOME`, stay.
const CONFIGURATION: [&str; 11] = [
    "CARGO_BUILD_",
    "CARGO_CFG_",
    "CARGO_ENCODED_",
    "CARGO_FEATURE_",
    "CARGO_INCREMENTAL",
    "CARGO_PROFILE_",
    "CARGO_TARGET_",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for package in ["alloc-hook", "alloc-ring"] {
        println!("cargo:rerun-if-changed={package}/src");
        println!("cargo:rerun-if-changed={package}/Cargo.toml");
    }
    println!("cargo:rerun-if-changed=alloc-hook/build.rs");
    println!("cargo:rerun-if-changed=alloc-hook/Cargo.lock");
    match build() {
        Ok(library) => println!("cargo:rustc-env=RZ_ALLOC_HOOK={}", library.display()),
        Err(reason) => {
            eprintln!("the allocation hook cannot be built: {reason}");
            exit(1);
        }
    }
}

/// Builds the hook; returns where it is.
fn build() -> Result<PathBuf, String> {
    let variable = |name: &str| env::var_os(name).ok_or_else(|| format!("{name} is not set"));
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("alloc-hook/Cargo.toml");
    let directory = PathBuf::from(variable("OUT_DIR")?).join("hook");
    let mut cargo = Command::new(variable("CARGO")?);
    for (name, _) in env::vars_os() {
        let is_configuration =
            |name: &str| CONFIGURATION.iter().any(|prefix| name.starts_with(prefix));
        if name.to_str().is_some_and(is_configuration) {
            cargo.env_remove(name);
        }
    }
    cargo.args(["build", "--release", "--locked", "--manifest-path"]).arg(manifest);
    cargo.arg("--target-dir").arg(&directory);
    let status = cargo.status().map_err(|error| error.to_string())?;
    let library = directory.join("release/librz_alloc_hook.so");
    if status.success() { Ok(library) } else { Err(status.to_string()) }
}
