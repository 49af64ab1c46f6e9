//! Files: Parquet holds what CSV does.

use andon::domain::time::rfc3339;
use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use reqwest::StatusCode;

use super::{Bench, now, piece};

/// A cell as CSV has it.
fn text(field: &Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::Bool(value) => value.to_string(),
        Field::Int(value) => value.to_string(),
        Field::Long(value) => value.to_string(),
        Field::Float(value) => value.to_string(),
        Field::Double(value) => serde_json::json!(value).to_string(),
        Field::TimestampMillis(at) => rfc3339(*at),
        Field::Str(text) => text.clone(),
        other => panic!("no cell of ours: {other:?}"),
    }
}

/// The names of the columns, then the rows.
fn rows_of(file: Bytes) -> Vec<Vec<String>> {
    let reader = SerializedFileReader::new(file).expect("a whole file");
    let schema = reader.metadata().file_metadata().schema();
    let mut rows = vec![schema.get_fields().iter().map(|field| field.name().to_owned()).collect()];
    for row in reader.get_row_iter(None).expect("rows") {
        rows.push(row.expect("a row").get_column_iter().map(|(_, field)| text(field)).collect());
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parquet_file_holds_what_the_csv_file_does_by_name_or_by_what_is_accepted() {
    let bench = Bench::new().await;
    let (viewer, token) = bench.sign_in("viewer").await;
    let mut live = bench.socket(&token).await;
    live.subscribe(1, "feed_downtime", None).await;
    let start = now() - 60_000;
    let mut all = [0, 500, 20_000, 20_500, 50_000, 50_500].map(|at| piece(at, start + at));
    all[1].confidence = Some(0.7);
    all[2].camera_id = None;
    bench.send("l1", all);
    live.until(1, "a closed stop", |stop| stop["status"] == "closed").await;

    let period = format!("from={}&to={}", rfc3339(start - 1_000), rfc3339(start + 50_600));
    for (name, more, least) in [("detections", "", 6), ("downtime", "", 1), ("figures", "&line=l1&interval=minute", 1)]
    {
        let url = bench.url(&format!("/export/{name}?{period}{more}"));
        let csv = viewer.get(&url).send().await.expect("answered").text().await.expect("a whole file");
        let csv: Vec<Vec<String>> =
            csv.split_terminator("\r\n").map(|line| line.split(',').map(str::to_owned).collect()).collect();
        assert!(csv.len() > least, "{name}: {csv:?}");
        let by_name = viewer.get(format!("{url}&format=parquet"));
        let by_accept = viewer.get(&url).header("accept", "text/html, application/vnd.apache.parquet;q=0.9");
        for request in [by_name, by_accept] {
            let answer = request.send().await.expect("answered");
            assert_eq!(answer.status(), StatusCode::OK, "{name}");
            assert_eq!(answer.headers()["content-type"], "application/vnd.apache.parquet");
            assert!(answer.headers()["content-disposition"].to_str().expect("text").contains(".parquet"));
            assert_eq!(rows_of(answer.bytes().await.expect("a whole file")), csv, "{name}");
        }
    }
    let nothing = bench.url("/export/detections?from=2001-01-01T00:00:00Z&to=2001-01-02T00:00:00Z&format=parquet");
    let nothing = viewer.get(nothing).send().await.expect("answered").bytes().await.expect("a whole file");
    assert_eq!(rows_of(nothing).len(), 1, "a file without rows is one");
    let wrong = viewer.get(bench.url(&format!("/export/detections?{period}&format=xlsx"))).send().await;
    assert_eq!(wrong.expect("answered").status(), StatusCode::BAD_REQUEST);
    bench.end().await;
}
