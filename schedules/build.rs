//! What chooses the model.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(schedules)");
    println!("cargo::rustc-check-cfg=cfg(fuzzing)");
    println!("cargo::rustc-check-cfg=cfg(sanitized)");
    println!("cargo::rustc-cfg=schedules");
}
