//! Where in a tenant's file an entry stands that is changed by itself.
//!
//! The file is handled in its JSON form; what comes out is read and checked as a whole file is, so that an entry can
//! say no more and no less than it could there.

use serde_json::{Map, Value, json};

use crate::gateway::problem::Problem;

/// The lists that make up the calendar, as the file names them.
const CALENDAR: [&str; 4] = ["shift", "break", "exception", "extra_shift"];

/// An entry of a tenant's file, or a part of it that is changed as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The whole file.
    Config,
    /// Shifts, breaks, holidays and extra shifts.
    Calendar,
    LossPolicy,
    /// Without its areas.
    Line(String),
    Area {
        line: String,
        id: i32,
    },
    Product(i32),
    /// By its code.
    Reason(String),
    /// By its name, which has to be of one shift only.
    Shift(String),
}

/// What is done to an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It must not be there yet.
    Create(Value),
    Replace(Value),
    Remove,
}

/// A member of a list and what it is found by.
struct Member {
    list: &'static str,
    key: &'static str,
    id: Value,
}

/// A list of a file or of a line; an empty one where it has none.
fn list<'a>(of: &'a mut Value, name: &str) -> Option<&'a mut Vec<Value>> {
    of.as_object_mut()?.entry(name).or_insert_with(|| json!([])).as_array_mut()
}

fn line<'a>(file: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    list(file, "line")?.iter_mut().find(|line| line["name"] == name)
}

/// A copy without its areas, which are changed by themselves.
pub fn without_areas(mut line: Value) -> Value {
    if let Some(fields) = line.as_object_mut() {
        fields.remove("area");
    }
    line
}

// === impl Place ===

impl Place {
    /// What the entry is called, for people.
    pub fn title(&self) -> String {
        match self {
            Place::Config => "file".to_owned(),
            Place::Calendar => "calendar".to_owned(),
            Place::LossPolicy => "loss policy".to_owned(),
            Place::Line(name) => format!("line {name:?}"),
            Place::Area { line, id } => format!("area {id} of line {line:?}"),
            Place::Product(id) => format!("product {id}"),
            Place::Reason(code) => format!("reason {code:?}"),
            Place::Shift(name) => format!("shift {name:?}"),
        }
    }

    /// Its path below `/api/v1`, where it has one of its own.
    pub fn path(&self) -> String {
        let inner = |path: &str, name: &str| {
            let escaped: String = name
                .bytes()
                .map(|byte| match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
                    byte => format!("%{byte:02X}"),
                })
                .collect();
            format!("/production/{path}/{escaped}")
        };
        match self {
            Place::Config => "/production/config".to_owned(),
            Place::Calendar => "/production/calendar".to_owned(),
            Place::LossPolicy => "/production/loss-policy".to_owned(),
            Place::Line(name) => inner("lines", name),
            Place::Area { line, id } => format!("/production/lines/{line}/areas/{id}"),
            Place::Product(id) => inner("products", &id.to_string()),
            Place::Reason(code) => inner("reasons", code),
            Place::Shift(name) => inner("shifts", name),
        }
    }

    /// The line that it is of; none: of the whole tenant.
    pub fn line(&self) -> Option<&str> {
        match self {
            Place::Line(line) | Place::Area { line, .. } => Some(line),
            _ => None,
        }
    }

    fn member(&self) -> Option<Member> {
        let member = |list, key, id| Some(Member { list, key, id });
        match self {
            Place::Config | Place::Calendar | Place::LossPolicy => None,
            Place::Line(name) => member("line", "name", json!(name)),
            Place::Area { id, .. } => member("area", "id", json!(id)),
            Place::Product(id) => member("product", "id", json!(id)),
            Place::Reason(code) => member("reason", "code", json!(code)),
            Place::Shift(name) => member("shift", "name", json!(name)),
        }
    }

    fn missing(&self) -> Problem {
        Problem::not_found(format!("there is no {}", self.title()))
    }

    /// The list that it is a member of.
    fn members<'a>(&self, file: &'a mut Value, name: &str) -> Result<&'a mut Vec<Value>, Problem> {
        let of = match self {
            Place::Area { line: name, .. } => line(file, name).ok_or_else(|| Problem::unknown_line(name))?,
            _ => file,
        };
        list(of, name).ok_or_else(|| Problem::internal("a stored file is none"))
    }

    /// The entry as the file has it.
    ///
    /// # Errors
    /// 404 when there is none; 409 when the name is of several.
    pub fn read(&self, file: &Value) -> Result<Value, Problem> {
        let mut file = file.clone();
        let Some(Member { list: name, key, id }) = self.member() else {
            return Ok(match self {
                Place::LossPolicy => file["loss_policy"].take(),
                Place::Calendar => {
                    let part =
                        |name: &&str| ((*name).to_owned(), file.get(*name).cloned().unwrap_or_else(|| json!([])));
                    Value::Object(CALENDAR.iter().map(part).collect())
                }
                _ => file,
            });
        };
        let mut found = self.members(&mut file, name)?.iter().filter(|member| member[key] == id);
        let first = found.next().cloned().ok_or_else(|| self.missing())?;
        if found.next().is_some() {
            let detail = format!("there are several of the name: change {} through the calendar", self.title());
            return Err(Problem::conflict(detail));
        }
        Ok(if matches!(self, Place::Line(_)) { without_areas(first) } else { first })
    }

    /// Makes a change in a file.
    ///
    /// # Errors
    /// 409 for an entry to create that is there, 404 for another that is not; 422 for one of another name.
    pub fn write(&self, file: &mut Value, change: Change) -> Result<(), Problem> {
        if !matches!(change, Change::Create(_)) {
            self.read(file)?;
        }
        let Some(Member { list: name, key, id }) = self.member() else { return self.write_part(file, change) };
        let entry = match change {
            Change::Remove => {
                self.members(file, name)?.retain(|member| member[key] != id);
                return Ok(());
            }
            Change::Create(entry) => {
                if self.members(file, name)?.iter().any(|member| member[key] == id) {
                    return Err(Problem::conflict(format!("{} is there already", self.title())));
                }
                self.members(file, name)?.push(self.named(entry, key, id)?);
                return Ok(());
            }
            Change::Replace(entry) => self.named(entry, key, id.clone())?,
        };
        if matches!(self, Place::Line(_)) && entry.get("area").is_some() {
            return Err(Problem::unprocessable("area: areas are changed at /production/lines/{line}/areas"));
        }
        for member in self.members(file, name)?.iter_mut().filter(|member| member[key] == id) {
            let areas = member.get("area").cloned();
            *member = entry.clone();
            if let Some(areas) = areas {
                member["area"] = areas;
            }
        }
        Ok(())
    }

    fn write_part(&self, file: &mut Value, change: Change) -> Result<(), Problem> {
        let Change::Replace(entry) = change else { return Err(Problem::method_not_allowed()) };
        match self {
            Place::LossPolicy => file["loss_policy"] = entry,
            Place::Calendar => {
                let mut parts = object(entry)?;
                for name in CALENDAR {
                    file[name] = parts.remove(name).unwrap_or_else(|| json!([]));
                }
                if let Some(other) = parts.keys().next() {
                    let detail = format!("{other}: a calendar has {} and nothing else", CALENDAR.join(", "));
                    return Err(Problem::unprocessable(detail));
                }
            }
            _ => {
                if entry["tenant"]["name"] != file["tenant"]["name"] {
                    return Err(Problem::unprocessable("tenant.name: a tenant keeps its name"));
                }
                if entry["tenant"].get("database_url").is_some() {
                    return Err(Problem::unprocessable("tenant.database_url: a database cannot be moved by its file"));
                }
                *file = entry;
            }
        }
        Ok(())
    }

    /// The entry with the name that its path gives it.
    fn named(&self, entry: Value, key: &str, id: Value) -> Result<Value, Problem> {
        let mut fields = object(entry)?;
        match fields.get(key) {
            Some(given) if *given != id => {
                return Err(Problem::unprocessable(format!("{key}: the path says {id}")));
            }
            _ => fields.insert(key.to_owned(), id),
        };
        Ok(Value::Object(fields))
    }
}

fn object(entry: Value) -> Result<Map<String, Value>, Problem> {
    match entry {
        Value::Object(fields) => Ok(fields),
        _ => Err(Problem::unprocessable("the body is no object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Value {
        json!({
            "tenant": {"name": "demo", "time_zone": "UTC"}, "loss_policy": {"quality": "auto"},
            "shift": [{"name": "night", "start": "22:00"}, {"name": "day"}, {"name": "day", "lines": ["l2"]}],
            "product": [{"id": 7, "code": "A"}],
            "line": [{"name": "l1", "title": "One", "area": [{"id": 1, "role": "output"}]}, {"name": "l2"}],
        })
    }

    fn area(id: i32) -> Place {
        Place::Area { line: "l1".into(), id }
    }

    #[test]
    fn an_entry_is_made_changed_and_taken_away() {
        let mut file = file();
        Place::Product(8).write(&mut file, Change::Create(json!({"code": "B"}))).unwrap();
        assert_eq!(Place::Product(8).read(&file).unwrap(), json!({"id": 8, "code": "B"}));
        Place::Product(7).write(&mut file, Change::Replace(json!({"id": 7, "code": "C"}))).unwrap();
        assert_eq!(file["product"][0]["code"], "C");
        Place::Product(7).write(&mut file, Change::Remove).unwrap();
        assert_eq!(file["product"], json!([{"id": 8, "code": "B"}]));
        area(2).write(&mut file, Change::Create(json!({"role": "reject"}))).unwrap();
        area(1).write(&mut file, Change::Remove).unwrap();
        assert_eq!(file["line"][0]["area"], json!([{"id": 2, "role": "reject"}]));
        // A list that the file does not have yet.
        Place::Reason("jam".into()).write(&mut file, Change::Create(json!({}))).unwrap();
        assert_eq!(file["reason"], json!([{"code": "jam"}]));
    }

    #[test]
    fn a_line_keeps_its_areas() {
        let (mut file, l1) = (file(), Place::Line("l1".into()));
        assert_eq!(l1.read(&file).unwrap(), json!({"name": "l1", "title": "One"}));
        l1.write(&mut file, Change::Replace(json!({"title": "Uno"}))).unwrap();
        let areas = json!([{"id": 1, "role": "output"}]);
        assert_eq!(file["line"][0], json!({"name": "l1", "title": "Uno", "area": areas}));
        assert_eq!(l1.write(&mut file, Change::Replace(json!({"area": []}))).unwrap_err().status, 422);
    }

    #[test]
    fn what_is_not_there_is_not_changed_and_what_is_there_not_made() {
        let mut file = file();
        let mut status = |place: Place, change: Change| place.write(&mut file, change).unwrap_err().status;
        assert_eq!(status(Place::Product(9), Change::Replace(json!({}))), 404);
        assert_eq!(status(Place::Product(9), Change::Remove), 404);
        assert_eq!(status(Place::Product(7), Change::Create(json!({}))), 409);
        assert_eq!(status(Place::Product(7), Change::Replace(json!({"id": 9}))), 422);
        assert_eq!(status(Place::Product(7), Change::Replace(json!([]))), 422);
        assert_eq!(status(Place::Area { line: "l9".into(), id: 1 }, Change::Create(json!({}))), 404);
        assert_eq!(status(Place::Shift("day".into()), Change::Remove), 409);
    }

    #[test]
    fn parts_are_changed_as_a_whole() {
        let mut file = file();
        let day = json!([{"name": "day"}]);
        Place::Calendar.write(&mut file, Change::Replace(json!({"shift": day}))).unwrap();
        let nothing = json!([]);
        let expected = json!({"shift": day, "break": nothing, "exception": nothing, "extra_shift": nothing});
        assert_eq!(Place::Calendar.read(&file).unwrap(), expected);
        let mut status =
            |place: Place, entry: Value| place.write(&mut file, Change::Replace(entry)).unwrap_err().status;
        assert_eq!(status(Place::Calendar, json!({"shifts": []})), 422);
        assert_eq!(status(Place::Config, json!({"tenant": {"name": "other"}})), 422);
    }
}
