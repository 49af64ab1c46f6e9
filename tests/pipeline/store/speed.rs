//! The measuring itself works; its figures are for `andon bench persistence`.

use andon::store::bench::persistence;

use super::on_both;
use crate::support::Site;

on_both!(both_ways_write_the_same_rows);

async fn both_ways_write_the_same_rows(site: Site) {
    let report = persistence(&site.servers.database, 3_000, 2, 1_000, 1).await.unwrap();
    assert_eq!((report.rows, report.lines), (3_000, 2));
    assert!(report.share > 0.0 && report.commit_rows_per_s > 0.0, "{report:?}");
}
