use super::*;

/// The file of the interface page.
const DEMO: &str = include_str!("../../../deploy/examples/demo.toml");

#[test]
fn the_example_parses() {
    let spec = TenantSpec::parse(DEMO).unwrap();
    assert_eq!(spec.tenant.name, "demo");
}
