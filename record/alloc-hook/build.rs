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
        // Programs with shadow stacks keep them: no return address is changed here.
        "-Wl,-z,shstk",
        "-Wl,-soname,librz_alloc_hook.so",
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
