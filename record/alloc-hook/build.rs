//! How the library is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for argument in [
        // The constructor runs before those of other libraries, which allocate.
        "-Wl,-z,initfirst",
        // Nothing is bound later, when locks may be held.
        "-Wl,-z,now",
        // It stays when a program has it and closes it again.
        "-Wl,-z,nodelete",
        "-Wl,-soname,librz_alloc_hook.so",
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
