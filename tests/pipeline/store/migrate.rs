//! Migrations: once, in order, and never against a newer database; a tenant's file becomes versions and tables.

use andon::store::{Store, StoreError};

use super::{NEW_YEAR, Plant, file, on_both};
use crate::support::Site;

on_both!(
    a_second_migration_changes_nothing,
    two_migrators_at_once_do_it_once,
    a_newer_or_other_database_is_refused,
    a_file_applied_again_changes_nothing,
    a_changed_file_becomes_a_version,
    a_dry_run_only_tells,
    unknown_and_inactive_tenants_are_told_apart,
);

async fn a_second_migration_changes_nothing(site: Site) {
    let store = Store::connect(&site.global_url()).await.unwrap();
    assert_eq!(store.migrate().await.unwrap().applied.len(), 7);
    let again = store.migrate().await.unwrap();
    assert!(again.applied.is_empty() && again.failed.is_empty(), "{again:?}");
}

async fn two_migrators_at_once_do_it_once(site: Site) {
    let (one, two) =
        (Store::connect(&site.global_url()).await.unwrap(), Store::connect(&site.global_url()).await.unwrap());
    let (one, two) = tokio::join!(one.migrate(), two.migrate());
    assert_eq!(one.unwrap().applied.len() + two.unwrap().applied.len(), 7);
}

async fn a_newer_or_other_database_is_refused(site: Site) {
    let plant = Plant::new(site).await;
    let run = async |sql: &'static str| {
        sqlx::raw_sql(sql).execute(&mut plant.connection().await).await.unwrap();
    };
    run("INSERT INTO schema_migration VALUES ('', 99, 'future', '', UTC_TIMESTAMP(3))").await;
    let newer = plant.db.migrate().await.unwrap_err();
    assert!(matches!(newer, StoreError::Newer { found: 99, known: 4.., .. }), "{newer}");
    let text = newer.to_string();
    assert!(text.contains("has migration 99") && text.contains("a binary at least as new"), "{text}");
    // The others are none the worse for it.
    let migrated = plant.store.migrate().await.unwrap();
    assert_eq!(migrated.failed.len(), 1);
    run("DELETE FROM schema_migration WHERE version = 99").await;
    plant.db.migrate().await.unwrap();
    run("UPDATE schema_migration SET checksum = 'other' WHERE scope = 'line:l1'").await;
    assert!(matches!(plant.db.migrate().await, Err(StoreError::Checksum { version: 1, .. })));
}

async fn a_file_applied_again_changes_nothing(site: Site) {
    let plant = Plant::new(site).await;
    let again = plant.store.apply_spec(&file(&plant.tenant, 60), NEW_YEAR + 1, "tester", false).await.unwrap();
    assert_eq!(again, Vec::<String>::new());
    // Neither does a process that has nothing in memory yet.
    let other = Store::connect(&plant.site.global_url()).await.unwrap();
    let again = other.apply_spec(&file(&plant.tenant, 60), NEW_YEAR + 1, "tester", false).await.unwrap();
    assert_eq!(again, Vec::<String>::new());
    assert_eq!(plant.db.versions().await.unwrap().len(), 1);
}

async fn a_changed_file_becomes_a_version(site: Site) {
    let plant = Plant::new(site).await;
    let reader = Store::connect(&plant.site.global_url()).await.unwrap().tenant(&plant.tenant).await.unwrap();
    assert_eq!(reader.current().await.unwrap().unwrap().version, 1);

    let mut spec = file(&plant.tenant, 90);
    spec.lines.remove(1);
    spec.shifts.clear();
    spec.breaks.clear();
    let changes = plant.store.apply_spec(&spec, NEW_YEAR, "ana", false).await.unwrap();
    assert!(changes.contains(&"line l1: downtime_threshold_s: 60 → 90".to_owned()), "{changes:?}");
    assert!(changes.contains(&"line l2: removed".to_owned()), "{changes:?}");

    assert!(reader.refresh().await.unwrap());
    assert!(!reader.refresh().await.unwrap());
    let current = reader.current().await.unwrap().unwrap();
    assert_eq!((current.version, current.policy_version, current.valid_from), (2, 1, NEW_YEAR));
    assert_eq!(*current.spec, spec);
    let configs = reader.line_configs("l1").await.unwrap();
    let told: Vec<_> = configs.iter().map(|c| (c.version, c.valid_from, c.downtime_threshold_ms)).collect();
    assert_eq!(told, [(1, andon::domain::time::BEGINNING, 60_000), (2, NEW_YEAR, 90_000)]);
    // The line that goes on is told; the one that left is not.
    let pending = reader.pending().await.unwrap();
    assert_eq!(pending.iter().map(|command| command.line.as_str()).collect::<Vec<_>>(), ["l1"]);
    // What the file no longer has stays, inactive.
    let count = async |sql: &str| plant.count(sql.to_owned()).await;
    assert_eq!(count("SELECT COUNT(*) FROM production_line").await, 2);
    assert_eq!(count("SELECT COUNT(*) FROM production_line WHERE is_active").await, 1);
    assert_eq!(count("SELECT COUNT(*) FROM shift WHERE is_active").await, 0);
    assert_eq!(count("SELECT COUNT(*) FROM camera_area WHERE is_active").await, 2);
    assert_eq!(count("SELECT COUNT(*) FROM filter WHERE filter_status").await, 7);
    // Versions follow each other in time.
    let back = plant.store.apply_spec(&file(&plant.tenant, 70), NEW_YEAR, "ana", false).await;
    assert!(matches!(back, Err(StoreError::Conflict(_))), "{back:?}");
}

async fn a_dry_run_only_tells(site: Site) {
    let plant = Plant::new(site).await;
    let told = plant.store.apply_spec(&file(&plant.tenant, 61), NEW_YEAR, "ana", true).await.unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(plant.db.current().await.unwrap().unwrap().version, 1);
    let stranger = plant.site.tenant("dry");
    let told = plant.store.apply_spec(&file(&stranger, 60), NEW_YEAR, "ana", true).await.unwrap();
    assert!(told.contains(&"line l1: added".to_owned()), "{told:?}");
    assert!(matches!(plant.store.tenant(&stranger).await, Err(StoreError::UnknownTenant(_))));
}

async fn unknown_and_inactive_tenants_are_told_apart(site: Site) {
    let plant = Plant::new(site).await;
    plant.store.set_tenant_active(&plant.tenant, false).await.unwrap();
    assert!(matches!(plant.store.tenant(&plant.tenant).await, Err(StoreError::InactiveTenant(_))));
    plant.store.set_tenant_active(&plant.tenant, true).await.unwrap();
    plant.store.tenant(&plant.tenant).await.unwrap();
    let tenants = plant.store.tenants().await.unwrap();
    assert_eq!((tenants.len(), tenants[0].company.as_str(), tenants[0].locale.as_str()), (1, "Demo Foods", "es"));
    assert!(matches!(plant.db.take_over("l1`; --", "t", "test").await, Err(StoreError::Name(_))));
}
