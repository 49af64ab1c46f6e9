//! What a file would be if something in it were changed, without its being saved.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::place::{Change, Place};
use crate::gateway::problem::Problem;

/// What is supposed to be otherwise. Fields as the `PUT` of each takes them; those that are not named stay as they are,
/// and null takes one away.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Of the line, as of `PUT /production/lines/{line}`.
    line: Option<Map<String, Value>>,
    /// As of `PUT /production/calendar`: a list that is named is the whole of its kind.
    calendar: Option<Map<String, Value>>,
    /// As of `PUT /production/loss-policy`.
    loss_policy: Option<Map<String, Value>>,
}

// === impl Settings ===

impl Settings {
    /// Whether it touches what lines have in common.
    pub fn is_of_all_lines(&self) -> bool {
        self.calendar.is_some() || self.loss_policy.is_some()
    }

    /// The file as it would be.
    ///
    /// # Errors
    /// 404 and 422 as the `PUT` of each part would answer.
    pub fn within(self, mut file: Value, line: &str) -> Result<Value, Problem> {
        let parts = [
            (Place::Line(line.to_owned()), self.line),
            (Place::Calendar, self.calendar),
            (Place::LossPolicy, self.loss_policy),
        ];
        for (place, changes) in parts {
            let Some(changes) = changes else { continue };
            let mut entry = place.read(&file)?;
            for (key, value) in changes {
                let Some(fields) = entry.as_object_mut() else { continue };
                if value.is_null() {
                    fields.remove(&key);
                } else {
                    fields.insert(key, value);
                }
            }
            place.write(&mut file, Change::Replace(entry))?;
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file() -> Value {
        json!({
            "tenant": {"name": "demo", "time_zone": "UTC"}, "loss_policy": {"quality": "auto"},
            "shift": [{"name": "day"}], "break": [{"start": "10:00", "end": "10:15"}],
            "line": [{"name": "l1", "downtime_threshold_s": 60, "performance": 30, "area": [{"id": 1}]}],
        })
    }

    fn supposed(settings: Value) -> Result<Value, Problem> {
        serde_json::from_value::<Settings>(settings).expect("settings").within(file(), "l1")
    }

    #[test]
    fn what_is_not_named_stays_and_null_takes_away() {
        let told = supposed(json!({"line": {"downtime_threshold_s": 30, "performance": null}})).unwrap();
        assert_eq!(told["line"], json!([{"name": "l1", "downtime_threshold_s": 30, "area": [{"id": 1}]}]));
        let told = supposed(json!({"calendar": {"break": []}, "loss_policy": {"changeover": "planned"}})).unwrap();
        assert_eq!((&told["shift"], &told["break"]), (&file()["shift"], &json!([])));
        assert_eq!(told["loss_policy"], json!({"quality": "auto", "changeover": "planned"}));
    }

    #[test]
    fn what_a_put_would_refuse_is_refused() {
        for settings in
            [json!({"line": {"name": "l2"}}), json!({"line": {"area": []}}), json!({"calendar": {"holidays": []}})]
        {
            assert_eq!(supposed(settings.clone()).unwrap_err().status, 422, "{settings}");
        }
    }
}
