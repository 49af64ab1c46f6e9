//! What Andon promises, checked without servers. A folder of modules in one binary: linking is what takes long.

mod spec {
    #[allow(dead_code, unused_imports, reason = "each binary uses a part of the kit")]
    #[path = "../../src/domain/production/testkit/mod.rs"]
    mod testkit;

    mod command_line;
    mod demo_tenants;
    mod deployment;
    mod fuzz;
    mod purity;
    mod real_data;
    mod worked_examples;
}
