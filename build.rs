//! Tells the linker how an N-API addon is linked; a plain Rust build needs nothing.

fn main() {
    #[cfg(feature = "node")]
    napi_build::setup();
}
